/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one definition of what the BPF programs and the daemon share: the values in the maps, their
 * limits, and the reason codes. Included by bpf/ *.bpf.c and by src/ alike; there is no second
 * copy.
 *
 * Words: an *end* is one socket of a connection; a *half* is an end whose other end has not claimed
 * the same key yet; a *pair* is two ends proven to be one connection; an *enrolled* pair is in the
 * SOCKHASH with its gate open.
 *
 * Conventions: fixed widths, no implicit padding; ports in host byte order; addresses as 16 bytes
 * in network byte order, IPv4 as v4-mapped IPv6; times are CLOCK_MONOTONIC nanoseconds; names that
 * end in _ns, _bytes say their unit.
 */
#ifndef SOCKACCEL_H
#define SOCKACCEL_H

#ifndef __bpf__
#include <linux/types.h>
#endif

/*
 * Changes with every incompatible change of this file, or of what a map's contents mean.
 *
 * The service manager keeps the maps for the next daemon under the names "sockaccel.SA_ABI.NAME".
 * One of another ABI cannot use them, but has to take the pairs out that were left. So this stays
 * as it is in every version:
 *   "leave"         the link of an iterator. Each run of it is a step of taking all pairs out, and
 *                   writes how many remain, a __u32.
 *   "map.programs"  a PROG_ARRAY. Without its element 0 all is TCP.
 *   "link.*"        the links to cgroups, whose programs wake readers until no pair remains.
 */
#define SA_ABI 10

#define SA_MAX_RULES	    64	  /* one bit each in a rule mask */
#define SA_MAX_CGROUPS	    65536 /* cgroups that rules select */
#define SA_MAX_NETWORKS	    8192  /* prefixes of one generation of the policy */
#define SA_MAX_PROOFS	    16384 /* (rule, cgroup, port) under proof */
#define SA_MAX_OBSERVATIONS 4096  /* (rule, both cgroups, port) that are observed */
#define SA_CGROUP_DEPTH	    24	  /* ancestors that are looked at */
#define SA_NO_SLOT	    0xffffffffu
#define SA_EVERYBODY	    0xffffffffu
#define SA_MESSAGE_BYTES    1024 /* host budget charged per queued message beside its payload */
#define SA_MAX_MESSAGES	    2048 /* redirected messages that may wait in one direction */
#define SA_RING_SLOTS	    16	 /* see sa_end.ring */
#define SA_RING_STEP	    (SA_MAX_MESSAGES / SA_RING_SLOTS)
#define SA_CHARGE_STEP	    4096 /* host budget is taken in multiples of this */
#define SA_PAGE_BYTES	    4096 /* the smallest page: more pages than there are at worst */
/* Left free in a receiver's memory cgroup: twice what it charges at once. */
#define SA_SPARE_PAGES 256
/* Left for the daemon itself: beyond it no more connections are covered. */
#define SA_OWN_SPARE_PAGES 8192
#define SA_LARGE_WRITE	   49152     /* one-way traffic gains from writes of this size on */
#define SA_SIZE_CLASSES	   32	     /* powers of two */
#define SA_STREAM_SEGMENTS 64	     /* without an answer in between: it is a stream */
#define SA_WAIT_BYTES	   (1 << 20) /* the gate waits for a reader who has so much left to read ... */
#define SA_WAIT_LEAST	   16384     /* ... with a message of this size at least */
#define SA_WAIT_ROUNDS	   8192	     /* of looking, at most */
#define SA_WAIT_MAX_SHIFT  10	     /* after so many waits in vain, one in 2^10 messages */
#define SA_PATTERN_LOOKS   3	     /* at a pair that has entered at connect and does not gain */
#define SA_SAMPLE_MESSAGES 256	     /* messages after which the gate judges a pair's pattern */
#define SA_RATE_LEAST	   (1 << 18) /* bytes a millisecond; copying takes a twentieth of it */
#define SA_RATED_WRITE	   163840    /* an exchange of smaller messages is never slower */
#define SA_RATE_LOOKS	   3	     /* the best of so many is what TCP does */
#define SA_RATE_SAMPLES	   16	     /* of so many samples of large messages ... */
#define SA_RATE_GAINS	   8	     /* ... so many have to be as fast as TCP was */
#define SA_TALK_SEGMENTS   8	     /* with data, both ways: from then on an end is known */

#define SA_MS		       1000000ull
#define SA_SEC		       1000000000ull
#define SA_HALF_LIFE_NS	       (2 * SA_SEC)  /* an unmatched half is forgotten after this */
#define SA_EXPIRY_STEP_NS      (250 * SA_MS) /* halves due within it are forgotten together */
#define SA_MIN_AGE_NS	       (100 * SA_MS) /* a younger pair is not looked at */
#define SA_PASS_INTERVAL_NS    (100 * SA_MS) /* the steward runs at most this often */
#define SA_OPEN_DELAY_NS       (1 * SA_SEC)  /* from both ends inserted to the gate open */
#define SA_JOIN_TIMEOUT_NS     (5 * SA_SEC)  /* one end in, the other not: out again after this */
#define SA_LOOK_BACKOFF_MAX_NS (60 * SA_SEC)
#define SA_FULL_RETRY_NS       (1 * SA_SEC) /* with no slot for it, a pair is not looked at so long */
#define SA_LOSING_NS	       (10 * SA_SEC) /* a pattern that does not gain is borne this long ... */
#define SA_STUCK_NS	       (1 * SA_SEC) /* ... or this, if it is a stream that does not get out of TCP */
#define SA_MOMENT_NS	       50000ull /* the steward waits for the end of a system call so long, */
#define SA_MOMENTS_NS	       (2 * SA_MS)   /* and so long in a pass, at most */
#define SA_RATE_NS	       (50 * SA_MS)  /* a sample is as long at least */
#define SA_MEASURE_NS	       (20 * SA_SEC) /* TCP is measured again; doubles each time */
#define SA_MEASURE_MAX_SHIFT   7
#define SA_COOL_DOWN_NS	       (60 * SA_SEC) /* after an eviction; doubles each time */
#define SA_COOL_DOWN_MAX_SHIFT 6
#define SA_VAIN_NS	       (10 * SA_SEC) /* where a trial was in vain, no other one for so long */
#define SA_LEAVE_NS	       (1 * SA_SEC) /* a pair that leaves waits this long for an empty queue */
#define SA_WAIT_NS	       50000ull	    /* the gate waits for a reader so long at most ... */
#define SA_WAIT_FOR_TCP_NS     200000ull    /* ... or so long, for what went by TCP */
#define SA_UNHEARD_NS	       (60 * SA_SEC) /* how often a pair is looked at whose end nobody tells */
#define SA_CONNTRACK_NS	       (2 * SA_SEC) /* conntrack sees a message this often */

/*
 * Why a connection is not accelerated, or why one message went by TCP.
 * X(symbol, name, text): the name is what D-Bus, the CLI and the docs show.
 */
#define SA_REASONS(X)                                                                              \
	X(NONE, "none", "nothing stands against it")                                               \
	/* before enrolment */                                                                     \
	X(YOUNG, "young", "the connection is less than 100 ms old")                                \
	X(IDLE, "idle", "no traffic since the last look that would tell its pattern")              \
	X(PATTERN, "pattern",                                                                      \
	  "one-way traffic in small writes: redirect would be slower than TCP")                    \
	X(MEASURING, "measuring",                                                                  \
	  "what TCP makes of its fast traffic is measured, to compare with")                       \
	X(PROVING, "proving", "the rule's prove time for this cgroup and port is not over")        \
	X(OPENING, "opening", "both ends are enrolled, the gate opens within a second")            \
	X(BLOCKING, "blocking", "an end is not O_NONBLOCK")                                        \
	X(BUSY, "busy", "an end is inside a system call on its socket at each look")               \
	X(NOT_ACCEPTED, "not-accepted", "the server has not accepted the connection yet")          \
	X(SILENT, "silent", "an end has sent nothing since it was left in TCP")                    \
	X(STATE, "state", "an end is not in state ESTABLISHED, or is closing")                     \
	X(ULP, "ulp", "an end has an upper layer protocol attached (kTLS, MPTCP)")                 \
	X(FILTER, "socket-filter", "a socket filter is attached to the receiver")                  \
	X(ZEROCOPY, "zerocopy", "an end uses SO_ZEROCOPY")                                         \
	X(TIMESTAMPS, "timestamps", "an end asks for time stamps or TCP_INQ")                      \
	X(LOWAT, "rcvlowat", "the receiver has SO_RCVLOWAT above 1")                               \
	X(PEEK_OFF, "peek-offset", "the receiver has SO_PEEK_OFF")                                 \
	X(REPAIR, "repair", "an end is in TCP_REPAIR mode")                                        \
	X(MPTCP, "mptcp", "an end is a subflow of an MPTCP connection")                            \
	X(KERNEL_SOCKET, "kernel-socket", "an end is read by the kernel, not by a program")        \
	X(SPLICE, "splice", "its program reads with splice(2), which redirect cannot honour")      \
	X(FIONREAD, "fionread", "its program asks FIONREAD, which redirect cannot honour")         \
	X(WAITALL, "waitall", "its program reads with MSG_WAITALL, which redirect cannot honour")  \
	X(OOB, "oob", "its program uses urgent data (MSG_OOB), which redirect cannot honour")      \
	X(USERNS, "user-namespace", "the ends belong to different user namespaces")                \
	X(UNPROVEN, "unproven", "only the initial sequence numbers agree, nothing else does")      \
	X(AMBIGUOUS, "ambiguous", "the same initial sequence numbers were claimed twice")          \
	X(FOREIGN, "foreign", "another program owns the socket's sk_msg hook")                     \
	X(FULL, "full", "the limit of enrolled connections is reached")                            \
	X(COOLING, "cooling", "it was enrolled and did not gain; tried again later")               \
	X(EDGE, "edge-triggered",                                                                  \
	  "its reader uses edge-triggered epoll and was too slow; it stays in TCP")                \
	X(FILTERED, "filtered", "an end's cgroup has IP filters, which redirect would bypass")     \
	X(OPEN_BEFORE, "open-before",                                                              \
	  "it was open before it was covered, and its edge-triggered reader could not be woken")   \
	X(OBSERVED, "observed", "the rule observes only")                                          \
	X(POLICY, "policy", "the rule is gone or does not accelerate any more")                    \
	X(INSERT, "insert-failed", "the kernel refused the socket")                                \
	/* per message, and while leaving */                                                       \
	X(ORDER, "order", "bytes sent by TCP were not read by the receiver yet")                   \
	X(QUEUE, "queue", "the rule's queue limit is reached")                                     \
	X(MESSAGES, "messages", "the limit of waiting messages is reached")                        \
	X(BUDGET, "budget", "the host-wide memory limit is reached")                               \
	X(PRESSURE, "pressure", "the kernel or the receiver's cgroup is short of socket memory")   \
	X(SHUTDOWN, "shutdown", "an end has shut down its direction")                              \
	X(DRAINING, "draining", "the pair is on its way back to TCP")                              \
	X(PEER_GONE, "peer-gone", "the other end is gone or has become another connection")        \
	X(REDIRECT, "redirect-failed", "the kernel refused to redirect the message")               \
	X(CLOSED, "closed", "the connection was closed")                                           \
	X(STOPPED, "stopped", "the service is stopping")                                           \
	X(PAUSED, "paused", "the rule is paused")                                                  \
	X(CONNTRACK, "conntrack", "conntrack on the way has to see a message now and then")

enum sa_reason {
#define X(symbol, name, text) SA_REASON_##symbol,
	SA_REASONS(X)
#undef X
		SA_REASON_COUNT
};

/*
 * What a program has set on its socket, and redirect cannot honour. A limit or the order passes by
 * itself; this lasts until the program changes its mind, so an enrolled pair leaves for it.
 */
#define SA_IS_LASTING(reason)                                                                      \
	((1ull << (reason)) &                                                                      \
	 (1ull << SA_REASON_BLOCKING | 1ull << SA_REASON_ULP | 1ull << SA_REASON_FILTER |          \
	  1ull << SA_REASON_ZEROCOPY | 1ull << SA_REASON_TIMESTAMPS | 1ull << SA_REASON_LOWAT |    \
	  1ull << SA_REASON_PEEK_OFF | 1ull << SA_REASON_REPAIR | 1ull << SA_REASON_OOB))

/* These may pass any moment, or are no verdict yet; with any other it stays in TCP for a while. */
#define SA_MAY_JOIN_SOON(reason)                                                                   \
	((1ull << (reason)) &                                                                      \
	 (1ull << SA_REASON_NONE | 1ull << SA_REASON_YOUNG | 1ull << SA_REASON_IDLE |              \
	  1ull << SA_REASON_MEASURING | 1ull << SA_REASON_OPENING | 1ull << SA_REASON_BUSY |       \
	  1ull << SA_REASON_NOT_ACCEPTED | 1ull << SA_REASON_SILENT | 1ull << SA_REASON_STATE))

/* Both ends are covered, but it is not proven that they are of one connection. */
#define SA_IS_UNPAIRED(reason) ((reason) == SA_REASON_UNPROVEN || (reason) == SA_REASON_AMBIGUOUS)

/*
 * What the service or the host has only so much of. X(symbol, name): the name is what D-Bus and the
 * CLI show; what is counted is said in src/limit_watch.cpp.
 */
#define SA_LIMITS(X)                                                                               \
	X(CONNECTIONS, "connections")                                                              \
	X(MEMORY, "memory")                                                                        \
	X(HALVES, "halves")                                                                        \
	X(TCP_MEMORY, "tcp-memory")                                                                \
	X(CGROUP_MEMORY, "cgroup-memory")                                                          \
	X(OWN_MEMORY, "own-memory")

enum sa_limit {
#define X(symbol, name) SA_LIMIT_##symbol,
	SA_LIMITS(X)
#undef X
		SA_LIMIT_COUNT
};

enum sa_role { SA_CLIENT, SA_SERVER };

enum sa_action { SA_ACCELERATE, SA_OBSERVE, SA_BYPASS };

/* The bits of sa_rule.tolerate; those that the witness sees are the bits of `hazards`, too. */
enum sa_tolerate {
	SA_TOLERATE_FIONREAD = 1,
	SA_TOLERATE_SPLICE = 2,
	SA_TOLERATE_WAITALL = 4,
	SA_TOLERATE_BLOCKING = 8,
	SA_TOLERATE_STALL = 16,
	SA_HAZARD_OOB = 32, /* no rule can tolerate it */
};

/* What the gate and the steward know of a rule; indexed by the rule's id. */
struct sa_rule {
	__u32 active;	/* 0: this id is free, or its rule is being removed */
	__u32 action;	/* enum sa_action */
	__u32 tolerate; /* enum sa_tolerate */
	__u32 reserved;
	__u64 queue_bytes;
	__u64 prove_ns;
};

/* Per rule and CPU; the daemon adds the CPUs up. Only ever grows. */
struct sa_counters {
	__u64 paired;	/* connections whose two ends were proven to belong together */
	__u64 enrolled; /* of these, how often a gate was opened */
	__u64 left;	/* how often an enrolled pair left, for whichever reason */
	__u64 redirected_messages, redirected_bytes;
	__u64 tcp_messages, tcp_bytes;	/* of enrolled pairs, left to TCP */
	__u64 reasons[SA_REASON_COUNT]; /* messages left to TCP, by reason */
};

/*
 * Settings and state shared with the daemon through the programs' mapped .bss: one writer for each
 * field, the daemon for the first part, the steward for the second, everybody (atomically) for
 * budget_used_bytes.
 */
struct sa_control {
	__u32 generation;    /* of the policy maps; its lowest bit selects the live half of them */
	__u32 events_wanted; /* somebody listens: put paired, enrolled, left events into the ring */
	/* Masks of active rules: of those that decide (accelerate or observe), that bypass, that
	 * observe. */
	__u64 deciding_rules, bypass_rules, observe_rules;
	__u64 connect_rules;	  /* mask: they tolerate blocking, their ends enter at connect */
	__u8 order[SA_MAX_RULES]; /* ids of all active rules; the first one decides first */
	__u64 drain_rules;	  /* mask: pairs of these rules leave */
	__u64 paused_rules;	  /* mask: all goes by TCP, pairs leave, nothing is enrolled */
	__u64 budget_bytes;	  /* host-wide, for queued data and SA_MESSAGE_BYTES a message */
	__u32 drain_reason;	  /* told for pairs that leave by drain_rules */
	__u32 max_pairs;	  /* limits.connections; slots of the pair table */
	__u64 sock_def_readable;  /* learnt from a socket of the daemon's own */

	__u64 budget_used_bytes;
	__u64 next_look_ns; /* the earliest time at which a pass would find something to do; 0: none
			     */
	__u32 work_raised; /* a WORK event is in the ring that the daemon has not answered by a pass
			    */
	__u32 slots_used;  /* highest slot ever taken + 1 */
	__u32 slots_busy;  /* slots that are taken now */
	__u32 candidates;  /* visited in the last pass that have to be visited again */
	__u32 leaving;	   /* pairs that the last pass found draining */
	__u32 expiry_due;  /* a pass is coming that looks at unmatched halves, or was asked for */
	__u32 revisit;	   /* look at all covered ends: the policy is another one, or an evicted end
			      has traffic again and its other end has to be found */
	__u32 pressure;	   /* the budget was refused: take back what is not needed */
	__u64 moments_ns;  /* that this pass has waited for the end of system calls */
	__u64 woken_wake_function; /* the kernel's address of it: how a reader asleep in recv() is
				      told */
	__u64 half_expired;	   /* covered ends whose other end was not covered, or not local */
	__u64 observations_lost;   /* refused, as the table was full */
	__u64 limit_hits[SA_LIMIT_COUNT]; /* how often each was met; atomically, only ever grow */
	__u64 limit_raised_ns;		  /* when a hit was last a reason to raise a pass */
	__u64 list_share;		  /* sa_list: of 2^32 ends this many are written ... */
	__u32 list_in_table;		  /* ... of those in the table of pairs only ... */
	__u32 list_uid;			  /* ... that this user may see, or SA_EVERYBODY ... */
	__u32 listed;	   /* ... and this many would have been with a share of all; ... */
	__u32 list_hidden; /* ... so many are not this user's */
	struct sa_rule rules[SA_MAX_RULES];
};

/* Key of the pair table: the two initial sequence numbers, the same in both ends' view. */
struct sa_key {
	__u32 client_isn, server_isn;
};

/* Addresses as one end sees them. */
struct sa_tuple {
	__u8 local[16], remote[16];
	__u16 local_port, remote_port;
};

/* Which rules an end belongs to, by one generation of the policy. */
struct sa_match {
	__u64 cgroup_rules; /* rules whose cgroups hold this end */
	__u64 view_rules;   /* rules whose port and network match in this end's view */
	__u32 generation;
	__u32 reserved;
};

/* What a covered end says of itself when the connection is established. */
struct sa_claim {
	__u64 sk;     /* struct sock *; never trusted without the cookie */
	__u64 cookie; /* 0: not claimed */
	__u64 born_ns;
	__u64 cgroup; /* id of the socket's */
	struct sa_match match;
	struct sa_tuple tuple;
	__u8 snd_wscale, rcv_wscale, sack_ok, tstamp_ok; /* negotiated TCP options */
	__u32 uid;					 /* owner of the socket */
	__u32 late; /* made when it talked or was found open, not at its handshake */
};

/* The pair table's value: halves and fresh matches only. */
struct sa_half {
	struct sa_claim claim[2]; /* by enum sa_role */
	__u32 matched;		  /* both claims are there and agree */
	__u32 poison;		  /* enum sa_reason: why it is never paired; 0: it may be */
	__u32 rule;		  /* id, valid if matched; SA_MAX_RULES: none */
	__u32 generation;	  /* of the policy by which `rule` was decided */
	__u32 adopted;		  /* an end of it was open before it was covered */
	__u32 slot;		  /* SA_NO_SLOT until a pair slot is taken */
	__u32 slot_generation;
	__u32 reason;  /* of the last look, for the other end's visit */
	__u32 besides; /* as in sa_end */
	__u32 looks;   /* at a pair that has entered, whose pattern did not gain */
	__u32 parked;  /* no look before there is traffic again */
	__u32 due;     /* there is */
	__u64 next_look_ns, looked_ns;
	__u64 backoff_ns;
	__u64 bytes_sent[2]; /* at the last look, by role */
	__u32 segments_sent[2];
	__u32 tcp_rate[2]; /* as in sa_pair */
	__u32 rate_looks;
};

/* Whose program, or the look for open connections, comes first fills the end in. */
enum sa_claimed {
	SA_UNCLAIMED,
	SA_CLAIMING,
	SA_CLAIMED, /* it is in the table of halves: no pass looks at it before */
};

/* Lives in each covered socket's local storage. */
struct sa_end {
	struct sa_key key;
	struct sa_claim claim;
	__u64 netns; /* network namespace cookie */
	__u32 slot;  /* in the table of pairs; SA_NO_SLOT: not enrolled */
	__u32 slot_generation;
	__u32 matched;	/* the other end was found */
	__u32 peer_uid; /* its owner, then; also if it is not proven */
	__u8 role;
	__u8 rule;
	__u8 strikes;	/* evictions because it did not gain */
	__u8 measures;	/* evictions for TCP to be measured again */
	__u8 half_done; /* since its last claim: what became of its half is known */
	__u8 observed;	/* its rule observes */
	__u8 besides; /* enum sa_reason: what stands against it beside `blocking`, if that is why */
	__u8 adopted; /* it was open before it was covered */
	__u8 is_role_open; /* then it has claimed both roles, and what `role` says is one of them */
	__u32 claimed;	   /* enum sa_claimed */
	__u32 reason;	   /* enum sa_reason: why not enrolled */
	__u64 cool_until_ns;			     /* traffic before is not looked at */
	__u64 redirected_messages, redirected_bytes; /* sent by this end, while enrolled */
	__u64 tcp_messages, tcp_bytes;
	/*
	 * ring[k % SA_RING_SLOTS] is the low half of redirected_bytes when message k * SA_RING_STEP
	 * was sent: from it and the receiver's queue length follows how many messages wait. A count
	 * since the queue was last empty would also count those already read.
	 */
	__u32 ring[SA_RING_SLOTS];
	__u32 sample_messages, sample_bytes; /* since the pattern was last judged */
	__u32 sample_tcp, sample_peer_messages;
	__u32 samples;	     /* judged since it was enrolled */
	__u32 gains, losses; /* of samples of its rate: they were as fast as TCP was, or not */
	__u64 rated_ns;	     /* since when it is sampled; 0: not yet */
	__u64 rated_bytes;
	__u64 measured_ns; /* when TCP was last measured, to compare with; 0: never */
	/* Sent since it went in, while the gate is shut; and received by TCP, in segments. */
	__u32 trial_messages, trial_bytes, trial_segments_in;
	/* Messages until the gate waits for the reader again; how often that was in vain, lately.
	 */
	__u16 wait_after, waits_failed;
	__u32 hazards; /* that its program was seen to use; enum sa_tolerate */
	/* The program's keepalive settings, while the wake-up borrows the timer. */
	__u32 keepalive_borrowed, keepalive_was_on;
	__u32 keepidle_s, keepintvl_s;
	__u64 losing_since_ns;		/* 0: it gains */
	__u32 reasons[SA_REASON_COUNT]; /* messages of this end left to TCP, by reason */
};

/* From where a SYN came that a listener accepts: the client's address, as that one sees it. */
struct sa_caller {
	__u8 address[16];
	__u32 port;
};

struct sa_announcement {
	__u64 time_ns;
	__u64 view_rules; /* rules whose port and network match in the listener's view */
	__u32 generation; /* of the policy */
	__u32 reserved;
};

/* The value in the map of candidates; what is known of them is in sa_half. */
struct sa_candidate {
	__u64 since_ns;
};

enum sa_pair_state {
	SA_FREE,
	SA_ENTERED,   /* at connect, one end or both; a candidate like others; gate closed */
	SA_JOINING,   /* ends enter the SOCKHASH one by one; gate closed */
	SA_OPENING,   /* both in; the gate opens at open_ns */
	SA_LIVE,      /* the gate decides for each message */
	SA_LEAVING,   /* redirect goes on only behind redirected data that is unread */
	SA_DRAINING,  /* gate closed; leaves the SOCKHASH when nothing redirected is unread */
	SA_ABANDONED, /* an end is gone; the slot stays until the other is gone, too */
};

/*
 * Where data by TCP follows redirected data that is unread, a read stops short. A reader with
 * edge-triggered epoll that takes this for "drained" waits for an edge that has been.
 */
enum sa_meeting {
	SA_NO_MEETING,
	SA_MEETING,	     /* it may have to be woken when it has read what was redirected */
	SA_HARMLESS_MEETING, /* its epoll is level-triggered */
};

/* One cache line a side: each is written by the sender of its direction only. */
struct sa_side {
	__u64 sk; /* struct sock * */
	__u64 cookie;
	__u64 charged_bytes; /* host budget held for what this end has sent */
	struct sa_match match;
	__u32 messages;	   /* sent through the gate, redirected or not */
	__u32 meeting;	   /* enum sa_meeting; of what this end receives */
	__u32 meeting_seq; /* its copied_seq then: another one now, and it has read beyond */
	__u32 uid;	   /* owner of the socket */
};

/* One slot of the table of pairs. */
struct sa_pair {
	__u32 generation; /* of the slot: an end with another one does not belong here */
	__u32 state;	  /* enum sa_pair_state */
	__u32 rule;
	__u32 inserted; /* bit per role */
	__u64 since_ns; /* of the state */
	__u64 open_ns;
	struct sa_key key;
	__u32 reason;		/* why it leaves, or left */
	__u32 wish;		/* enum sa_reason: why it shall leave; 0: it shall not */
	__u32 told;		/* enrolled was counted, left is still to be */
	__u32 at_connect;	/* both ends entered before anybody could read from them */
	__u32 unheard;		/* no program is called for one of its sockets */
	struct sa_tuple client; /* as the client sees the connection */
	__u64 netns;		/* of the end that joined last */
	__u64 tracked_ns;  /* a message was left to TCP for conntrack's sake; 0: none on the way */
	__u32 tcp_rate[2]; /* bytes a millisecond, that a role sent at best; 0: unknown */
	struct sa_side side[2]; /* by enum sa_role */
};

/* (rule, cgroup, port): since when it is watched, and what was seen. */
struct sa_proof_key {
	__u64 cgroup;
	__u32 rule;
	__u32 port;
};

struct sa_proof {
	__u64 first_seen_ns;
	__u64 vain_ns; /* when a one-way stream was last tried that had small writes; 0: never */
	__u32 hazards; /* enum sa_tolerate; only ever grows */
	__u32 reserved;
};

/* Between whom. */
struct sa_observation_key {
	__u64 cgroup[2]; /* by enum sa_role */
	__u32 rule;
	__u32 port; /* as the server has it */
};

/* What was seen there; two values are by enum sa_role. Only ever grows. */
struct sa_observation {
	__u64 connections;
	__u64 closed, lasted_ns; /* how many ended, and their ages together */
	__u64 brief,
		brief_bytes;	 /* of these: too short to be enrolled; what they sent, both ways */
	__u64 first_ns, last_ns; /* when there was traffic */
	__u64 bytes[2], messages[2];	 /* sent; see observe.h on what a message is */
	__u64 turns[2];			 /* messages that were followed by one of the other end */
	__u64 sizes[2][SA_SIZE_CLASSES]; /* messages of 2^n … 2^(n+1)-1 bytes */
	__u64 looks, eligible; /* by the steward; how often nothing stood against enrolling */
	__u64 obstacles[2];    /* what did: bits by enum sa_reason */
	__u32 hazards[2];      /* enum sa_tolerate */
};

/* Of one observed end: what was counted at the last look. */
struct sa_sight {
	struct sa_observation_key key;
	__u64 bytes_sent, bytes_received;
	__u64 turn_bytes; /* sent since the other end was heard of */
	__u32 segments_sent, turn_segments;
	__u32 is_known; /* the key is */
	__u32 reserved;
};

struct sa_cgroup_key {
	__u64 id;
	__u32 half; /* generation & 1 */
	__u32 reserved;
};

/* Longest prefix match over (half, address): prefix_length counts the 8 bits of half, too. */
struct sa_network_key {
	__u32 prefix_length;
	__u8 half;
	__u8 address[16];
	__u8 reserved[3];
};

enum sa_event_type {
	SA_EVENT_WORK, /* the steward has something to do */
	SA_EVENT_PAIRED,
	SA_EVENT_ENROLLED,
	SA_EVENT_LEFT, /* an enrolled pair left, or a pair closed that never was enrolled */
};

struct sa_event {
	__u64 time_ns;
	__u32 type;
	__u32 reason;
	__u32 rule;
	__u32 server_uid; /* owners of the sockets */
	struct sa_key key;
	__u64 cookie[2];
	struct sa_tuple client; /* the connection as the client sees it */
	__u32 client_uid;
};

/* One end, as the list of connections shows it. */
struct sa_report {
	struct sa_end end;
	__u64 queued_bytes; /* waiting to be read by this end */
	__u32 pair_state;   /* enum sa_pair_state */
	__u32 pair_reason;
};

/*
 * How one connection is doing, as its client's end knows it. Small, as an iterator that has filled
 * its buffer walks over all that it has visited to go on.
 */
struct sa_tally {
	__u8 rule;
	__u8 reason;
	__u8 pair_state; /* enum sa_pair_state */
	__u8 pair_reason;
};

/* One BPF program of the host, anybody's. */
struct sa_program {
	__u32 id;
	__u32 type; /* enum bpf_prog_type */
	char name[16];
};

/* A sock_ops program that is attached to a cgroup. */
struct sa_attachment {
	__u64 cgroup; /* id */
	__u32 program;
	__u32 reserved;
};

#endif
