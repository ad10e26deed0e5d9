/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Claims: how two ends find each other in the table of halves. */
#ifndef SOCKACCEL_CLAIM_H
#define SOCKACCEL_CLAIM_H

#include "observe.h"

static const struct sa_half empty_half = {.rule = SA_MAX_RULES, .slot = SA_NO_SLOT};

static __always_inline bool is_same_address(const __u8 a[16], const __u8 b[16])
{
	__u8 difference = 0;

	for (int i = 0; i < 16; i++)
		difference |= a[i] ^ b[i];
	return !difference;
}

/*
 * A second sign, beside the sequence numbers, that the claims belong together: mirrored addresses,
 * or the client's address as the server sees it (behind DNAT), or TCP options that agree crosswise
 * (behind full NAT).
 */
static __always_inline bool agree(const struct sa_claim *client, const struct sa_claim *server)
{
	bool same_client = client->tuple.local_port == server->tuple.remote_port &&
			   is_same_address(client->tuple.local, server->tuple.remote);

	if (same_client)
		return true;
	return client->snd_wscale == server->rcv_wscale &&
	       client->rcv_wscale == server->snd_wscale && !client->sack_ok == !server->sack_ok &&
	       client->tstamp_ok == server->tstamp_ok;
}

/* Without NAT between them, each end's addresses are the other one's, mirrored. */
static __always_inline bool is_translated(const struct sa_half *half)
{
	const struct sa_tuple *client = &half->claim[SA_CLIENT].tuple;
	const struct sa_tuple *server = &half->claim[SA_SERVER].tuple;

	return client->local_port != server->remote_port ||
	       client->remote_port != server->local_port ||
	       !is_same_address(client->local, server->remote) ||
	       !is_same_address(client->remote, server->local);
}

static __always_inline struct cgroup *cgroup_of(struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_cgrp_data.cgroup);
}

/* The rules that the nearest selected ancestor belongs to; its mask holds its own ancestors' rules.
 */
SEPARATELY_VERIFIED __u64 rules_of_cgroup(__u64 address, __u32 half)
{
	struct cgroup *cgroup = (struct cgroup *)address;

	for (int i = 0; i < SA_CGROUP_DEPTH && cgroup; i++) {
		struct sa_cgroup_key key = {.id = BPF_CORE_READ(cgroup, kn, id), .half = half};
		__u64 *rules = bpf_map_lookup_elem(&cgroups, &key);

		if (rules)
			return *rules;
		/* struct cgroup begins with its cgroup_subsys_state. */
		cgroup = (struct cgroup *)BPF_CORE_READ(cgroup, self.parent);
	}
	return 0;
}

static __always_inline __u64 rules_of_view(const __u8 server[16], __u16 port, __u32 half)
{
	struct sa_network_key key = {.prefix_length = 8 + 128, .half = half};
	__u32 index = half << 16 | port;
	__u64 *by_port = bpf_map_lookup_elem(&ports, &index);
	__u64 *by_network;

	if (!by_port || !*by_port)
		return 0;
	__builtin_memcpy(key.address, server, sizeof(key.address));
	by_network = bpf_map_lookup_elem(&networks, &key);
	return by_network ? *by_port & *by_network : 0;
}

static __always_inline __u32 generation_now(void)
{
	return *(volatile __u32 *)&control.generation;
}

/* What is read of both a new socket and one that was open before. */
static __always_inline void describe(struct sa_claim *claim, struct tcp_sock *tp,
				     struct cgroup *cgroup)
{
	claim->sk = (__u64)tp;
	claim->cgroup = BPF_CORE_READ(cgroup, kn, id);
	claim->born_ns = bpf_ktime_get_ns();
	claim->uid = BPF_CORE_READ(tp, inet_conn.icsk_inet.sk.sk_uid.val);
	claim->snd_wscale = BPF_CORE_READ_BITFIELD_PROBED(tp, rx_opt.snd_wscale);
	claim->rcv_wscale = BPF_CORE_READ_BITFIELD_PROBED(tp, rx_opt.rcv_wscale);
	claim->sack_ok = BPF_CORE_READ_BITFIELD_PROBED(tp, rx_opt.sack_ok);
	claim->tstamp_ok = BPF_CORE_READ_BITFIELD_PROBED(tp, rx_opt.tstamp_ok);
}

/* IPv4 as v4-mapped, wherever it comes from: an AF_INET6 socket shows mapped addresses itself. */
static __always_inline void put_address(__u8 address[16], bool is_ipv4, __u32 ip4,
					const __u32 ip6[4])
{
	__u32 words[4] = {0, 0, bpf_htonl(0xffff), ip4};

	__builtin_memcpy(address, is_ipv4 ? words : ip6, 16);
}

/* From a socket itself. */
static __always_inline void put_tuple(struct sa_tuple *tuple, struct sock *sk)
{
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET) {
		put_address(tuple->local, true, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr), NULL);
		put_address(tuple->remote, true, BPF_CORE_READ(sk, __sk_common.skc_daddr), NULL);
	} else {
		BPF_CORE_READ_INTO(&tuple->local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&tuple->remote, sk, __sk_common.skc_v6_daddr);
	}
	tuple->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	tuple->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
}

/* Begins to fill an end in; false: somebody else does, or has. */
static __always_inline bool begin_claiming(struct sa_end *end)
{
	return !__sync_val_compare_and_swap(&end->claimed, SA_UNCLAIMED, SA_CLAIMING);
}

static __always_inline void end_claiming(struct sa_end *end)
{
	__sync_lock_test_and_set(&end->claimed, SA_CLAIMED);
}

/*
 * The same connection by the other role: its own number counts its SYN as acknowledged in the
 * client, and in the server does not.
 */
static __always_inline void other_reading(struct sa_key *key, const struct sa_key *as_client)
{
	key->client_isn = as_client->server_isn;
	key->server_isn = as_client->client_isn - 1;
}

/* Which rules this end's cgroup belongs to, and which its addresses match. False: no rule. */
static __always_inline bool find_rules(struct sa_claim *claim, struct cgroup *cgroup, __u32 role)
{
	__u32 generation = generation_now(), half = generation & 1;
	const struct sa_tuple *tuple = &claim->tuple;
	struct sa_match *match = &claim->match;

	match->generation = generation;
	match->cgroup_rules = rules_of_cgroup((__u64)cgroup, half);
	match->view_rules = 0;
	if (!match->cgroup_rules)
		return false;
	match->view_rules = role == SA_CLIENT
				    ? rules_of_view(tuple->remote, tuple->remote_port, half)
				    : rules_of_view(tuple->local, tuple->local_port, half);
	/* If the policy was swapped in between, half of this is old and half new: it is neither. */
	return generation_now() == generation;
}

/* Of these, in the order in which they decide. SA_MAX_RULES: there is none. */
static __always_inline __u32 first_rule(__u64 rules)
{
	if (!rules)
		return SA_MAX_RULES;
	for (__u32 rank = 0; rank < SA_MAX_RULES; rank++) {
		__u32 id = control.order[rank] & (SA_MAX_RULES - 1);

		if (rules >> id & 1)
			return id;
	}
	return SA_MAX_RULES;
}

/* See Tables::decide in src/plan.cpp, which says the same. SA_MAX_RULES: no rule covers it. */
SEPARATELY_VERIFIED __u32 deciding_rule(const struct sa_match *client,
					const struct sa_match *server)
{
	__u64 rules, bypassed;

	if (!client || !server)
		return SA_MAX_RULES;
	bypassed = (client->cgroup_rules & client->view_rules) |
		   (server->cgroup_rules & server->view_rules);
	if (bypassed & control.bypass_rules)
		return SA_MAX_RULES;
	rules = client->cgroup_rules & server->cgroup_rules &
		(client->view_rules | server->view_rules) & control.deciding_rules;
	return first_rule(rules);
}

/* By one policy, or not at all: false if the claims are of two. */
static __always_inline bool decide(struct sa_half *half)
{
	const struct sa_match *client = &half->claim[SA_CLIENT].match;
	const struct sa_match *server = &half->claim[SA_SERVER].match;

	if (client->generation != server->generation)
		return false;
	half->rule = deciding_rule(client, server);
	half->generation = client->generation;
	return true;
}

static __always_inline void tell_paired(struct sa_half *half, const struct sa_key *key)
{
	struct sa_counters *counters = counters_of(half->rule);
	struct sa_event event = {
		.time_ns = bpf_ktime_get_ns(),
		.type = SA_EVENT_PAIRED,
		.rule = half->rule,
		.key = *key,
		.cookie = {half->claim[SA_CLIENT].cookie, half->claim[SA_SERVER].cookie},
		.client = half->claim[SA_CLIENT].tuple,
		.client_uid = half->claim[SA_CLIENT].uid,
		.server_uid = half->claim[SA_SERVER].uid,
	};

	if (counters)
		__sync_fetch_and_add(&counters->paired, 1);
	if (is_observed(half->rule))
		observe_pair(half);
	if (control.events_wanted)
		bpf_ringbuf_output(&events, &event, sizeof(event), 0);
}

/*
 * A half is forgotten by a pass. Usually the other end's claim raises one; for a half that stays
 * alone, one is raised here, which names the time of the next. While that is to come, nobody is
 * woken.
 */
static __always_inline void ask_for_expiry(void)
{
	if (!control.expiry_due && !__sync_lock_test_and_set(&control.expiry_due, 1))
		raise_work();
}

/* What it did before is not what it does. */
static __always_inline void count_from_now(struct sa_half *half, __u32 role, __u64 address)
{
	struct tcp_sock *tp = (struct tcp_sock *)address;

	half->bytes_sent[role & 1] = BPF_CORE_READ(tp, bytes_sent);
	half->segments_sent[role & 1] = BPF_CORE_READ(tp, data_segs_out);
	half->looked_ns = bpf_ktime_get_ns();
}

/* Puts this end's claim into the table, and pairs it if the other end's is there. */
static __always_inline void claim_as(const struct sa_end *end, const struct sa_key *key, __u32 role)
{
	struct sa_half *half = bpf_map_lookup_elem(&halves, key);
	__u32 mine = role == SA_SERVER, other = !mine;
	struct sa_claim *own, *peer;

	if (half && !half->matched && half->claim[other].cookie &&
	    (__s64)(end->claim.born_ns - half->claim[other].born_ns) > (__s64)SA_HALF_LIFE_NS) {
		bpf_map_delete_elem(&halves, key); /* too old to be this connection's */
		half = NULL;
	}
	if (!half) {
		bpf_map_update_elem(&halves, key, &empty_half, BPF_NOEXIST);
		half = bpf_map_lookup_elem(&halves, key);
		if (!half)
			return;
	}
	own = &half->claim[mine & 1];
	peer = &half->claim[other & 1];
	if (own->cookie == end->claim.cookie)
		return;	   /* by the program of another cgroup above or below */
	if (own->cookie) { /* two sockets say that they are this end: neither is believed */
		struct sa_pair *pair = pair_at(half->slot, half->slot_generation);

		half->poison = SA_REASON_AMBIGUOUS;
		if (pair) /* the first to say so may have been the wrong one */
			pair->wish = SA_REASON_AMBIGUOUS;
		raise_work(); /* for it to be told */
		return;
	}
	*own = end->claim;
	if (end->matched)
		count_from_now(half, mine, own->sk);
	if (end->reason == SA_REASON_MEASURING && !half->rate_looks)
		half->rate_looks = 1; /* it has left for that, however it begins */
	half->adopted |= end->adopted;
	if (!peer->cookie) {
		ask_for_expiry();
		return;
	}
	half->next_look_ns = end->claim.born_ns + SA_MIN_AGE_NS;
	if (!decide(half))
		half->generation = generation_now() - 1; /* the steward decides */
	if (!agree(&half->claim[SA_CLIENT], &half->claim[SA_SERVER])) {
		half->poison = SA_REASON_UNPROVEN;
		raise_work();
		return;
	}
	if (__sync_lock_test_and_set(&half->matched, 1))
		return;
	if (half->rule < SA_MAX_RULES && (!end->matched || end->rule != half->rule))
		tell_paired(half, key); /* else it was paired before, and evicted meanwhile */
	raise_work();
}

static __always_inline void claim(const struct sa_end *end)
{
	claim_as(end, &end->key, end->role);
}

/*
 * Has the steward taken this end's pair out of the SOCKHASH? Then it is told here, on the end's own
 * visit, from what the slot still says if nobody else has taken it since.
 */
static __always_inline bool was_evicted(struct sa_end *end, __u64 now)
{
	struct sa_pair *pair;
	__u32 slot = end->slot; /* Linux 6.1 takes no iterator's value for a key */

	if (slot == SA_NO_SLOT)
		return false;
	pair = bpf_map_lookup_elem(&pairs, &slot);
	if (pair && pair->generation == end->slot_generation)
		return false;
	end->reason = pair && pair->generation == end->slot_generation + 1 ? pair->reason
									   : SA_REASON_COOLING;
	end->slot = SA_NO_SLOT;
	end->cool_until_ns = now + SA_MIN_AGE_NS;
	if (end->reason == SA_REASON_COOLING) {
		end->cool_until_ns = now + (SA_COOL_DOWN_NS << (end->strikes & 7));
		if (end->strikes < SA_COOL_DOWN_MAX_SHIFT)
			end->strikes++;
	} else if (end->reason == SA_REASON_EDGE) {
		end->cool_until_ns = ~0ull;
	}
	return true;
}

/* It was enrolled, and is not tried again yet, or ever. */
static __always_inline bool is_cooling(const struct sa_end *end, __u64 now)
{
	return (end->reason == SA_REASON_COOLING || end->reason == SA_REASON_EDGE) &&
	       now < end->cool_until_ns;
}

#endif
