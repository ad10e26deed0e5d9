/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Claims: how two ends find each other in the table of halves. */
#ifndef SOCKACCEL_CLAIM_H
#define SOCKACCEL_CLAIM_H

#include "maps.h"

static const struct sa_half empty_half;

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

/* See Tables::decide in src/plan.cpp, which says the same. SA_MAX_RULES: no rule covers it. */
static __noinline __u32 deciding_rule(struct sa_half *half)
{
	struct sa_claim *client, *server;
	__u64 rules, bypassed;

	if (!half)
		return SA_MAX_RULES;
	client = &half->claim[SA_CLIENT];
	server = &half->claim[SA_SERVER];
	bypassed = (client->cgroup_rules & client->view_rules) |
		   (server->cgroup_rules & server->view_rules);
	if (bypassed & control.bypass_rules)
		return SA_MAX_RULES;
	rules = client->cgroup_rules & server->cgroup_rules &
		(client->view_rules | server->view_rules) & control.accelerate_rules;
	if (!rules)
		return SA_MAX_RULES;
	for (__u32 rank = 0; rank < SA_MAX_RULES; rank++) {
		__u32 id = control.order[rank] & (SA_MAX_RULES - 1);

		if (rules >> id & 1)
			return id;
	}
	return SA_MAX_RULES;
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
	};

	if (counters)
		__sync_fetch_and_add(&counters->paired, 1);
	if (control.events_wanted)
		bpf_ringbuf_output(&events, &event, sizeof(event), 0);
}

/* Puts this end's claim into the table, and pairs it if the other end's is there. */
static __always_inline void claim(const struct sa_end *end)
{
	struct sa_half *half = bpf_map_lookup_elem(&halves, &end->key);
	__u32 mine = end->role == SA_SERVER, other = !mine;
	struct sa_claim *own, *peer;
	__u32 rule;

	if (half && !half->matched && half->claim[other].cookie &&
	    end->claim.born_ns - half->claim[other].born_ns > SA_HALF_LIFE_NS) {
		bpf_map_delete_elem(&halves, &end->key); /* too old to be this connection's */
		half = NULL;
	}
	if (!half) {
		bpf_map_update_elem(&halves, &end->key, &empty_half, BPF_NOEXIST);
		half = bpf_map_lookup_elem(&halves, &end->key);
		if (!half)
			return;
	}
	own = &half->claim[mine & 1];
	peer = &half->claim[other & 1];
	if (own->cookie == end->claim.cookie)
		return; /* by the program of another cgroup above or below */
	if (own->cookie) {
		half->poisoned =
			1; /* two sockets say that they are this end: neither is believed */
		return;
	}
	*own = end->claim;
	if (!peer->cookie)
		return;
	if (!agree(&half->claim[SA_CLIENT], &half->claim[SA_SERVER])) {
		half->poisoned = 1;
		return;
	}
	rule = deciding_rule(half);
	half->slot = SA_NO_SLOT;
	half->rule = rule;
	half->next_look_ns = end->claim.born_ns + SA_MIN_AGE_NS;
	if (__sync_lock_test_and_set(&half->matched, 1) || rule >= SA_MAX_RULES)
		return;
	if (!end->matched) /* else it was paired before, and evicted meanwhile */
		tell_paired(half, &end->key);
	raise_work();
}

/*
 * Has the steward taken this end's pair out of the SOCKHASH? Then it is told here, on the end's own
 * visit, from what the slot still says if nobody else has taken it since.
 */
static __always_inline bool was_evicted(struct sa_end *end, __u64 now)
{
	struct sa_pair *pair;

	if (end->slot == SA_NO_SLOT)
		return false;
	pair = bpf_map_lookup_elem(&pairs, &end->slot);
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
	}
	return true;
}

#endif
