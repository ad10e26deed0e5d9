// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The gate decides for each message of an enrolled end: into the receiver's queue at once, or by
 * TCP.
 *
 * It never drops (the application would see EACCES): whatever it doubts goes by TCP. Order is kept
 * by one exact rule: redirect only if own.write_seq == peer.copied_seq, that is, every byte ever
 * sent by TCP has been read. From redirect to TCP the order holds at any time, because a receiver
 * reads redirected data first. The verdict runs under the sender's socket lock, and copied_seq only
 * grows: a stale look at it errs on the safe side.
 *
 * What is attached to the SOCKHASH is the stub. Sockets keep the program that they were enrolled
 * with, so the gate itself is behind a PROG_ARRAY: the kernel clears that when the daemon is gone,
 * and from then on all is TCP.
 *
 * This file is compiled twice (bpf/meson.build). With SA_TYPED_POINTERS the other end's address is
 * made a typed pointer, whose fields are plain loads; for kernels that cannot do that, each field
 * is copied by a helper's call, which takes about 0.3 us more for a message.
 */
#include "memory.h"
#include "socket.h"

/* Of what belongs to the other end. */
#define PEER_FIELD(pointer, field)    FIELD(SA_TYPED_POINTERS, pointer, field)
#define PEER_BITFIELD(pointer, field) BITFIELD(SA_TYPED_POINTERS, pointer, field)

struct verdict {
	struct sa_end *end;
	struct sa_pair *pair;
	struct tcp_sock *own;
	__u32 size;
	struct tcp_sock *peer; /* NULL until its cookie was compared */
	bool is_queue_empty;
	__u64 queued; /* bytes that the receiver has not read */
	__u64 limit;  /* for these and this message */
	__u64 wait_until_ns, wait_limit;
	__u32 first_bytes; /* of the message: only these are decided on; 0: all */
	__u32 reason;	   /* enum sa_reason: what the last look at the reader said */
};

/* What may change at any time is asked for each message. */
static __always_inline __u32 own_obstacle(struct tcp_sock *own)
{
	struct sock *sk = &own->inet_conn.icsk_inet.sk;

	if (!IN_STATES(sk->__sk_common.skc_state,
		       1u << BPF_TCP_ESTABLISHED | 1u << BPF_TCP_CLOSE_WAIT) ||
	    sk->sk_err)
		return SA_REASON_STATE;
	if (sk->sk_shutdown & SEND_SHUTDOWN)
		return SA_REASON_SHUTDOWN;
	if (own->inet_conn.icsk_ulp_ops)
		return SA_REASON_ULP;
	if (BPF_CORE_READ_BITFIELD(own, repair))
		return SA_REASON_REPAIR;
	if (HAS_FLAG(sk->__sk_common.skc_flags, SOCK_ZEROCOPY))
		return SA_REASON_ZEROCOPY;
	return SA_REASON_NONE;
}

/* Of all TCP sockets together. By the socket, as not every kernel tells the address of the
 * variable. */
static __always_inline bool is_tcp_memory_short(struct sock *sk)
{
	struct proto *protocol = PEER_FIELD(sk, __sk_common.skc_prot);
	unsigned long *since = PEER_FIELD(protocol, memory_pressure);
	unsigned long pressure = 0;

	if (since)
		bpf_probe_read_kernel(&pressure, sizeof(pressure), since);
	return pressure;
}

/*
 * What is redirected is charged to the receiver's memory cgroup (sk_rmem_schedule in
 * bpf_tcp_ingress), as TCP's queue is. Where there is no room, TCP shrinks its window, but a
 * redirect fails the send with ENOMEM, after it has tried to reclaim there (GFP_KERNEL: it is made
 * by the sender, not in softirq). So it must not come to that, and the kernel's own signs of
 * pressure come only afterwards.
 */
static __always_inline bool is_cgroup_memory_short(struct sock *peer, __u32 size)
{
	struct mem_cgroup *memcg = PEER_FIELD(peer, sk_memcg);
	__u64 counter;

	if (!memcg)
		return false;
	if (bpf_core_field_exists(memcg->tcpmem_pressure) && PEER_FIELD(memcg, tcpmem_pressure))
		return true;
	/* Until when, in jiffies: mem_cgroup_under_socket_pressure(). */
	if (bpf_core_field_exists(memcg->socket_pressure) &&
	    (__s64)(bpf_jiffies64() - PEER_FIELD(memcg, socket_pressure)) < 0)
		return true;
	if (PEER_FIELD(peer, sk_forward_alloc) >= (int)size)
		return false; /* charged already */
	/* Once more, as a number. */
	memcg = BPF_CORE_READ(peer, sk_memcg);
	counter = (__u64)memcg + bpf_core_field_offset(struct mem_cgroup, memory);
	/* With cgroup v1 sockets have a counter of their own, or no memory cgroup. */
	if (bpf_core_field_exists(memcg->tcpmem) && BPF_CORE_READ(memcg, tcpmem_active))
		counter = (__u64)memcg + bpf_core_field_offset(struct mem_cgroup, tcpmem);
	return !has_pages(counter, size / SA_PAGE_BYTES + SA_SPARE_PAGES);
}

static __always_inline __u32 peer_obstacle(struct tcp_sock *peer, const struct sa_pair *pair)
{
	struct sock *sk = &peer->inet_conn.icsk_inet.sk;
	struct socket *socket;
	struct file *file;
	__u32 reason;

	if (!IN_STATES(PEER_FIELD(sk, __sk_common.skc_state), 1u << BPF_TCP_ESTABLISHED |
								      1u << BPF_TCP_FIN_WAIT1 |
								      1u << BPF_TCP_FIN_WAIT2))
		return SA_REASON_STATE;
	if (PEER_FIELD(sk, sk_shutdown) & RCV_SHUTDOWN)
		return SA_REASON_SHUTDOWN;
	if (PEER_FIELD(peer, inet_conn.icsk_ulp_ops))
		return SA_REASON_ULP;
	reason = obstacle_of_options(peer, SA_TYPED_POINTERS);
	if (reason)
		return reason;
	socket = PEER_FIELD(sk, sk_socket);
	file = PEER_FIELD(socket, file);
	if (!file)
		return SA_REASON_PEER_GONE;
	if (!(PEER_FIELD(file, f_flags) & O_NONBLOCK) && !may_block(pair))
		return SA_REASON_BLOCKING;
	return SA_REASON_NONE;
}

/*
 * How many of this end's messages may be waiting: never too low, too high by less than a step. The
 * receiver's queue holds the last `queued` bytes that were redirected; the ring tells how many
 * bytes there were since each of its steps.
 */
SEPARATELY_VERIFIED __u32 waiting_messages(const struct sa_end *end, __u64 queued)
{
	__u32 step, since;

	if (!end || !queued)
		return 0;
	step = end->redirected_messages / SA_RING_STEP;
	since = end->redirected_messages % SA_RING_STEP; /* messages in the newest step */
	for (__u32 i = 0; i < SA_RING_SLOTS; i++, step--, since += SA_RING_STEP) {
		if (!since)
			continue; /* the newest step has not begun: its place holds the oldest */
		if ((__u32)end->redirected_bytes - end->ring[step % SA_RING_SLOTS] >= queued)
			return since;
		if (!step)
			return since;
	}
	return SA_MAX_MESSAGES;
}

/* Host-wide budget: holds enough for `needed` bytes after this, or says no. */
static __always_inline bool charge(struct sa_side *side, __u64 needed)
{
	__u64 held = side->charged_bytes, wanted, used;

	if (needed <= held && held <= needed * 4 + 16 * SA_CHARGE_STEP)
		return true;
	wanted = (needed + SA_CHARGE_STEP - 1) & ~(__u64)(SA_CHARGE_STEP - 1);
	used = __sync_fetch_and_add(&control.budget_used_bytes, wanted - held);
	if (wanted > held && used + (wanted - held) > control.budget_bytes) {
		__sync_fetch_and_add(&control.budget_used_bytes, held - wanted);
		control.pressure = 1;
		note_limit(SA_LIMIT_MEMORY);
		raise_work();
		return false;
	}
	/* Ends keep a share when all is read: of many idle ones it is taken back before it is
	 * missed. */
	if (wanted > held && used > control.budget_bytes / 4 * 3 && !control.pressure) {
		control.pressure = 1;
		raise_work();
	}
	if (__sync_val_compare_and_swap(&side->charged_bytes, held, wanted) != held) {
		__sync_fetch_and_add(&control.budget_used_bytes, held - wanted);
		return false; /* the steward has just taken it back */
	}
	return true;
}

/*
 * TCP drops segments while more than sk_rcvbuf waits, and the reader would get them with the
 * time-out of a retransmission. A buffer whose size the program has not set grows with what waits
 * (tcp_clamp_window). Of one that it has set, what is redirected leaves room for all that TCP may
 * send, and for a quarter of that in headers.
 */
static __always_inline __u64 queue_limit(const struct verdict *v)
{
	struct sa_rule *rule = rule_at(v->pair->rule);
	struct tcp_sock *peer = v->peer;
	struct sock *sk = &peer->inet_conn.icsk_inet.sk;
	__u64 window, buffer;

	if (!(PEER_BITFIELD(sk, sk_userlocks) & SOCK_RCVBUF_LOCK))
		return rule->queue_bytes;
	window = PEER_FIELD(peer, rcv_wup) + PEER_FIELD(peer, rcv_wnd) - PEER_FIELD(peer, rcv_nxt);
	window += window / 4;
	buffer = (__u32)PEER_FIELD(sk, sk_rcvbuf);
	buffer = buffer > window ? buffer - window : 0;
	return buffer < rule->queue_bytes ? buffer : rule->queue_bytes;
}

static __always_inline __u32 room(struct verdict *v)
{
	struct sock *peer = &v->peer->inet_conn.icsk_inet.sk;
	__u32 waiting;

	waiting = waiting_messages(v->end, v->queued);
	if (waiting >= SA_MAX_MESSAGES)
		return SA_REASON_MESSAGES;
	if (is_tcp_memory_short(peer)) {
		note_limit(SA_LIMIT_TCP_MEMORY);
		return SA_REASON_PRESSURE;
	}
	if (is_cgroup_memory_short(peer, v->size)) {
		note_limit(SA_LIMIT_CGROUP_MEMORY);
		return SA_REASON_PRESSURE;
	}
	if (!charge(&v->pair->side[v->end->role & 1],
		    v->queued + v->size + (__u64)(waiting + 1) * SA_MESSAGE_BYTES))
		return SA_REASON_BUDGET;
	return SA_REASON_NONE;
}

/*
 * Conntrack sees nothing of what is redirected. Were it to forget the connection, NAT would give
 * the next packet by TCP another address, and a firewall would drop it: tests/kernel/nat_test.cpp.
 */
static __always_inline bool is_conntrack_due(struct sa_pair *pair)
{
	__u64 now;

	if (!pair->tracked_ns)
		return false;
	now = bpf_ktime_get_coarse_ns();
	if ((__s64)(now - pair->tracked_ns) < (__s64)SA_CONNTRACK_NS)
		return false;
	pair->tracked_ns = now;
	return true;
}

static __always_inline __u32 look_at_reader(struct verdict *v, __u64 limit)
{
	struct sock *sk = &v->peer->inet_conn.icsk_inet.sk;

	if (v->own->write_seq != PEER_FIELD(v->peer, copied_seq))
		return SA_REASON_ORDER;
	v->queued = (__u32)PEER_FIELD(sk, sk_backlog.rmem_alloc.counter);
	return v->queued + v->size > limit ? SA_REASON_QUEUE : SA_REASON_NONE;
}

static long wait_round(__u32 round, void *context)
{
	struct verdict *v = context;

	v->reason = look_at_reader(v, v->wait_limit);
	return !v->reason || bpf_ktime_get_ns() > v->wait_until_ns;
}

/* Can a reader who is at it be through in a moment? */
static __always_inline bool is_wait_promising(const struct verdict *v)
{
	struct sock *sk = &v->peer->inet_conn.icsk_inet.sk;
	__u32 unread = v->own->write_seq - PEER_FIELD(v->peer, copied_seq);

	return v->reason == SA_REASON_QUEUE ||
	       unread + (__u32)PEER_FIELD(sk, sk_backlog.rmem_alloc.counter) <= SA_WAIT_BYTES;
}

/*
 * What was not sent yet, is not while this end's socket is locked: it would be waited for in vain.
 * Of a stream that is the rest of a write, less than a segment, which TCP keeps back until the one
 * before is acknowledged (Nagle). So as many bytes as make that segment full go by TCP, at once,
 * and the gate is asked again about what is behind them. How many; 0: nothing is kept back.
 */
static __always_inline __u32 kept_back(const struct verdict *v)
{
	__u32 unsent = v->own->write_seq - v->own->snd_nxt;
	__u32 segment = v->own->mss_cache;

	if (!unsent)
		return 0;
	return unsent < segment ? segment - unsent : ~0u;
}

/*
 * A stream that goes on and on would never find what went by TCP read, and at a limit TCP would
 * take over for long: until all is read. So the gate waits a moment. It does so wherever something
 * is unread: a stream of large writes is fastest with one message at its reader and the next one in
 * the writer's hand, as both stay in a cache, and the reader does not fall asleep in between. Where
 * the reader does not run meanwhile, as on the same CPU, that is in vain, and is tried ever more
 * rarely.
 */
static __always_inline __u32 wait_for_reader(struct verdict *v)
{
	struct sa_end *end = v->end;

	v->wait_limit = v->size >= SA_WAIT_LEAST && v->size < v->limit ? v->size : v->limit;
	v->reason = look_at_reader(v, v->wait_limit);
	if (!v->reason)
		return SA_REASON_NONE;
	if (end->wait_after || v->size < SA_WAIT_LEAST || !is_wait_promising(v)) {
		if (end->wait_after)
			end->wait_after--;
		return look_at_reader(v, v->limit);
	}
	v->wait_until_ns = bpf_ktime_get_ns() + SA_WAIT_NS;
	if (v->reason == SA_REASON_ORDER) {
		__u32 bytes = kept_back(v);

		if (bytes && bytes < v->size)
			v->first_bytes = bytes;
		if (bytes)
			return v->reason;
		v->wait_until_ns += SA_WAIT_FOR_TCP_NS - SA_WAIT_NS;
	}
	bpf_loop(SA_WAIT_ROUNDS, wait_round, v, 0);
	if (!v->reason) {
		end->waits_failed = 0;
		return SA_REASON_NONE;
	}
	end->wait_after = 1 << (end->waits_failed & 15);
	if (end->waits_failed < SA_WAIT_MAX_SHIFT)
		end->waits_failed++;
	return look_at_reader(v, v->limit);
}

static __always_inline struct tcp_sock *peer_of(const struct sa_side *side)
{
	struct tcp_sock *peer = (struct tcp_sock *)side->sk;

	return SA_TYPED_POINTERS ? bpf_rdonly_cast(peer, bpf_core_type_id_kernel(struct tcp_sock))
				 : peer;
}

static __always_inline __u32 obstacle(struct verdict *v)
{
	struct sa_side *side = &v->pair->side[!(v->end->role & 1)];
	struct tcp_sock *peer = peer_of(side);
	struct sock *sk = &peer->inet_conn.icsk_inet.sk;
	__u32 state = *(volatile __u32 *)&v->pair->state;
	__u32 reason;

	if (state != SA_LIVE && state != SA_LEAVING && state != SA_DRAINING)
		return SA_REASON_PEER_GONE;
	if (!side->cookie || (__u64)PEER_FIELD(sk, __sk_common.skc_cookie.counter) != side->cookie)
		return SA_REASON_PEER_GONE;
	v->peer = peer;
	/* TCP takes over at an empty queue if that can be, where its first segment wakes the
	 * reader. */
	if (state == SA_DRAINING || (state == SA_LEAVING && (side->meeting || !has_unread(sk))))
		return SA_REASON_DRAINING;
	reason = is_paused(v->pair->rule) ? SA_REASON_PAUSED : own_obstacle(v->own);
	if (reason)
		return reason;
	reason = peer_obstacle(peer, v->pair);
	if (reason)
		return reason;
	v->limit = queue_limit(v);
	reason = wait_for_reader(v);
	if (reason)
		return reason;
	v->is_queue_empty = !v->queued;
	if (v->is_queue_empty && is_conntrack_due(v->pair))
		return SA_REASON_CONNTRACK;
	return room(v);
}

static __always_inline void wish_out(struct sa_pair *pair, __u32 reason)
{
	if (pair->wish || pair->state != SA_LIVE)
		return;
	pair->wish = reason;
	raise_work();
}

/*
 * This message goes by TCP. If redirected data before it is unread, the two will meet in a read:
 * see enum sa_meeting. pair.bpf.c wakes the reader, and a pair with a slow edge-triggered reader is
 * not worth that twice.
 */
static __always_inline void note_meeting(struct verdict *v, __u32 reason)
{
	struct sa_side *receiver = &v->pair->side[!(v->end->role & 1)];
	struct tcp_sock *peer = v->peer;
	struct sock *sk = (struct sock *)peer;
	enum reading reading;

	if (receiver->meeting || !peer || !has_unread(sk))
		return;
	reading = how_read(receiver->sk);
	receiver->meeting_seq = BPF_CORE_READ(peer, copied_seq);
	receiver->meeting = reading == READING_LEVEL ? SA_HARMLESS_MEETING : SA_MEETING;
	if (reading == READING_EDGE && (reason == SA_REASON_QUEUE || reason == SA_REASON_MESSAGES ||
					reason == SA_REASON_BUDGET || reason == SA_REASON_PRESSURE))
		wish_out(v->pair, SA_REASON_EDGE);
}

/*
 * What this end sends in large messages, in bytes a millisecond, over SA_RATE_NS at least; 0: that
 * is not over yet.
 */
static __always_inline __u64 sampled_rate(struct sa_end *end, __u64 now)
{
	bool is_large = end->sample_bytes >= SA_SAMPLE_MESSAGES * SA_RATED_WRITE;
	__u64 since = end->rated_ns, bytes = end->rated_bytes + end->sample_bytes;

	if (since && is_large && now - since < SA_RATE_NS) {
		end->rated_bytes = bytes;
		return 0;
	}
	end->rated_ns = now;
	end->rated_bytes = 0;
	return since && is_large ? bytes / ((now - since) / SA_MS) : 0;
}

/*
 * A large message is copied as a whole before its reader sees any of it (tcp_bpf_sendmsg), where by
 * TCP he begins while the rest is copied. If that is the longer part of his work, as with a
 * pipeline of requests, TCP is faster. So large messages have to be as fast as they were in TCP
 * at its best.
 */
static __always_inline bool is_slower_than_tcp(struct sa_end *end, const struct sa_pair *pair,
					       __u64 rate)
{
	__u64 before = pair->tcp_rate[end->role & 1];

	if (!rate || before < SA_RATE_LEAST || end->gains + end->losses >= SA_RATE_SAMPLES)
		return false;
	if (rate >= before)
		end->gains++;
	else
		end->losses++;
	return end->losses > SA_RATE_SAMPLES - SA_RATE_GAINS;
}

/*
 * What TCP makes of large messages that are answered is measured before they are enrolled. Where it
 * is not known, as they have begun only now, and from time to time, as TCP may have been slow just
 * then, the pair goes back to TCP for that.
 */
static __always_inline void have_tcp_measured(struct sa_end *end, struct sa_pair *pair, __u64 now)
{
	if (pair->at_connect || pair->unheard) /* it would not come back */
		return;
	if (end->measured_ns && now - end->measured_ns < SA_MEASURE_NS << (end->measures & 7))
		return;
	if (end->measured_ns && end->measures < SA_MEASURE_MAX_SHIFT)
		end->measures++;
	end->measured_ns = now;
	wish_out(pair, SA_REASON_MEASURING);
}

/*
 * Every SA_SAMPLE_MESSAGES messages: is this still worth it? An enrolled socket's sendmsg is slower
 * even if nothing is redirected, so a pair that does not gain is better off in TCP.
 */
static __always_inline void judge(struct sa_end *end, struct sa_pair *pair)
{
	__u32 by_peer = pair->side[!(end->role & 1)].messages - end->sample_peer_messages;
	bool is_one_way = by_peer < SA_SAMPLE_MESSAGES / 16;
	bool is_small = end->sample_bytes < SA_SAMPLE_MESSAGES * SA_LARGE_WRITE;
	bool is_mostly_tcp = end->sample_tcp > SA_SAMPLE_MESSAGES / 4 * 3;
	bool is_first = !end->samples++ && is_one_way && is_small;
	__u64 now = bpf_ktime_get_ns(), borne_ns = 0;
	__u64 rate = sampled_rate(end, now);
	bool is_slower = is_slower_than_tcp(end, pair, rate);

	if (by_peer && rate >= SA_RATE_LEAST)
		have_tcp_measured(end, pair, now);
	end->sample_peer_messages = pair->side[!(end->role & 1)].messages;
	end->sample_messages = end->sample_bytes = end->sample_tcp = 0;
	if (!is_slower && !is_mostly_tcp && !(is_one_way && is_small)) {
		end->losing_since_ns = 0;
		return;
	}
	if (!end->losing_since_ns)
		end->losing_since_ns = now;
	/* What was only tried, and turns out small, need not be borne. */
	if (!is_slower && !is_first)
		borne_ns = is_one_way && is_mostly_tcp ? SA_STUCK_NS : SA_LOSING_NS;
	if (now - end->losing_since_ns >= borne_ns)
		wish_out(pair, SA_REASON_COOLING);
}

/*
 * While both ends are going in, or the gate is about to open: a one-way stream of small writes
 * shall not bear it for longer than it takes to see that. Segments do not show the writes.
 */
static __always_inline void try_out(struct verdict *v)
{
	struct sa_end *end = v->end;
	__u32 segments_in = v->own->data_segs_in;
	bool is_vain;

	if (!end->trial_messages)
		end->trial_segments_in = segments_in;
	end->trial_messages++;
	end->trial_bytes += v->size;
	if (end->trial_messages < SA_SAMPLE_MESSAGES)
		return;
	is_vain = segments_in - end->trial_segments_in < SA_SAMPLE_MESSAGES / 16 &&
		  end->trial_bytes < SA_SAMPLE_MESSAGES * SA_LARGE_WRITE;
	end->trial_messages = end->trial_bytes = 0;
	if (!is_vain || v->pair->wish)
		return;
	/* One that has entered at connect was not chosen for its pattern: it may have another soon.
	 */
	v->pair->wish = v->pair->state == SA_ENTERED ? SA_REASON_PATTERN : SA_REASON_COOLING;
	raise_work();
}

static __always_inline void count(struct verdict *v, __u32 reason)
{
	struct sa_counters *counters = counters_of(v->pair->rule);
	struct sa_end *end = v->end;

	v->pair->side[end->role & 1].messages++;
	if (reason) {
		end->tcp_messages++;
		end->tcp_bytes += v->size;
		if (reason < SA_REASON_COUNT)
			end->reasons[reason]++;
		end->sample_tcp++;
	} else {
		if (end->redirected_messages % SA_RING_STEP == 0)
			end->ring[end->redirected_messages / SA_RING_STEP % SA_RING_SLOTS] =
				end->redirected_bytes;
		end->redirected_messages++;
		end->redirected_bytes += v->size;
	}
	if (counters && reason) {
		counters->tcp_messages++;
		counters->tcp_bytes += v->size;
		if (reason < SA_REASON_COUNT)
			counters->reasons[reason]++;
	} else if (counters) {
		counters->redirected_messages++;
		counters->redirected_bytes += v->size;
	}
	end->sample_bytes += v->size;
	if (++end->sample_messages >= SA_SAMPLE_MESSAGES && v->pair->state == SA_LIVE)
		judge(end, v->pair);
}

SEC("sk_msg")
int sa_gate(struct sk_msg_md *msg)
{
	struct bpf_sock *sk = msg->sk;
	struct verdict v = {};
	__u32 reason;
	__u64 key;

	if (!sk)
		return SK_PASS;
	v.end = bpf_sk_storage_get(&ends, sk, NULL, 0);
	if (!v.end)
		return SK_PASS;
	v.pair = pair_at(v.end->slot, v.end->slot_generation);
	v.own = bpf_skc_to_tcp_sock(sk);
	if (!v.pair || !v.own)
		return SK_PASS;
	v.size = msg->size;
	if (IN_STATES(v.pair->state, 1u << SA_ENTERED | 1u << SA_JOINING | 1u << SA_OPENING)) {
		try_out(&v);
		return SK_PASS; /* not enrolled yet: not counted either */
	}
	reason = obstacle(&v);
	if (!reason) {
		key = v.pair->side[!(v.end->role & 1)].cookie;
		if (bpf_msg_redirect_hash(msg, &sockets, &key, BPF_F_INGRESS) != SK_PASS)
			reason = SA_REASON_REDIRECT;
	}
	if (reason)
		note_meeting(&v, reason);
	else if (v.pair->side[!(v.end->role & 1)].meeting)
		v.pair->side[!(v.end->role & 1)].meeting = SA_NO_MEETING; /* all TCP data is read */
	if (reason && SA_IS_LASTING(reason))
		wish_out(v.pair, reason);
	v.size = v.first_bytes ?: v.size;
	/* Also if it is all: what was said of an earlier part stands (sk_psock_msg_verdict). */
	bpf_msg_apply_bytes(msg, v.first_bytes);
	count(&v, reason);
	return SK_PASS;
}

SEC("sk_msg")
int sa_stub(struct sk_msg_md *msg)
{
	/*
	 * Holds the SOCKHASH for as long as a socket holds this program: were it freed with the
	 * daemon, unread redirected data would be freed with it.
	 */
	asm volatile("" ::"r"(&sockets));
	bpf_tail_call(msg, &programs, SA_PROGRAM_GATE);
	return SK_PASS;
}

char LICENSE[] SEC("license") = "GPL";
