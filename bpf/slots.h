/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Slots of the table of pairs. The steward takes and frees them, and pair.bpf.c does for ends that
 * enter at connect, on any CPU: so the counts are atomic, and a slot is FREE until all else is
 * written.
 */
#ifndef SOCKACCEL_SLOTS_H
#define SOCKACCEL_SLOTS_H

#include "maps.h"

static __always_inline void give_back(struct sa_side *side)
{
	__u64 charged = side->charged_bytes;

	if (!charged || __sync_val_compare_and_swap(&side->charged_bytes, charged, 0) != charged)
		return;
	__sync_fetch_and_add(&control.budget_used_bytes, -charged);
}

static __always_inline void free_slot(struct sa_pair *pair, __u32 slot)
{
	give_back(&pair->side[SA_CLIENT]);
	give_back(&pair->side[SA_SERVER]);
	pair->generation++;
	pair->state = SA_FREE;
	__sync_fetch_and_add(&control.slots_busy, -1);
	bpf_map_push_elem(&free_slots, &slot, 0);
}

/* NULL: there is none. Otherwise the caller writes what it is, and its state last. */
static __always_inline struct sa_pair *take_slot(__u32 *slot)
{
	struct sa_pair *pair;

	if (is_full())
		return NULL;
	__sync_fetch_and_add(&control.slots_busy, 1);
	if (bpf_map_pop_elem(&free_slots, slot))
		*slot = __sync_fetch_and_add(&control.slots_used, 1);
	pair = bpf_map_lookup_elem(&pairs, slot);
	if (!pair) { /* as many as there are were taken at once */
		__sync_fetch_and_add(&control.slots_used, -1);
		__sync_fetch_and_add(&control.slots_busy, -1);
	}
	return pair;
}

static __always_inline void set_side(struct sa_pair *pair, __u32 role, const struct sa_claim *claim)
{
	struct sa_side *side = &pair->side[role & 1];

	side->sk = claim->sk;
	side->match = claim->match;
	side->uid = claim->uid;
	side->cookie = claim->cookie;
}

static __always_inline void set_pair(struct sa_pair *pair, __u32 rule, const struct sa_key *key,
				     const struct sa_claim *client, __u64 now)
{
	__builtin_memset(pair->side, 0, sizeof(pair->side));
	set_side(pair, SA_CLIENT, client);
	pair->rule = rule;
	pair->key = *key;
	pair->client = client->tuple;
	pair->inserted = pair->reason = pair->wish = pair->told = pair->at_connect = pair->unheard =
		0;
	pair->tracked_ns = 0;
	pair->tcp_rate[0] = pair->tcp_rate[1] = 0;
	pair->since_ns = now;
}

#endif
