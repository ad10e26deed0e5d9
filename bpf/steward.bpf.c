// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The steward: iterators that the daemon runs when there is something to do, never two at a time.
 *
 * sa_revisit: over all covered ends; finds the other end of one that was evicted and has traffic
 * again.
 *
 * sa_enrol: over the candidates; paired, joining, opening. A program can put only the socket that
 * it is visiting into a SOCKHASH, so each end goes in on its own visit.
 *
 * sa_tend: over the pairs; opening, live, draining, out; gives back what closed pairs held.
 *
 * sa_leave: the same, and takes all out; for a daemon that knows nothing else of them.
 *
 * sa_list: over all covered ends; what `Connections` shows.
 *
 * sa_count: the same, of a connection only how it is doing.
 *
 * sa_learn: over a socket of the daemon's own; what an ordinary socket looks like.
 * sa_find_wake_function: no iterator, run once; what a sleeping reader looks like.
 *
 * The visited socket is neither locked nor referenced: its memory may become another connection's
 * during the visit (SLAB_TYPESAFE_BY_RCU). So everything is looked at again after the insertion,
 * and taken back if it differs.
 */
#include "claim.h"
#include "hazard.h"
#include "slots.h"
#include "socket.h"

static __always_inline void note_next(__u64 at_ns)
{
	if (!control.next_look_ns || at_ns < control.next_look_ns)
		control.next_look_ns = at_ns;
}

/* --- the moment between two system calls
 * --------------------------------------------------------------------
 *
 * A program that sends or reads on and on is outside of a system call on its socket for a
 * microsecond at a time. One look in a pass would hardly ever meet that.
 */

struct moment {
	__u64 socket, psock; /* of which is waited for */
	__u64 until_ns;
	bool is_there;
};

static __always_inline bool is_between_calls(__u64 socket)
{
	return !BPF_CORE_READ((struct sock *)socket, sk_lock.owned);
}

static __always_inline bool is_let_go(__u64 psock)
{
	return BPF_CORE_READ((struct sk_psock *)psock, refcnt.refs.counter) == 1;
}

static __always_inline bool is_moment(const struct moment *moment)
{
	__u64 socket = moment->socket, psock = moment->psock;

	return psock ? is_let_go(psock) : is_between_calls(socket);
}

static long wait_a_moment(__u32 round, void *context)
{
	struct moment *moment = context;

	moment->is_there = is_moment(moment);
	return moment->is_there || bpf_ktime_get_ns() > moment->until_ns;
}

static __always_inline bool await_moment(__u64 socket, __u64 psock)
{
	struct moment moment = {.socket = socket, .psock = psock};
	__u64 now;

	if (is_moment(&moment))
		return true;
	if (control.moments_ns > SA_MOMENTS_NS)
		return false;
	now = bpf_ktime_get_ns();
	moment.until_ns = now + SA_MOMENT_NS;
	bpf_loop(SA_WAIT_ROUNDS, wait_a_moment, &moment, 0);
	control.moments_ns += bpf_ktime_get_ns() - now;
	return moment.is_there;
}

/* --- may this socket be enrolled?
 * -------------------------------------------------------------------- */

/* What stands against enrolling this socket at the moment; NONE if nothing does. */
SEPARATELY_VERIFIED __u32 obstacle(__u64 address, __u64 cookie, __u32 may_block)
{
	struct sock *sk = (struct sock *)address;
	struct tcp_sock *tp = (struct tcp_sock *)address;
	struct file *file;
	__u32 reason;

	if (!is_alive(address, cookie))
		return SA_REASON_CLOSED;
	if (BPF_CORE_READ(sk, __sk_common.skc_state) != BPF_TCP_ESTABLISHED ||
	    BPF_CORE_READ(sk, sk_shutdown) || BPF_CORE_READ(sk, sk_err))
		return SA_REASON_STATE;
	reason = obstacle_of_kind(address);
	if (reason)
		return reason;
	file = BPF_CORE_READ(sk, sk_socket, file);
	if (!file)
		return SA_REASON_NOT_ACCEPTED;
	if (!may_block && !(BPF_CORE_READ(file, f_flags) & O_NONBLOCK))
		return SA_REASON_BLOCKING;
	return obstacle_of_options(tp, false);
}

static __always_inline __u64 user_namespace_of(__u64 address)
{
	struct sock *sk = (struct sock *)address;

	return (__u64)BPF_CORE_READ(sk, sk_socket, file, f_cred, user_ns);
}

/*
 * How many are asleep inside recv() on this socket? Pollers wait with functions of their own. Of
 * more than eight waiters all are taken for sleepers.
 */
SEPARATELY_VERIFIED int sleepers_on(__u64 address)
{
	struct sock *sk = (struct sock *)address;
	struct socket_wq *wq = BPF_CORE_READ(sk, sk_wq);
	__u64 head, node;
	int count = 0;

	if (!wq)
		return 0;
	head = (__u64)wq + bpf_core_field_offset(struct socket_wq, wait) +
	       bpf_core_field_offset(struct wait_queue_head, head);
	node = (__u64)BPF_CORE_READ((struct list_head *)head, next);
	for (int i = 0; i < 8; i++) {
		struct wait_queue_entry *entry;

		if (node == head || !node)
			return count;
		entry = (void *)(node - bpf_core_field_offset(struct wait_queue_entry, entry));
		if ((__u64)BPF_CORE_READ(entry, func) == control.woken_wake_function)
			count++;
		node = (__u64)BPF_CORE_READ((struct list_head *)node, next);
	}
	return 8;
}

/*
 * Went one of them to sleep by TCP's queue, before the socket was in the SOCKHASH? He would never
 * see redirected data. Those that came later hold its psock (tcp_bpf_recvmsg).
 */
static __always_inline bool has_stranded(__u64 address)
{
	int sleepers = sleepers_on(address); /* first: one that wakes meanwhile lets his psock go */
	struct sk_psock *psock = psock_of((struct sock *)address);

	return sleepers && (!psock || sleepers > BPF_CORE_READ(psock, refcnt.refs.counter) - 1);
}

/* --- does it gain?
 * ----------------------------------------------------------------------------------- */

/* By segment_sent() in pair.bpf.c. */
static __always_inline bool can_be_woken(__u64 address)
{
	struct tcp_sock *tp = (struct tcp_sock *)address;

	return BPF_CORE_READ(tp, bpf_sock_ops_cb_flags) & BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG;
}

/*
 * Is there a program that is called for its traffic, and its end? Of one that was open before it
 * was covered, maybe not.
 */
static __always_inline bool is_heard(__u64 address)
{
	struct tcp_sock *tp = (struct tcp_sock *)address;

	return BPF_CORE_READ(tp, bpf_sock_ops_cb_flags) & BPF_SOCK_OPS_RTT_CB_FLAG;
}

static __always_inline bool is_unheard(const struct sa_half *half)
{
	return half->adopted &&
	       !(is_heard(half->claim[SA_CLIENT].sk) && is_heard(half->claim[SA_SERVER].sk));
}

/*
 * Nobody could wake this reader, and it may need it. Who is with no epoll at a look, and has
 * traffic, uses poll(2), select(2) or none: those look again at what is there.
 */
static __always_inline bool needs_waking(__u64 address)
{
	return !is_heard(address) && how_read(address) == READING_EDGE;
}

/* Of one end, with the server's port as it sees it. */
static __always_inline struct sa_proof *known_proof_at(const struct sa_half *half, __u32 role)
{
	const struct sa_claim *claim = &half->claim[role & 1];

	return known_proof_of(half->rule, claim->cgroup,
			      role == SA_CLIENT ? claim->tuple.remote_port
						: claim->tuple.local_port);
}

/* Was a one-way stream tried at one of these ends lately, and had small writes? */
static __always_inline bool is_vain(const struct sa_half *half)
{
	__u64 now = bpf_ktime_get_ns();

	for (int role = 0; role < 2; role++) {
		struct sa_proof *proof = known_proof_at(half, role);

		if (proof && proof->vain_ns && now - proof->vain_ns < SA_VAIN_NS)
			return true;
	}
	return false;
}

static __always_inline void note_vain(const struct sa_half *half, __u64 now)
{
	for (int role = 0; role < 2; role++) {
		struct sa_proof *proof = known_proof_at(half, role);

		if (proof)
			proof->vain_ns = now;
	}
}

/*
 * What TCP makes of it, for the gate to compare with: the best of some looks, as TCP's own speed
 * differs by a third from one tenth of a second to the next. The first look is at how it began. Who
 * sends less than SA_RATE_LEAST spends too little time on copying to lose by it; who has entered at
 * connect has never had TCP by itself. False: there are looks to come.
 */
static __always_inline bool measure_rate(struct sa_half *half, const __u64 sent[2], __u64 now)
{
	__u64 since = half->looked_ns ?: half->claim[SA_CLIENT].born_ns;
	__u64 ms = (now - since) / SA_MS ?: 1;
	bool is_begin = !half->rate_looks;

	if (half->slot != SA_NO_SLOT || half->rate_looks > SA_RATE_LOOKS)
		return true;
	if (is_begin && sent[0] / ms < SA_RATE_LEAST && sent[1] / ms < SA_RATE_LEAST)
		return true;
	for (int role = 0; role < 2 && !is_begin; role++)
		if (sent[role] / ms > half->tcp_rate[role])
			half->tcp_rate[role] = sent[role] / ms;
	half->rate_looks++;
	return half->rate_looks > SA_RATE_LOOKS;
}

/*
 * From what both ends sent since the last look: both sides in turn gain at any size, one side alone
 * only with large writes. Segments hide the size of writes where the MTU is small, so a fast
 * one-way stream is tried, too: the gate sees its real writes and gives it back if they are small.
 * What is not woken by calls that pair.bpf.c has switched off waits until it sends, which brings
 * them back.
 */
static __always_inline __u32 pattern(struct sa_half *half)
{
	struct tcp_sock *client = (struct tcp_sock *)half->claim[SA_CLIENT].sk;
	struct tcp_sock *server = (struct tcp_sock *)half->claim[SA_SERVER].sk;
	__u64 bytes[2] = {BPF_CORE_READ(client, bytes_sent), BPF_CORE_READ(server, bytes_sent)};
	__u32 segments[2] = {BPF_CORE_READ(client, data_segs_out),
			     BPF_CORE_READ(server, data_segs_out)};
	__u64 sent[2] = {bytes[0] - half->bytes_sent[0], bytes[1] - half->bytes_sent[1]};
	__u32 by_client = segments[0] - half->segments_sent[0];
	__u32 by_server = segments[1] - half->segments_sent[1];
	__u32 more = by_client > by_server ? by_client : by_server;
	__u32 less = by_client > by_server ? by_server : by_client;
	__u64 both = sent[0] + sent[1];
	__u64 now = bpf_ktime_get_ns();
	bool is_known;

	bool is_silent =
		!is_unheard(half) && ((!by_client && !can_be_woken(half->claim[SA_CLIENT].sk)) ||
				      (!by_server && !can_be_woken(half->claim[SA_SERVER].sk)));

	if (!more)
		return SA_REASON_IDLE;
	/* A stream has nobody to wait for. */
	is_known = !less || is_silent || measure_rate(half, sent, now);
	half->looked_ns = now;
	half->bytes_sent[0] = bytes[0];
	half->bytes_sent[1] = bytes[1];
	half->segments_sent[0] = segments[0];
	half->segments_sent[1] = segments[1];
	if (is_silent)
		return SA_REASON_SILENT;
	if ((__u64)less * 16 < more &&
	    ((both < (__u64)more * SA_LARGE_WRITE && both < 4 << 20) || is_vain(half)))
		return SA_REASON_PATTERN;
	return is_known ? SA_REASON_NONE : SA_REASON_MEASURING;
}

/* (rule, cgroup, port) has to be watched for the rule's prove time first, at both ends. */
static __always_inline __u64 proven_at(__u32 rule, __u64 cgroup, __u16 port, __u64 now)
{
	struct sa_proof *proof = proof_of(rule, cgroup, port, now);

	return (proof ? proof->first_seen_ns : now) + rule_at(rule)->prove_ns;
}

/* What was seen at this (rule, cgroup, port), by whichever connection. */
static __always_inline __u32 hazards_at(__u32 rule, __u64 cgroup, __u16 port)
{
	struct sa_proof *proof = known_proof_of(rule, cgroup, port);

	return proof ? proof->hazards : 0;
}

/* Also what the end itself did before it had a rule. */
static __always_inline __u32 hazard_of(const struct sa_end *end, __u32 rule)
{
	__u32 hazards = *(volatile __u32 *)&end->hazards;

	return reason_of_hazards(hazards | hazards_at(rule, end->claim.cgroup, server_port(end)),
				 rule);
}

static __always_inline __u32 hazard_of_pair(const struct sa_half *half)
{
	__u32 hazards = 0;

	for (int role = 0; role < 2; role++) {
		struct sa_proof *proof = known_proof_at(half, role);

		if (proof)
			hazards |= proof->hazards;
	}
	return reason_of_hazards(hazards, half->rule);
}

/* What would stand against it, if the rule did more than observe. */
static __noinline __u32 look_at_observed(struct sa_half *half)
{
	struct sa_observation *seen;
	__u32 reasons[2];

	if (!half)
		return SA_REASON_POLICY;
	seen = observation_of(half);
	if (!seen)
		return SA_REASON_OBSERVED;
	for (int role = 0; role < 2; role++)
		reasons[role] = obstacle(half->claim[role].sk, half->claim[role].cookie, false);
	if (!reasons[SA_CLIENT] && !reasons[SA_SERVER] &&
	    user_namespace_of(half->claim[SA_CLIENT].sk) !=
		    user_namespace_of(half->claim[SA_SERVER].sk))
		reasons[SA_CLIENT] = SA_REASON_USERNS;
	seen->looks++; /* by the steward alone, which runs once at a time */
	if (!reasons[SA_CLIENT] && !reasons[SA_SERVER])
		seen->eligible++;
	for (int role = 0; role < 2; role++)
		if (reasons[role])
			seen->obstacles[role] |= 1ull << (reasons[role] & 63);
	return SA_REASON_OBSERVED;
}

static __always_inline struct net *netns_of(const struct sa_claim *claim)
{
	struct sock *sk = (struct sock *)claim->sk;

	return BPF_CORE_READ(sk, __sk_common.skc_net.net);
}

static __always_inline bool has_own_root(struct net *netns)
{
	return BPF_CORE_READ(netns, user_ns, level);
}

/*
 * Of a claim that was not made at the handshake: TCP_REPAIR lets who is root of a socket's network
 * namespace choose its numbers. That may be anybody, of one that is not the host's; within it he is
 * among his own.
 */
static __always_inline bool may_be_forged(const struct sa_half *half)
{
	const struct sa_claim *client = &half->claim[SA_CLIENT];
	const struct sa_claim *server = &half->claim[SA_SERVER];
	struct net *of_client = netns_of(client), *of_server = netns_of(server);

	return of_client != of_server && ((client->late && has_own_root(of_client)) ||
					  (server->late && has_own_root(of_server)));
}

/*
 * Do the ends agree on what was written and what has arrived? Read in this order it holds also
 * under traffic. Not with snd_nxt: it grows when a segment is gone, which may have arrived by then
 * (tcp_write_xmit).
 */
SEPARATELY_VERIFIED int is_in_step(__u64 sender, __u64 receiver)
{
	struct tcp_sock *from = (struct tcp_sock *)sender, *to = (struct tcp_sock *)receiver;
	__u32 acknowledged = BPF_CORE_READ(from, snd_una);
	__u32 arrived = BPF_CORE_READ(to, rcv_nxt);
	__u32 written = BPF_CORE_READ(from, write_seq);

	return arrived - acknowledged <= written - acknowledged;
}

/*
 * Who claims at the handshake cannot know its numbers from others yet. Of a later claim the ends
 * have to agree on more than these.
 */
static __always_inline bool is_out_of_step(const struct sa_half *half)
{
	const struct sa_claim *client = &half->claim[SA_CLIENT];
	const struct sa_claim *server = &half->claim[SA_SERVER];

	return (client->late || server->late) &&
	       !(is_in_step(client->sk, server->sk) && is_in_step(server->sk, client->sk));
}

/* Of the ends and of what passes between them; whether one blocks is asked, or not. */
static __noinline __u32 why_not_these(struct sa_half *half, __u32 may_block)
{
	__u32 reason;

	if (!half)
		return SA_REASON_POLICY;
	for (int role = 0; role < 2; role++) {
		reason = obstacle(half->claim[role].sk, half->claim[role].cookie, may_block);
		if (reason)
			return reason;
	}
	if (!(rule_at(half->rule)->tolerate & SA_TOLERATE_STALL) &&
	    user_namespace_of(half->claim[SA_CLIENT].sk) !=
		    user_namespace_of(half->claim[SA_SERVER].sk))
		return SA_REASON_USERNS;
	if (may_be_forged(half))
		return SA_REASON_USERNS;
	if (is_out_of_step(half)) {
		half->poison = SA_REASON_UNPROVEN;
		return SA_REASON_UNPROVEN;
	}
	reason = hazard_of_pair(half);
	if (reason)
		return reason;
	if (half->adopted &&
	    (needs_waking(half->claim[SA_CLIENT].sk) || needs_waking(half->claim[SA_SERVER].sk)))
		return SA_REASON_OPEN_BEFORE;
	return pattern(half);
}

/* `entered` is their pair, if they entered at connect. */
static __always_inline __u32 why_not(struct sa_half *half, const struct sa_pair *entered)
{
	struct sa_rule *rule;
	__u32 reason, besides;

	rule = rule_at(half->rule);
	if (rule->active && rule->action == SA_OBSERVE)
		return look_at_observed(half);
	if (!rule->active || rule->action != SA_ACCELERATE ||
	    is_in(control.drain_rules, half->rule))
		return SA_REASON_POLICY;
	if (is_paused(half->rule))
		return SA_REASON_PAUSED;
	reason = why_not_these(half, entered && may_block(entered));
	if (reason == SA_REASON_BLOCKING) {
		besides = why_not_these(half, true);
		if (besides != SA_REASON_IDLE && besides != SA_REASON_SILENT)
			half->besides = besides;
	}
	return reason;
}

/* --- enrolling
 * --------------------------------------------------------------------------------------- */

static __always_inline void put_aside(struct sa_half *half, __u32 reason, __u64 now)
{
	__u64 backoff = half->backoff_ns * 2;
	bool unheard = is_unheard(half); /* nobody would say that there is traffic */

	if (backoff < SA_PASS_INTERVAL_NS || reason == SA_REASON_MEASURING ||
	    (reason == SA_REASON_IDLE && !unheard))
		backoff = SA_PASS_INTERVAL_NS;
	if (backoff > SA_LOOK_BACKOFF_MAX_NS || reason == SA_REASON_COOLING)
		backoff = SA_LOOK_BACKOFF_MAX_NS;
	half->reason = reason;
	half->backoff_ns = backoff;
	half->next_look_ns = now + backoff;
	half->parked = !unheard;
	if (unheard)
		note_next(half->next_look_ns);
}

/* What it was put aside for does not stand any more. */
static __always_inline void look_anew(struct sa_half *half, __u64 now)
{
	half->parked = 0;
	half->next_look_ns = now;
	half->backoff_ns = 0;
}

static __always_inline bool begin_joining(struct sa_half *half, const struct sa_key *key, __u64 now)
{
	struct sa_pair *pair;
	__u32 slot;

	pair = take_slot(&slot);
	if (!pair)
		return false;
	set_pair(pair, half->rule, key, &half->claim[SA_CLIENT], now);
	set_side(pair, SA_SERVER, &half->claim[SA_SERVER]);
	pair->tcp_rate[SA_CLIENT] = half->tcp_rate[SA_CLIENT];
	pair->tcp_rate[SA_SERVER] = half->tcp_rate[SA_SERVER];
	if (is_translated(half))
		pair->tracked_ns = now;
	pair->unheard = is_unheard(half);
	pair->state = SA_JOINING;
	half->slot = slot;
	half->slot_generation = pair->generation;
	return true;
}

/*
 * A pair that has entered at connect could come back only by another connection. So it stays,
 * unless this lasts; and what does not gain at first may yet, after a look or two.
 */
static __always_inline bool is_final(struct sa_half *half, __u32 reason)
{
	if (reason == SA_REASON_PATTERN)
		return ++half->looks > SA_PATTERN_LOOKS;
	return !SA_MAY_JOIN_SOON(reason) && reason != SA_REASON_PAUSED;
}

/* On the client's visit: decides for the pair. */
static __always_inline void consider(struct sa_half *half, struct sa_end *end,
				     struct sa_pair *entered, __u64 now)
{
	struct sa_claim *server = &half->claim[SA_SERVER];
	__u64 proven, proven_server;
	__u32 reason;

	/* Resumed: looked at anew, however rarely it would be its turn. */
	if (half->reason == SA_REASON_PAUSED && !is_paused(half->rule)) {
		half->reason = SA_REASON_NONE;
		look_anew(half, now);
	}
	if (half->parked && !half->due)
		return;
	if (now < half->next_look_ns) {
		control.candidates++;
		note_next(half->next_look_ns);
		return;
	}
	half->due = half->parked = 0;
	if (entered && entered->inserted != 3) {
		entered->reason = SA_REASON_BLOCKING; /* its server stayed out */
		return;
	}
	proven = proven_at(half->rule, end->claim.cgroup, server_port(end), now);
	reason = why_not(half, entered);
	if (!reason && entered &&
	    (has_stranded(half->claim[SA_CLIENT].sk) || has_stranded(server->sk)))
		reason = SA_REASON_BUSY;
	if (reason) {
		if (entered && is_final(half, reason))
			entered->reason = reason;
		put_aside(half, reason, now);
		return;
	}
	/* The server's began on its own visit, if that was before. */
	proven_server = proven_at(half->rule, server->cgroup, server->tuple.local_port, now);
	if (proven < proven_server)
		proven = proven_server;
	if (now < proven) {
		put_aside(half, SA_REASON_PROVING, now);
		half->next_look_ns = proven;
		return;
	}
	if (entered) { /* nobody can be on the old path: the gate may open at once */
		entered->open_ns = entered->since_ns = now;
		__sync_val_compare_and_swap(&entered->state, SA_ENTERED, SA_OPENING);
	} else if (!begin_joining(half, &end->key, now)) {
		put_aside(half, SA_REASON_FULL, now);
		return;
	}
	half->reason = SA_REASON_OPENING;
}

/* Was it the right socket that went in? */
static __always_inline bool is_still(struct sock *sk, const struct sa_end *end)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;

	return (__u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) == end->claim.cookie &&
	       BPF_CORE_READ(sk, __sk_common.skc_state) == BPF_TCP_ESTABLISHED &&
	       !BPF_CORE_READ(tp, inet_conn.icsk_ulp_ops);
}

static __always_inline void join(struct sock *sk, struct sa_end *end, struct sa_pair *pair,
				 __u32 slot, __u64 now)
{
	__u32 bit = 1u << (end->role & 1);
	__u64 key = end->claim.cookie;
	__u32 reason;
	long error;

	control.candidates++;
	note_next(now + SA_PASS_INTERVAL_NS);
	if (pair->reason || pair->inserted & bit)
		return;
	/* Its claim has the visited socket's address as a number; obstacle() compares the cookie.
	 */
	reason = obstacle(end->claim.sk, end->claim.cookie, false);
	if (!reason)
		reason = hazard_of(end, pair->rule);
	if (reason) {
		pair->reason = reason;
		return;
	}
	if (!await_moment(end->claim.sk, 0) || sleepers_on(end->claim.sk)) {
		if (now - pair->since_ns > SA_JOIN_TIMEOUT_NS)
			pair->reason = SA_REASON_BUSY;
		return;
	}
	/* Without a program of its own, another map would share its psock with ours. */
	error = psock_of(sk) ? -EBUSY : bpf_map_update_elem(&sockets, &key, sk, BPF_NOEXIST);
	if (error ==
	    -EBUSY) { /* somebody else's, or our own from before that is still being let go */
		if (now - pair->since_ns > SA_JOIN_TIMEOUT_NS)
			pair->reason = SA_REASON_FOREIGN;
		return;
	}
	if (error) {
		if (error == -E2BIG)
			note_limit(SA_LIMIT_CONNECTIONS);
		pair->reason = error == -E2BIG ? SA_REASON_FULL : SA_REASON_INSERT;
		return;
	}
	if (!is_still(sk, end)) {
		bpf_map_delete_elem(&sockets, &key);
		pair->reason = SA_REASON_STATE;
		return;
	}
	end->slot_generation = pair->generation;
	/* A full barrier, as in the witness: it sees the slot, or its mark is seen here. */
	__sync_lock_test_and_set(&end->slot, slot);
	pair->wish = hazard_of(end, pair->rule) ?: pair->wish;
	end->reason = SA_REASON_OPENING;
	end->sample_messages = end->sample_bytes = end->sample_tcp = end->sample_peer_messages = 0;
	end->samples = end->trial_messages = end->trial_bytes = 0;
	end->gains = end->losses = 0;
	end->rated_ns = end->rated_bytes = 0;
	if (pair->tcp_rate[end->role & 1])
		end->measured_ns = now;
	end->losing_since_ns = 0;
	end->half_done = 1;
	if (pair->inserted && pair->netns != end->netns)
		pair->tracked_ns = now; /* there may be a firewall between them */
	pair->netns = end->netns;
	pair->inserted |= bit;
	if (pair->inserted != 3)
		return;
	pair->open_ns = now + SA_OPEN_DELAY_NS;
	pair->since_ns = now;
	pair->state = SA_OPENING;
	note_next(pair->open_ns);
}

/* After a change of the policy: what the end says of itself today. */
static __always_inline void refresh(struct sock *sk, struct sa_end *end)
{
	if (end->claim.match.generation != generation_now())
		find_rules(&end->claim, cgroup_of(sk), end->role & 1);
}

/* The policy has changed since the half's rule was decided. False: one of its ends is still to be
 * visited. */
static __always_inline bool decide_again(struct sa_half *half, const struct sa_end *end, __u64 now)
{
	__u32 before = half->rule;
	struct sa_pair *pair;

	if (half->claim[SA_CLIENT].match.generation != generation_now() || !decide(half))
		return false;
	look_anew(half, now); /* what was put aside by the old policy is looked at by the new one */
	note_next(now);	      /* on the client's visit, which may have been before this one */
	if (half->rule == before)
		return true;
	if (half->rule < SA_MAX_RULES)
		tell_paired(half, &end->key);
	pair = pair_at(half->slot, half->slot_generation);
	if (pair && pair->state == SA_JOINING)
		pair->reason = SA_REASON_POLICY;
	return true;
}

/* Does the policy of today still give an enrolled pair to its rule? */
static __always_inline void reconsider(struct sock *sk, struct sa_end *end)
{
	struct sa_pair *pair = pair_at(end->slot, end->slot_generation);
	struct sa_match *client, *server;

	if (!pair)
		return;
	refresh(sk, end);
	pair->side[end->role & 1].match = end->claim.match;
	client = &pair->side[SA_CLIENT].match;
	server = &pair->side[SA_SERVER].match;
	if (client->generation == server->generation && deciding_rule(client, server) != pair->rule)
		pair->wish = SA_REASON_POLICY;
	if (!pair->wish)
		pair->wish = hazard_of(end, pair->rule);
}

static __always_inline void forget(struct sock *sk)
{
	bpf_sk_storage_delete(&candidates, sk);
	bpf_sk_storage_delete(&ends, sk);
}

/*
 * There is no slot for it. While that is so it shall cost nothing, and take no place in the table
 * of halves from those that may find one: with traffic, and a slot, it claims again.
 */
static __always_inline void turn_away(struct sock *sk, struct sa_end *end, __u64 now)
{
	if (end->reason != SA_REASON_FULL && end->role == SA_CLIENT)
		note_limit(SA_LIMIT_CONNECTIONS);
	end->reason = SA_REASON_FULL;
	end->cool_until_ns = now + SA_FULL_RETRY_NS;
	end->half_done = 1;
	bpf_sk_storage_delete(&candidates, sk);
}

/* Takes back a claim that found nobody. */
static __always_inline void withdraw(const struct sa_key *key, __u32 role, __u64 cookie)
{
	struct sa_half *half = bpf_map_lookup_elem(&halves, key);

	if (half && !half->matched && half->claim[role & 1].cookie == cookie &&
	    !half->claim[!(role & 1)].cookie)
		bpf_map_delete_elem(&halves, key);
}

/* By which of its two claims one that was open before has found its other end. */
static __always_inline void find_role(struct sock *sk, struct sa_end *end)
{
	struct sa_key as_client = end->key, as_server;
	struct sa_half *half = bpf_map_lookup_elem(&halves, &as_client);
	__u64 cookie = end->claim.cookie;

	other_reading(&as_server, &as_client);
	if (half && half->matched && half->claim[SA_CLIENT].cookie == cookie) {
		withdraw(&as_server, SA_SERVER, cookie);
	} else {
		half = bpf_map_lookup_elem(&halves, &as_server);
		if (!half || !half->matched || half->claim[SA_SERVER].cookie != cookie)
			return;
		withdraw(&as_client, SA_CLIENT, cookie);
		end->key = as_server;
		end->role = SA_SERVER;
		find_rules(&end->claim, cgroup_of(sk), SA_SERVER);
	}
	end->is_role_open = 0;
	count_from_now(half, SA_CLIENT, half->claim[SA_CLIENT].sk);
	count_from_now(half, SA_SERVER, half->claim[SA_SERVER].sk);
}

/* Its other end is not covered, or not here: forgotten, now or by a later pass. */
static __always_inline void expire(struct sock *sk, const struct sa_end *end, __u64 now)
{
	if (now - end->claim.born_ns > SA_HALF_LIFE_NS) {
		struct sa_key as_server;

		control.half_expired++;
		if (end->is_role_open) {
			other_reading(&as_server, &end->key);
			withdraw(&as_server, SA_SERVER, end->claim.cookie);
		}
		bpf_map_delete_elem(&halves, &end->key);
		forget(sk);
		return;
	}
	control.expiry_due = 1;
	note_next((end->claim.born_ns + SA_HALF_LIFE_NS) / SA_EXPIRY_STEP_NS * SA_EXPIRY_STEP_NS +
		  SA_EXPIRY_STEP_NS);
}

SEC("iter/bpf_sk_storage_map")
int sa_enrol(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sa_candidate *candidate = ctx->value;
	struct sock *sk = ctx->sk;
	__u64 now = bpf_ktime_get_ns();
	struct sa_pair *pair, *entered = NULL;
	struct sa_half *half;
	struct sa_end *end;
	__u32 role;

	if (!ctx->meta->seq_num)
		control.moments_ns = 0;
	if (!sk || !candidate)
		return 0;
	end = bpf_sk_storage_get(&ends, sk, NULL, 0);
	if (!end) {
		bpf_sk_storage_delete(&candidates, sk);
		return 0;
	}
	if (end->claimed != SA_CLAIMED) { /* pair.bpf.c is about to, on another CPU */
		note_next(now + SA_MS);
		return 0;
	}
	if (end->is_role_open)
		find_role(sk, end);
	role = end->role & 1;
	if (end->slot != SA_NO_SLOT) {
		pair = pair_at(end->slot, end->slot_generation);
		if (pair && pair->state == SA_OPENING)
			return 0; /* it may have to come back */
		if (pair && pair->state != SA_JOINING && pair->state != SA_ENTERED) {
			bpf_sk_storage_delete(&candidates, sk); /* it has arrived */
			return 0;
		}
		if (pair && pair->state == SA_ENTERED)
			entered = pair;
		was_evicted(end, now); /* or could not join: its half says why */
	}
	refresh(sk, end);
	half = bpf_map_lookup_elem(&halves, &end->key);
	if (!half || (!half->claim[role].cookie && end->matched)) {
		if (!end->matched) { /* what expires goes with its half: this one gave way */
			note_limit(SA_LIMIT_HALVES);
			forget(sk);
			return 0;
		}
		if (is_full() && !entered) {
			turn_away(sk, end, now);
			return 0;
		}
		if (is_cooling(end, now)) {
			bpf_sk_storage_delete(&candidates,
					      sk); /* until it has traffic after that */
			return 0;
		}
		/* It gave way to others, the other end has claimed again, or the policy changed. */
		if (!half && !end->half_done)
			note_limit(SA_LIMIT_HALVES);
		end->half_done = 0;
		claim(end);
		half = bpf_map_lookup_elem(&halves, &end->key);
		if (!half)
			return 0;
		if (!half->matched) {
			control.revisit = 1; /* for the other end */
			note_next(now);
		}
	}
	if (entered) { /* in case that the half is a new one */
		half->slot = end->slot;
		half->slot_generation = end->slot_generation;
	}
	if (half->poison || half->claim[role].cookie != end->claim.cookie) {
		end->reason = half->poison ?: SA_REASON_AMBIGUOUS;
		if (entered)
			entered->reason = end->reason;
		end->peer_uid = half->claim[!role].uid;
		if (!end->matched && half->rule >= SA_MAX_RULES) {
			forget(sk); /* no rule covers it either */
			return 0;
		}
		if (!end->matched)
			end->rule = half->rule;
		bpf_sk_storage_delete(&candidates, sk);
		return 0;
	}
	if (!half->matched) {
		if (!end->matched)
			expire(sk, end, now);
		return 0;
	}
	if (half->claim[role].match.generation != end->claim.match.generation)
		half->claim[role].match = end->claim.match;
	if (half->generation != generation_now() && !decide_again(half, end, now))
		return 0; /* when the other end is visited */
	if (half->rule >= SA_MAX_RULES) {
		if (entered)
			entered->reason = SA_REASON_POLICY;
		if (!end->matched) {
			forget(sk);
			return 0;
		}
		end->reason = SA_REASON_POLICY;
		end->observed = 0;
		bpf_sk_storage_delete(&candidates, sk);
		return 0;
	}
	end->matched = 1;
	end->peer_uid = half->claim[!role].uid;
	end->rule = half->rule;
	end->observed = is_observed(half->rule);
	if (end->hazards)
		keep_hazards(end, half->rule, now);
	if (role == SA_CLIENT && (half->slot == SA_NO_SLOT || entered))
		consider(half, end, entered, now);
	else if (half->slot == SA_NO_SLOT)
		proven_at(half->rule, end->claim.cgroup, server_port(end), now);
	if (!is_cooling(end, now)) /* no need to hear of traffic before */
		end->cool_until_ns = half->parked ? half->next_look_ns : 0;
	if (half->slot == SA_NO_SLOT && half->reason == SA_REASON_FULL) {
		bpf_map_delete_elem(&halves, &end->key);
		turn_away(sk, end, now);
		return 0;
	}
	end->reason = half->reason;
	end->besides = half->besides;
	if (half->slot == SA_NO_SLOT)
		return 0;
	pair = pair_at(half->slot, half->slot_generation);
	if (pair && pair->state == SA_JOINING)
		join(sk, end, pair, half->slot, now);
	return 0;
}

SEC("iter/bpf_sk_storage_map")
int sa_revisit(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	__u64 now = bpf_ktime_get_ns();
	struct sa_half *half;
	struct sa_end *end;
	bool is_wanted;

	if (!sk)
		return 0;
	/* Not ctx->value: 6.1 takes no key from it. */
	end = bpf_sk_storage_get(&ends, sk, NULL, 0);
	if (!end || !end->matched)
		return 0;
	was_evicted(end, now);
	if (end->slot != SA_NO_SLOT) {
		reconsider(sk, end);
		return 0;
	}
	half = bpf_map_lookup_elem(&halves, &end->key);
	is_wanted = half && !half->claim[end->role & 1].cookie; /* by the other end */
	if (!is_wanted && end->claim.match.generation != generation_now())
		is_wanted = !is_cooling(end, now);
	if (is_wanted)
		bpf_sk_storage_get(&candidates, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	return 0;
}

/* --- pairs
 * ------------------------------------------------------------------------------------------- */

static __always_inline void tell(struct sa_pair *pair, __u32 type, __u32 reason, __u64 now)
{
	struct sa_counters *counters = counters_of(pair->rule);
	struct sa_event event = {
		.time_ns = now,
		.type = type,
		.reason = reason,
		.rule = pair->rule,
		.key = pair->key,
		.cookie = {pair->side[SA_CLIENT].cookie, pair->side[SA_SERVER].cookie},
		.client = pair->client,
		.client_uid = pair->side[SA_CLIENT].uid,
		.server_uid = pair->side[SA_SERVER].uid,
	};

	if (counters)
		__sync_fetch_and_add(type == SA_EVENT_LEFT ? &counters->left : &counters->enrolled,
				     1);
	if (control.events_wanted)
		bpf_ringbuf_output(&events, &event, sizeof(event), 0);
}

static __always_inline void tell_left(struct sa_pair *pair, __u32 reason, __u64 now)
{
	if (!pair->told)
		return;
	pair->told = 0;
	tell(pair, SA_EVENT_LEFT, reason, now);
}

/* Only when nothing redirected is unread or under way. */
static __always_inline void take_out(struct sa_pair *pair)
{
	for (int role = 0; role < 2; role++) {
		__u64 key = pair->side[role].cookie;

		bpf_map_delete_elem(&sockets, &key);
	}
}

/* Nothing was redirected yet: both may simply go. Their half says why, and when to look again. */
static __always_inline void abort_join(struct sa_pair *pair, __u32 slot, __u32 reason, __u64 now)
{
	struct sa_half *half = bpf_map_lookup_elem(&halves, &pair->key);

	take_out(pair);
	if (half && half->slot == slot) {
		half->slot = SA_NO_SLOT;
		put_aside(half, reason, now);
		if (reason == SA_REASON_COOLING)
			note_vain(half, now);
	}
	pair->reason = reason;
	free_slot(pair, slot);
}

/*
 * Is it certain that nothing redirected is queued or under way, in either direction? Each
 * tcp_bpf_sendmsg holds its own psock from before the verdict until after the message is queued; so
 * once the gate is closed, a reference count of one (the map's) on both says that no message is in
 * flight, and after that an empty list stays empty. No time-out could prove that.
 */
static __always_inline bool is_quiet(struct sa_pair *pair)
{
	struct sk_psock *a = psock_of((struct sock *)pair->side[0].sk);
	struct sk_psock *b = psock_of((struct sock *)pair->side[1].sk);

	if (!a || !b)
		return false;
	if (!await_moment(0, (__u64)a) || !await_moment(0, (__u64)b))
		return false;
	return is_ingress_empty(a) && is_ingress_empty(b);
}

static __always_inline bool is_closed(const struct sa_side *side)
{
	struct sock *sk = (struct sock *)side->sk;

	return BPF_CORE_READ(sk, __sk_common.skc_state) == BPF_TCP_CLOSE;
}

/*
 * The same for one end of a connection that is over. A socket that is closed has no psock
 * (sock_map_unhash), so nothing redirected waits in it. This is also how one is told whose memory
 * has been given to another use that left its cookie there, and something else for its references.
 */
static __always_inline bool is_quiet_alone(const struct sa_side *side)
{
	struct sk_psock *psock = psock_of((struct sock *)side->sk);

	if (!psock)
		return is_closed(side);
	return BPF_CORE_READ(psock, refcnt.refs.counter) == 1 && is_ingress_empty(psock);
}

/*
 * Takes back the budget of what this end has sent, if the receiver has read it all. If a message is
 * in flight, it is paid for by what is put back.
 */
static __always_inline void reclaim(struct sa_side *sender, struct sa_side *receiver)
{
	__u64 charged = sender->charged_bytes;
	struct sk_psock *psock;

	if (!charged || has_unread((struct sock *)receiver->sk))
		return;
	if (__sync_val_compare_and_swap(&sender->charged_bytes, charged, 0) != charged)
		return;
	psock = psock_of((struct sock *)sender->sk);
	if ((psock && BPF_CORE_READ(psock, refcnt.refs.counter) != 1) ||
	    has_unread((struct sock *)receiver->sk)) {
		if (!__sync_val_compare_and_swap(&sender->charged_bytes, 0, charged))
			return;
	}
	__sync_fetch_and_add(&control.budget_used_bytes, -charged);
}

static __always_inline void open_gate(struct sa_pair *pair, __u32 slot, __u64 now)
{
	__u32 blocks = may_block(pair);
	__u32 reason = obstacle(pair->side[SA_CLIENT].sk, pair->side[SA_CLIENT].cookie, blocks);

	if (!reason)
		reason = obstacle(pair->side[SA_SERVER].sk, pair->side[SA_SERVER].cookie, blocks);
	if (!reason && pair->unheard) {
		if (needs_waking(pair->side[SA_CLIENT].sk) ||
		    needs_waking(pair->side[SA_SERVER].sk))
			reason = SA_REASON_OPEN_BEFORE;
	} else if (!reason && !(can_be_woken(pair->side[SA_CLIENT].sk) &&
				can_be_woken(pair->side[SA_SERVER].sk))) {
		if (now - pair->since_ns < SA_JOIN_TIMEOUT_NS) {
			note_next(now + SA_PASS_INTERVAL_NS);
			return; /* the next acknowledgement brings the calls back */
		}
		reason = SA_REASON_SILENT;
	}
	if (reason) {
		abort_join(pair, slot, reason, now);
		return;
	}
	bpf_map_delete_elem(&halves, &pair->key);
	pair->since_ns = now;
	pair->told = 1;
	__sync_lock_test_and_set(&pair->state, SA_LIVE);
	tell(pair, SA_EVENT_ENROLLED, SA_REASON_NONE, now);
}

/* May TCP data reach this end at once, or would it meet redirected data in a read? */
static __always_inline bool may_get_tcp(const struct sa_side *side)
{
	struct sock *sk = (struct sock *)side->sk;

	return !has_unread(sk) || how_read((__u64)sk) == READING_LEVEL;
}

/* Closes the gate when that harms no reader, or after a while. */
static __always_inline void close_gate(struct sa_pair *pair, __u64 now)
{
	control.leaving++;
	note_next(now + SA_MS);
	if (now - pair->since_ns < SA_LEAVE_NS &&
	    !(may_get_tcp(&pair->side[SA_CLIENT]) && may_get_tcp(&pair->side[SA_SERVER])))
		return;
	pair->since_ns = now;
	/* A full barrier: senders that begin from here on see it. is_quiet() waits for those that
	 * did not. */
	__sync_lock_test_and_set(&pair->state, SA_DRAINING);
}

static __always_inline void leave(struct sa_pair *pair, __u32 reason, __u64 now)
{
	pair->reason = reason;
	pair->since_ns = now;
	__sync_lock_test_and_set(&pair->state, SA_LEAVING);
	close_gate(pair, now);
}

static __always_inline bool is_waiting(const struct sa_side *side)
{
	return may_sleep_on_tcp((struct tcp_sock *)side->sk, side);
}

static __always_inline void finish_drain(struct sa_pair *pair, __u32 slot, __u64 now)
{
	if (!is_quiet(pair) || is_waiting(&pair->side[SA_CLIENT]) ||
	    is_waiting(&pair->side[SA_SERVER])) {
		__u64 waited = now - pair->since_ns;

		control.leaving++;
		note_next(now + (waited > SA_PASS_INTERVAL_NS ? waited : SA_MS));
		return;
	}
	take_out(pair);
	tell_left(pair, pair->reason, now);
	free_slot(pair, slot);
}

/* Returns false once the slot is free. */
static __always_inline bool tend_closed(struct sa_pair *pair, __u32 slot, __u64 now)
{
	struct sa_side *client = &pair->side[SA_CLIENT], *server = &pair->side[SA_SERVER];
	bool client_alive = is_alive(client->sk, client->cookie);
	bool server_alive = is_alive(server->sk, server->cookie);
	struct sa_side *left_alone = client_alive ? client : server;

	if (client_alive && server_alive && !is_closed(client) && !is_closed(server))
		return true;
	if (pair->state != SA_ABANDONED) {
		tell_left(pair, SA_REASON_CLOSED, now);
		pair->reason = SA_REASON_CLOSED;
		pair->since_ns = now;
		__sync_lock_test_and_set(&pair->state, SA_ABANDONED);
	}
	/*
	 * Nobody tells when the last one reads what is left, or frees a socket that is closed: look
	 * again, ever more rarely.
	 */
	note_next(now + (now - pair->since_ns > SA_PASS_INTERVAL_NS ? now - pair->since_ns
								    : SA_PASS_INTERVAL_NS));
	if (client_alive && server_alive) {
		if (!is_quiet_alone(client) || !is_quiet_alone(server))
			return true;
	} else {
		/* What was sent to the one that is gone, is gone; what it has sent may be unread.
		 */
		give_back(left_alone);
		if ((client_alive || server_alive) && !is_quiet_alone(left_alone))
			return true;
	}
	take_out(pair);
	free_slot(pair, slot);
	return false;
}

/* The client has entered; its server does at its own ESTABLISHED, which may be late, or not at all.
 */
static __always_inline void await_server(struct sa_pair *pair, __u32 slot, __u64 now)
{
	const struct sa_side *client = &pair->side[SA_CLIENT];

	if (pair->reason || pair->wish || now - pair->since_ns > SA_HALF_LIFE_NS ||
	    !is_alive(client->sk, client->cookie))
		abort_join(pair, slot, pair->reason ?: pair->wish ?: SA_REASON_BLOCKING, now);
	else
		note_next(pair->since_ns + SA_HALF_LIFE_NS + SA_MS);
}

static __noinline void tend(struct sa_pair *pair, __u32 slot)
{
	__u64 now = bpf_ktime_get_ns();
	bool is_draining;

	if (!pair || pair->state == SA_FREE)
		return;
	if (pair->state == SA_ENTERED && pair->inserted != 3 &&
	    !is_closed(&pair->side[SA_CLIENT])) {
		await_server(pair, slot, now);
		return;
	}
	if (!tend_closed(pair, slot, now))
		return;
	is_draining = is_in(control.drain_rules, pair->rule);
	if (control.pressure) {
		reclaim(&pair->side[0], &pair->side[1]);
		reclaim(&pair->side[1], &pair->side[0]);
	}
	if (is_paused(pair->rule) && !pair->wish &&
	    (pair->state == SA_OPENING || pair->state == SA_LIVE))
		pair->wish = SA_REASON_PAUSED;
	switch (pair->state) {
	case SA_ENTERED:
		if (is_draining)
			abort_join(pair, slot, control.drain_reason, now);
		else if (pair->reason || pair->wish)
			abort_join(pair, slot, pair->reason ?: pair->wish, now);
		break; /* else the look at its candidates goes on */
	case SA_JOINING:
		if (is_draining)
			abort_join(pair, slot, control.drain_reason, now);
		else if (pair->reason || pair->wish)
			abort_join(pair, slot, pair->reason ?: pair->wish, now);
		else if (now - pair->since_ns > 2 * SA_JOIN_TIMEOUT_NS)
			abort_join(pair, slot, SA_REASON_BUSY, now);
		else
			note_next(now + SA_PASS_INTERVAL_NS);
		break;
	case SA_OPENING:
		if (is_draining)
			abort_join(pair, slot, control.drain_reason, now);
		else if (pair->wish)
			abort_join(pair, slot, pair->wish, now);
		else if (now >= pair->open_ns)
			open_gate(pair, slot, now);
		else
			note_next(pair->open_ns);
		break;
	case SA_LIVE:
		if (pair->unheard) {
			note_next(now + SA_UNHEARD_NS);
			if (needs_waking(pair->side[SA_CLIENT].sk) ||
			    needs_waking(pair->side[SA_SERVER].sk))
				pair->wish = SA_REASON_OPEN_BEFORE;
		}
		if (is_draining)
			leave(pair, control.drain_reason, now);
		else if (pair->wish == SA_REASON_SPLICE &&
			 (has_unread((struct sock *)pair->side[0].sk) ||
			  has_unread((struct sock *)pair->side[1].sk)))
			note_next(now + SA_SEC); /* splice(2) would see what TCP brings, and miss
						    what is before */
		else if (pair->wish)
			leave(pair, pair->wish, now);
		break;
	case SA_LEAVING:
		close_gate(pair, now);
		break;
	case SA_DRAINING:
		finish_drain(pair, slot, now);
		break;
	}
}

static long tend_slot(__u32 slot, void *unused)
{
	struct sa_pair *pair = bpf_map_lookup_elem(&pairs, &slot);

	tend(pair, slot);
	return 0;
}

SEC("iter/bpf_map_elem")
int sa_tend(struct bpf_iter__bpf_map_elem *ctx)
{
	if (!ctx->value)
		return 0;
	control.moments_ns = 0;
	bpf_loop(control.slots_used, tend_slot, NULL, 0);
	return 0;
}

/* Part of what never changes: see SA_ABI. */
SEC("iter/bpf_map_elem")
int sa_leave(struct bpf_iter__bpf_map_elem *ctx)
{
	__u32 remaining;

	if (!ctx->value)
		return 0;
	control.drain_reason = SA_REASON_STOPPED;
	control.drain_rules = ~0ull;
	control.moments_ns = 0;
	bpf_loop(control.slots_used, tend_slot, NULL, 0);
	remaining = control.slots_busy;
	bpf_seq_write(ctx->meta->seq, &remaining, sizeof(remaining));
	return 0;
}

/* --- reports
 * ----------------------------------------------------------------------------------------- */

/* `end` is the visited socket's; it is of a connection that can be shown. */
static __always_inline bool is_there(struct sock *sk, struct sa_end *end)
{
	if (!(end->matched || SA_IS_UNPAIRED(end->reason)))
		return false;
	was_evicted(end, bpf_ktime_get_ns());
	/* else it has ended, its program only keeps the socket */
	return end->slot != SA_NO_SLOT || BPF_CORE_READ(sk, __sk_common.skc_state) != BPF_TCP_CLOSE;
}

/* The ends of one that is not proven may be strangers: neither sees the other's. */
static __always_inline bool is_shown(const struct sa_end *end)
{
	__u32 uid = control.list_uid;
	bool is_own = end->claim.uid == uid, is_peers = end->peer_uid == uid;

	if (uid == SA_EVERYBODY)
		return true;
	return SA_IS_UNPAIRED(end->reason) ? is_own && is_peers : is_own || is_peers;
}

SEC("iter/bpf_sk_storage_map")
int sa_list(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct sa_pair *pair;
	struct sa_end *end;
	struct {
		__u64 queued_bytes;
		__u32 pair_state, pair_reason;
	} tail = {};

	if (!sk)
		return 0;
	end = bpf_sk_storage_get(&ends, sk, NULL, 0);
	if (!end || !is_there(sk, end))
		return 0;
	tail.queued_bytes = BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter);
	pair = pair_at(end->slot, end->slot_generation);
	if (pair) {
		tail.pair_state = pair->state;
		tail.pair_reason = pair->reason;
	}
	if (control.list_in_table &&
	    !(pair && IN_STATES(pair->state, 1u << SA_LIVE | 1u << SA_LEAVING | 1u << SA_DRAINING)))
		return 0;
	if (!is_shown(end)) {
		control.list_hidden += end->role == SA_CLIENT;
		return 0;
	}
	control.listed += end->role == SA_CLIENT;
	if ((end->key.client_isn ^ end->key.server_isn * 2654435761u) >= control.list_share)
		return 0; /* the same is said at the visit of its other end */
	bpf_seq_write(ctx->meta->seq, end, sizeof(*end));
	bpf_seq_write(ctx->meta->seq, &tail, sizeof(tail));
	return 0;
}

/* Touches as little memory as it can: with many connections none of it is in the cache. */
SEC("iter/bpf_sk_storage_map")
int sa_count(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct sa_end *end = ctx->value;
	struct sa_tally tally = {};
	struct sa_pair *pair;

	if (!sk || !end || end->role != SA_CLIENT || !is_there(sk, end))
		return 0;
	tally.rule = end->rule;
	tally.reason = end->reason;
	pair = pair_at(end->slot, end->slot_generation);
	if (pair) {
		tally.pair_state = pair->state;
		tally.pair_reason = pair->reason;
	}
	bpf_seq_write(ctx->meta->seq, &tally, sizeof(tally));
	return 0;
}

SEC("iter/bpf_sk_storage_map")
int sa_learn(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;

	if (!sk)
		return 0;
	control.sock_def_readable = (__u64)BPF_CORE_READ(sk, sk_data_ready);
	return 0;
}

/* By the kernel's own look-up: as a symbol of this object it would have libbpf read all of
 * /proc/kallsyms, which takes longer than everything else. As there, it wants CAP_SYSLOG where
 * kernel.kptr_restrict is not 0. */
SEC("syscall")
int sa_find_wake_function(void *ctx)
{
	char name[] = "woken_wake_function";
	__u64 address = 0;

	bpf_kallsyms_lookup_name(name, sizeof(name), 0, &address);
	control.woken_wake_function = address;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
