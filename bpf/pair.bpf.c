// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pairing: finds the two ends of one connection, and changes nothing about their sockets.
 *
 * Runs in sock_ops of each selected cgroup. An end that has talked claims a place in `halves` under
 * the two initial sequence numbers, which both ends know, whatever addresses NAT shows them.
 * Programs of nested cgroups run one after the other for one socket, so everything here
 * may happen twice. They return 1 and never write ctx->reply: other people's programs share it.
 */
#include "hazard.h"
#include "claim.h"
#include "memory.h"
#include "slots.h"
#include "socket.h"

struct sa_control control = {};

/*
 * Context fields are read one by one, at constant offsets: left to itself, the compiler selects
 * between two addresses in the context, which the verifier does not follow.
 */
#define READ_CTX(field) (*(volatile __u32 *)&(field))

static __always_inline void read_tuple(struct bpf_sock_ops *ctx, struct sa_tuple *tuple)
{
	__u32 local4 = READ_CTX(ctx->local_ip4), remote4 = READ_CTX(ctx->remote_ip4);
	__u32 local6[4] = {READ_CTX(ctx->local_ip6[0]), READ_CTX(ctx->local_ip6[1]),
			   READ_CTX(ctx->local_ip6[2]), READ_CTX(ctx->local_ip6[3])};
	__u32 remote6[4] = {READ_CTX(ctx->remote_ip6[0]), READ_CTX(ctx->remote_ip6[1]),
			    READ_CTX(ctx->remote_ip6[2]), READ_CTX(ctx->remote_ip6[3])};
	bool is_ipv4 = ctx->family == AF_INET;

	put_address(tuple->local, is_ipv4, local4, local6);
	put_address(tuple->remote, is_ipv4, remote4, remote6);
	tuple->local_port = ctx->local_port;
	tuple->remote_port = bpf_ntohl(ctx->remote_port);
}

/* --- entering at connect
 * -----------------------------------------------------------------------------
 *
 * A reader that blocks may sleep in recv() by TCP's queue at any time, so it can be put into the
 * SOCKHASH only while nobody can read yet: the client before connect() returns, the server before
 * accept() does. The client is first, when it cannot know yet whether its server is covered. So the
 * listener's side announces whose SYN it is about to accept; both ends then enter, with the gate
 * shut, and wait as a candidate does for the steward to open it or to take them out again.
 */

/* BPF_SOCK_OPS_TIMEOUT_INIT: of a request socket, it is the answer to a SYN (tcp_conn_request). */
static __always_inline void announce(struct bpf_sock_ops *ctx)
{
	__u32 generation = generation_now();
	struct sa_announcement announcement = {.generation = generation};
	struct sa_caller caller = {};
	struct sa_tuple tuple;

	if (!control.connect_rules || ctx->is_fullsock)
		return;
	read_tuple(ctx, &tuple);
	announcement.view_rules = rules_of_view(tuple.local, tuple.local_port, generation & 1);
	announcement.time_ns = bpf_ktime_get_ns();
	__builtin_memcpy(caller.address, tuple.remote, sizeof(caller.address));
	caller.port = tuple.remote_port;
	bpf_map_update_elem(&announcements, &caller, &announcement, BPF_ANY);
}

static __always_inline __u64 rules_to_enter_by(void)
{
	return control.connect_rules & ~*(volatile __u64 *)&control.paused_rules;
}

/*
 * By which rule this client enters, if the server turns out to be who was announced and in that
 * rule's cgroups; which one it is, is decided then. SA_MAX_RULES: by none.
 */
SEPARATELY_VERIFIED __u32 rule_to_enter_by(const struct sa_claim *client)
{
	struct sa_announcement *announcement;
	struct sa_caller caller = {};
	__u64 rules;

	if (!client)
		return SA_MAX_RULES;
	__builtin_memcpy(caller.address, client->tuple.local, sizeof(caller.address));
	caller.port = client->tuple.local_port;
	announcement = bpf_map_lookup_elem(&announcements, &caller);
	if (!announcement || announcement->generation != client->match.generation ||
	    bpf_ktime_get_ns() - announcement->time_ns > SA_HALF_LIFE_NS)
		return SA_MAX_RULES;
	rules = client->match.cgroup_rules & rules_to_enter_by() &
		(client->match.view_rules | announcement->view_rules);
	if (client->match.cgroup_rules & client->match.view_rules & control.bypass_rules)
		return SA_MAX_RULES;
	return first_rule(rules);
}

/* As far as it can be known before its program has it. */
static __always_inline bool may_enter(const struct sa_end *end, __u32 rule)
{
	struct sock *sk = (struct sock *)end->claim.sk;
	struct sa_proof *proof = known_proof_of(rule, end->claim.cgroup, server_port(end));
	__u64 prove_ns = rule_at(rule)->prove_ns;

	if (prove_ns && (!proof || end->claim.born_ns < proof->first_seen_ns + prove_ns))
		return false;
	if (proof && reason_of_hazards(proof->hazards, rule))
		return false;
	if (end->role == SA_CLIENT && !BPF_CORE_READ(sk, sk_socket, file))
		return false; /* the kernel's own */
	/* Without a program of its own, another map would share its psock with ours. */
	return !obstacle_of_kind(end->claim.sk) && !psock_of(sk);
}

static __always_inline bool enter(struct bpf_sock_ops *ctx, struct sa_end *end,
				  const struct sa_pair *pair, __u32 slot)
{
	__u64 key = end->claim.cookie;

	if (bpf_sock_hash_update(ctx, &sockets, &key, BPF_NOEXIST))
		return false;
	end->slot_generation = pair->generation;
	__sync_lock_test_and_set(&end->slot, slot);
	return true;
}

static __noinline int enter_client(struct bpf_sock_ops *ctx, struct sa_end *end)
{
	__u32 rule = rule_to_enter_by(&end->claim), slot = SA_NO_SLOT;
	struct sa_half *half = bpf_map_lookup_elem(&halves, &end->key);
	struct sa_pair *pair;

	if (rule >= SA_MAX_RULES || !half || half->poison || !may_enter(end, rule))
		return 0;
	pair = take_slot(&slot);
	if (!pair)
		return 0;
	set_pair(pair, rule, &end->key, &end->claim, end->claim.born_ns);
	pair->netns = end->netns;
	pair->at_connect = 1;
	pair->inserted = 1 << SA_CLIENT;
	if (!enter(ctx, end, pair, slot)) {
		free_slot(pair, slot);
		return 0;
	}
	__sync_lock_test_and_set(&pair->state, SA_ENTERED);
	half->slot_generation = pair->generation;
	__sync_lock_test_and_set(&half->slot, slot);
	return 0;
}

/* Its client has entered before, as it is ESTABLISHED before. */
static __noinline int enter_server(struct bpf_sock_ops *ctx, struct sa_end *end)
{
	struct sa_half *half = bpf_map_lookup_elem(&halves, &end->key);
	__u64 cookie = end->claim.cookie;
	struct sa_pair *pair;

	if (!half || !half->matched || half->rule >= SA_MAX_RULES ||
	    !is_in(rules_to_enter_by(), half->rule))
		return 0;
	pair = pair_at(half->slot, half->slot_generation);
	if (!pair || pair->state != SA_ENTERED || !may_enter(end, half->rule))
		return 0;
	pair->rule = half->rule;
	/* The pair may be enrolled on the client's visit, before the steward's first to this end.
	 */
	end->rule = half->rule;
	end->peer_uid = half->claim[SA_CLIENT].uid;
	end->matched = 1;
	set_side(pair, SA_SERVER, &end->claim);
	if (is_translated(half) || pair->netns != end->netns)
		pair->tracked_ns = end->claim.born_ns;
	if (!enter(ctx, end, pair, half->slot)) {
		pair->side[SA_SERVER].cookie = 0;
		return 0;
	}
	__sync_fetch_and_or(&pair->inserted, 1 << SA_SERVER);
	/* The steward gives up by freeing the slot, and then takes out who is in. */
	if (pair->generation != end->slot_generation || pair->state != SA_ENTERED) {
		bpf_map_delete_elem(&sockets, &cookie);
		end->slot = SA_NO_SLOT;
	}
	return 0;
}

/*
 * Are there sock_ops programs beside ours? Ours is one, however many cgroups above each other it is
 * attached to. This is asked at each handshake: by typed pointers, which cost a load and no call.
 */
static __always_inline bool are_others_effective(const struct tcp_sock *tp)
{
	const void *cgroup = tp->inet_conn.icsk_inet.sk.sk_cgrp_data.cgroup, *item;
	__u64 type = bpf_core_enum_value(enum cgroup_bpf_attach_type, CGROUP_SOCK_OPS);
	__u64 size = bpf_core_type_size(struct bpf_prog_array_item);
	const struct bpf_prog *first, *next = NULL;

	item = *(void **)(cgroup + bpf_core_field_offset(struct cgroup, bpf.effective) +
			  type * sizeof(void *));
	item += bpf_core_field_offset(struct bpf_prog_array, items);
	barrier_var(item); /* for the compiler not to take the offset for one that it may fold */
	first = *(void **)item;
	for (int i = 1; i < SA_CGROUP_DEPTH; i++) {
		item += size;
		next = *(void **)item;
		if (!next || next != first)
			break;
	}
	return next && next != first;
}

/* Is there another program beside this one, which may want the socket's calls, too? */
static __always_inline bool is_shared(struct tcp_sock *tp)
{
	return are_effective(cgroup_of((struct sock *)tp),
			     bpf_core_enum_value(enum cgroup_bpf_attach_type, CGROUP_SOCK_OPS), 2);
}

static __always_inline void want_calls(struct bpf_sock_ops *ctx, struct bpf_sock *sk, __u32 flags,
				       bool wanted)
{
	__u32 now = ctx->bpf_sock_ops_cb_flags, then = wanted ? now | flags : now & ~flags;
	struct tcp_sock *tp;

	if (then == now)
		return;
	tp = bpf_skc_to_tcp_sock(sk);
	if (wanted || (tp && !is_shared(tp)))
		bpf_sock_ops_cb_flags_set(ctx, then);
}

/* Puts the end, which is ESTABLISHED, into the table of halves. False: no rule is its cgroup's. */
static __always_inline bool begin(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
				  struct tcp_sock *tp, __u32 role, bool is_late)
{
	struct cgroup *cgroup = cgroup_of((struct sock *)tp);
	struct sa_candidate *candidate;
	struct sa_claim claimed = {};
	struct sa_end *end;
	__u32 irs, iss;

	read_tuple(ctx, &claimed.tuple);
	/* Once more, if the policy was swapped meanwhile: nobody would look at this end again. */
	if (!find_rules(&claimed, cgroup, role) &&
	    (claimed.match.generation == generation_now() || !find_rules(&claimed, cgroup, role)))
		return false;

	if (is_own_memory_short()) {
		note_limit(SA_LIMIT_OWN_MEMORY);
		return false;
	}
	end = bpf_sk_storage_get(&ends, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!end)
		return false;
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | SA_CALLS);
	if (!begin_claiming(end))
		return true; /* by the program of another cgroup above or below, or by sa_adopt */

	/* Also right when data came with the handshake: kernel-facts of
	 * tests/kernel/identity_test.cpp. */
	irs = ctx->rcv_nxt - (__u32)ctx->bytes_received - 1;
	iss = ctx->snd_una - (__u32)ctx->bytes_acked - (role == SA_SERVER);
	end->key.client_isn = role == SA_CLIENT ? iss : irs;
	end->key.server_isn = role == SA_CLIENT ? irs : iss;
	end->role = role;
	end->slot = SA_NO_SLOT;
	end->reason = SA_REASON_YOUNG;
	end->netns = bpf_get_netns_cookie(ctx);

	describe(&claimed, tp, cgroup);
	claimed.cookie = bpf_get_socket_cookie(ctx);
	claimed.late = is_late;
	end->claim = claimed;

	candidate = bpf_sk_storage_get(&candidates, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!candidate) {
		bpf_sk_storage_delete(&ends, sk);
		return true;
	}
	claim(end);
	if (control.connect_rules && !is_late && role == SA_CLIENT)
		enter_client(ctx, end);
	else if (control.connect_rules && !is_late)
		enter_server(ctx, end);
	end_claiming(end);
	return true;
}

/* Is there somebody who is root of the socket's network namespace, and not of the host? */
static __always_inline bool has_own_root(const struct tcp_sock *tp)
{
	return tp->inet_conn.icsk_inet.sk.__sk_common.skc_net.net->user_ns->level;
}

/*
 * Most connections end before they could be enrolled: what is kept of an end costs more than all
 * its segments. So it begins when the end has talked, where nothing wants to know of it before. Nor
 * is a later claim believed of one whose numbers somebody could have chosen since: see
 * may_be_forged() in steward.bpf.c.
 */
static __always_inline bool is_wanted_at_once(const struct tcp_sock *tp)
{
	__u64 rules = control.observe_rules | control.connect_rules;

	if (control.events_wanted || has_own_root(tp))
		return true;
	return rules &&
	       rules & rules_of_cgroup((__u64)cgroup_of((struct sock *)tp), generation_now() & 1);
}

static __always_inline void established(struct bpf_sock_ops *ctx, struct bpf_sock *sk, __u32 role)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	bool is_alone;

	if (!tp)
		return;
	/*
	 * TCP_REPAIR lets a program choose its sequence numbers, and then no segment brings the
	 * socket to ESTABLISHED: a real handshake ends with the server's SYN|ACK.
	 */
	if (role == SA_CLIENT &&
	    (ctx->skb_tcp_flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) != (TCP_FLAG_SYN | TCP_FLAG_ACK))
		return;
	/* Other programs change the socket's flags, too: then there is no mark. */
	is_alone = !are_others_effective(tp);
	if (is_alone)
		bpf_sock_ops_cb_flags_set(
			ctx, (ctx->bpf_sock_ops_cb_flags & ~SA_MARKS) |
				     BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG |
				     (role == SA_CLIENT ? SA_MARK_OF_CLIENT : SA_MARK_OF_SERVER));
	if (!is_alone || is_wanted_at_once(tp))
		begin(ctx, sk, tp, role, false);
}

/*
 * Both ends count the same: the sender the segment that it is about to send, too, and the receiver
 * sends something, at least its acknowledgement.
 */
static __always_inline bool has_talked(struct bpf_sock_ops *ctx)
{
	__u32 segments = ctx->data_segs_in + ctx->data_segs_out, size = ctx->mss_cache;

	if (ctx->skb_len)
		segments += size ? (ctx->skb_len + size - 1) / size : 1;
	return segments >= SA_TALK_SEGMENTS;
}

/*
 * This end sends a segment, and is known by its mark only: it did not begin yet, or was forgotten
 * while it had not talked. Once: who then finds no other end is not asked again.
 */
static __always_inline void await_talk(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	__u32 mark = ctx->bpf_sock_ops_cb_flags & SA_MARKS;
	struct tcp_sock *tp;

	if (!has_talked(ctx))
		return;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp || are_others_effective(tp))
		return; /* who has come since may mean something else by it */
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags & ~SA_MARKS);
	if (ctx->state == BPF_TCP_ESTABLISHED &&
	    begin(ctx, sk, tp, mark == SA_MARK_OF_CLIENT ? SA_CLIENT : SA_SERVER, true))
		return;
	want_calls(ctx, sk, SA_CALLS, false);
}

/*
 * connect() again on a socket that was connected before. The old connection's queue would be read
 * on the new one: tests/kernel/reconnect_test.cpp. So whatever was, goes.
 */
static __always_inline void connecting(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	struct sa_end *end = bpf_sk_storage_get(&ends, sk, NULL, 0);
	struct sa_pair *pair;
	__u64 cookie;

	if (is_to_talk(ctx->bpf_sock_ops_cb_flags)) {
		struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

		if (tp && !are_others_effective(tp))
			bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags & ~SA_MARKS);
	}
	if (!end)
		return;
	cookie = end->claim.cookie;
	pair = end->claimed ? pair_at(end->slot, end->slot_generation) : NULL;
	if (pair) {
		pair->state = SA_ABANDONED;
		pair->reason = SA_REASON_CLOSED;
		pair->side[end->role & 1].cookie = 0;
		bpf_map_delete_elem(&sockets, &cookie);
		raise_work();
	}
	bpf_sk_storage_delete(&candidates, sk);
	bpf_sk_storage_delete(&ends, sk);
}

static __always_inline void tell_closed(const struct sa_end *end)
{
	struct sa_event event = {
		.time_ns = bpf_ktime_get_ns(),
		.type = SA_EVENT_LEFT,
		.reason = end->reason,
		.rule = end->rule,
		.key = end->key,
		.cookie = {end->claim.cookie},
		.client = end->claim.tuple,
		.client_uid = end->claim.uid,
	};
	struct sa_half *half = bpf_map_lookup_elem(&halves, &end->key);

	if (!half || !half->matched || half->rule >= SA_MAX_RULES)
		return;
	event.rule = half->rule;
	event.cookie[SA_SERVER] = half->claim[SA_SERVER].cookie;
	event.server_uid = half->claim[SA_SERVER].uid;
	bpf_ringbuf_output(&events, &event, sizeof(event), 0);
}

static __always_inline void state_changed(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	struct sa_pair *pair;
	struct sa_end *end;

	if (ctx->args[1] != BPF_TCP_CLOSE)
		return;
	end = known_end(sk);
	if (!end)
		return;
	if (control.observe_rules)
		observe_close(sk, end, bpf_ktime_get_ns());
	pair = pair_at(end->slot, end->slot_generation);
	if (end->slot != SA_NO_SLOT)
		raise_work(); /* the pair's slot and its share of the budget come free */
	if ((end->slot == SA_NO_SLOT || (pair && pair->state == SA_ENTERED)) &&
	    control.events_wanted && end->role == SA_CLIENT)
		tell_closed(end);
}

/* An end that was evicted has traffic: let it be a candidate once more, under the policy of today.
 */
static __always_inline void claim_again(struct bpf_sock *sk, struct sa_end *end)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (!tp || !find_rules(&end->claim, cgroup_of((struct sock *)tp), end->role))
		return;
	if (!bpf_sk_storage_get(&candidates, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE))
		return;
	claim(end);
	end->half_done = 0;
	control.revisit = 1; /* for the other end, which may have no traffic of its own */
}

/*
 * What is in TCP to stay shall not pay for calls at each of its segments. The next acknowledgement
 * brings them back when the pair is enrolled; an end that gets none must keep them, unless it
 * blocks, as most that do go on so.
 */
static __always_inline bool is_left_alone(const struct sa_end *end)
{
	return end->slot == SA_NO_SLOT && end->reason == SA_REASON_BLOCKING;
}

static __always_inline bool is_to_stay(const struct sa_end *end)
{
	return end->slot == SA_NO_SLOT && !SA_MAY_JOIN_SOON(end->reason & 63);
}

/*
 * An acknowledgement: there is traffic on a connection that the steward has put aside. So nothing
 * has to look at idle connections from time to time.
 */
static __always_inline void traffic_seen(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	struct sa_end *end = known_end(sk);
	__u64 now = bpf_ktime_get_coarse_ns(); /* for each acknowledgement: it has to be cheap */
	struct sa_pair *pair;
	struct sa_half *half;

	if (!end) {
		if (!is_to_talk(ctx->bpf_sock_ops_cb_flags))
			want_calls(ctx, sk, BPF_SOCK_OPS_RTT_CB_FLAG, false);
		return;
	}
	if (end->observed)
		observe_traffic(sk, end, false);
	if (is_to_stay(end))
		want_calls(ctx, sk, BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG, false);
	if (end->slot == SA_NO_SLOT && now < end->cool_until_ns)
		return;
	if (was_evicted(end, now) || !end->matched)
		return;
	if (end->slot != SA_NO_SLOT) {
		want_calls(ctx, sk, BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG, true);
		pair = pair_at(end->slot, end->slot_generation);
		if (!pair || pair->state != SA_ENTERED || now < end->cool_until_ns)
			return;
	}
	if (end->reason == SA_REASON_FULL && is_nearly_full()) {
		end->cool_until_ns = now + SA_FULL_RETRY_NS;
		return;
	}
	half = bpf_map_lookup_elem(&halves, &end->key);
	if (!half || !half->claim[end->role & 1].cookie) {
		claim_again(sk, end);
	} else if (half->parked && now >= half->next_look_ns) {
		half->due = 1;
	} else {
		end->cool_until_ns = half->parked ? half->next_look_ns : now + SA_MIN_AGE_NS;
		return;
	}
	end->cool_until_ns = now + SA_MIN_AGE_NS;
	raise_work();
}

static __always_inline int get_option(struct bpf_sock_ops *ctx, int level, int option)
{
	int value = 0;

	bpf_getsockopt(ctx, level, option, &value, sizeof(value));
	return value;
}

static __always_inline void set_option(struct bpf_sock_ops *ctx, int level, int option, int value)
{
	bpf_setsockopt(ctx, level, option, &value, sizeof(value));
}

/*
 * A second after the last segment came the timer sends a probe, and with that comes the next look.
 * The idle time is set last, for the kernel to count from that segment and not from now
 * (tcp_sock_set_keepidle_locked).
 */
static __always_inline void borrow_keepalive(struct bpf_sock_ops *ctx, struct sa_end *end)
{
	if (end->keepalive_borrowed)
		return;
	end->keepalive_borrowed = 1;
	end->keepalive_was_on = get_option(ctx, SOL_SOCKET, SO_KEEPALIVE);
	end->keepidle_s = get_option(ctx, SOL_TCP, TCP_KEEPIDLE);
	end->keepintvl_s = get_option(ctx, SOL_TCP, TCP_KEEPINTVL);
	set_option(ctx, SOL_TCP, TCP_KEEPINTVL, 1);
	set_option(ctx, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(ctx, SOL_TCP, TCP_KEEPIDLE, 1);
}

static __always_inline void return_keepalive(struct bpf_sock_ops *ctx, struct sa_end *end)
{
	if (!end->keepalive_borrowed)
		return;
	end->keepalive_borrowed = 0;
	set_option(ctx, SOL_SOCKET, SO_KEEPALIVE, !!end->keepalive_was_on);
	set_option(ctx, SOL_TCP, TCP_KEEPIDLE, end->keepidle_s);
	set_option(ctx, SOL_TCP, TCP_KEEPINTVL, end->keepintvl_s);
}

/*
 * This socket sends a segment: the acknowledgement of what came by TCP, or a keepalive probe. If
 * its reader has read what was redirected before that, it may sleep on the rest: see enum
 * sa_meeting. Setting SO_RCVLOWAT, to what it is, wakes it (tcp_set_rcvlowat calls tcp_data_ready),
 * in any network namespace.
 */
static __always_inline void segment_sent(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	__u32 flags = ctx->bpf_sock_ops_cb_flags;
	struct sa_pair *pair;
	struct sa_side *side;
	struct tcp_sock *tp;
	struct sa_end *end;

	/* Who is known gets STATE_CB, too. Of others no storage is looked for: they are most. */
	end = is_to_talk(flags) && !(flags & BPF_SOCK_OPS_STATE_CB_FLAG) ? NULL : known_end(sk);
	if (!end && is_to_talk(flags)) {
		await_talk(ctx, sk);
		return;
	}
	if (!end || is_left_alone(end)) {
		want_calls(ctx, sk, BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG, false);
		return;
	}
	pair = pair_at(end->slot, end->slot_generation);
	side = pair ? &pair->side[end->role & 1] : NULL;
	tp = bpf_skc_to_tcp_sock(sk);
	if (side && tp && side->meeting == SA_MEETING) {
		if (has_unread((struct sock *)tp)) {
			borrow_keepalive(ctx, end);
			return;
		}
		if (may_sleep_on_tcp(tp, side))
			set_option(ctx, SOL_SOCKET, SO_RCVLOWAT,
				   BPF_CORE_READ((struct sock *)tp, sk_rcvlowat));
		side->meeting = SA_NO_MEETING;
	}
	return_keepalive(ctx, end);
}

SEC("sockops")
int sa_pair_ends(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	if (ctx->op == BPF_SOCK_OPS_TIMEOUT_INIT) {
		announce(ctx);
		return 1;
	}
	if (!sk)
		return 1;
	switch (ctx->op) {
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		established(ctx, sk, SA_CLIENT);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		established(ctx, sk, SA_SERVER);
		break;
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		connecting(ctx, sk);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		state_changed(ctx, sk);
		break;
	case BPF_SOCK_OPS_RTT_CB:
		traffic_seen(ctx, sk);
		break;
	case BPF_SOCK_OPS_HDR_OPT_LEN_CB:
		segment_sent(ctx, sk);
		break;
	}
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
