/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What rules with the action `observe` see: who talks to whom, how much and how. Kept by rule, both
 * cgroups and the server's port; nothing of it runs for a connection of another rule.
 *
 * TCP does not know messages. What one end sent before it heard of the other again is taken for
 * one; what goes on and on without an answer is a stream, whose segments are taken for its
 * messages, as over loopback a write of up to 64 KiB is one.
 */
#ifndef SOCKACCEL_OBSERVE_H
#define SOCKACCEL_OBSERVE_H

#include "maps.h"

static __always_inline bool is_observed(__u32 rule)
{
	return rule < SA_MAX_RULES && is_in(*(volatile __u64 *)&control.observe_rules, rule);
}

static __always_inline void key_of_observation(struct sa_observation_key *key,
					       const struct sa_half *half)
{
	key->cgroup[SA_CLIENT] = half->claim[SA_CLIENT].cgroup;
	key->cgroup[SA_SERVER] = half->claim[SA_SERVER].cgroup;
	key->rule = half->rule;
	key->port = half->claim[SA_SERVER].tuple.local_port;
}

static __always_inline struct sa_observation *observation_at(const struct sa_observation_key *key)
{
	static const struct sa_observation fresh = {};
	struct sa_observation *seen = bpf_map_lookup_elem(&observations, key);

	if (seen)
		return seen;
	if (bpf_map_update_elem(&observations, key, &fresh, BPF_NOEXIST) == -E2BIG)
		__sync_fetch_and_add(&control.observations_lost, 1);
	return bpf_map_lookup_elem(&observations, key);
}

static __always_inline struct sa_observation *observation_of(const struct sa_half *half)
{
	struct sa_observation_key key;

	key_of_observation(&key, half);
	return observation_at(&key);
}

/* Two ends were found to belong together. */
static __always_inline void observe_pair(const struct sa_half *half)
{
	struct sa_observation *seen = observation_of(half);

	if (!seen)
		return;
	if (!seen->first_ns)
		seen->first_ns = bpf_ktime_get_ns();
	__sync_fetch_and_add(&seen->connections, 1);
}

static __always_inline void observe_hazards(const struct sa_end *end, __u32 rule)
{
	struct sa_observation_key key;
	struct sa_observation *seen;
	struct sa_half *half;

	if (!is_observed(rule))
		return;
	half = bpf_map_lookup_elem(&halves, &end->key);
	if (!half || !half->matched || half->rule != rule)
		return;
	key_of_observation(&key, half);
	seen = bpf_map_lookup_elem(&observations, &key);
	if (seen)
		__sync_fetch_and_or(&seen->hazards[end->role & 1], end->hazards);
}

/* The place of its highest bit: 0 for 1, 10 for 1024 … 2047. */
static __always_inline __u32 size_class(__u64 bytes)
{
	__u32 class = 0;

	for (int shift = 16; shift > 0; shift >>= 1)
		if (bytes >> (class + shift))
			class += shift;
	return class & (SA_SIZE_CLASSES - 1);
}

static __always_inline void count_messages(struct sa_observation *seen, __u32 role, __u64 count,
					   __u64 bytes)
{
	if (!count)
		return;
	__sync_fetch_and_add(&seen->messages[role & 1], count);
	__sync_fetch_and_add(&seen->sizes[role & 1][size_class(bytes / count)], count);
}

static __always_inline void end_turn(struct sa_observation *seen, struct sa_sight *sight,
				     __u32 role, bool is_answered)
{
	if (is_answered && sight->turn_segments)
		__sync_fetch_and_add(&seen->turns[role & 1], 1);
	count_messages(seen, role, is_answered ? !!sight->turn_segments : sight->turn_segments,
		       sight->turn_bytes);
	sight->turn_bytes = sight->turn_segments = 0;
}

/* What this end has sent and got since the last time. */
static __always_inline void observe_traffic(struct bpf_sock *sk, const struct sa_end *end,
					    bool is_last)
{
	struct sa_sight *sight = bpf_sk_storage_get(&sights, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct sa_observation *seen;
	__u64 sent, received;
	__u32 segments, role = end->role & 1;
	struct sa_half *half;
	bool is_fresh;

	if (!sight || !tp)
		return;
	is_fresh = !sight->is_known || (end->matched && sight->key.rule != end->rule);
	if (is_fresh) {
		half = bpf_map_lookup_elem(&halves, &end->key);
		if (!half || !half->matched || !is_observed(half->rule))
			return;
		key_of_observation(&sight->key, half);
		sight->is_known = 1;
	}
	seen = bpf_map_lookup_elem(&observations, &sight->key);
	if (!seen)
		return;
	if (is_fresh && end->adopted) { /* what was before it was covered is not counted */
		sight->bytes_sent = BPF_CORE_READ(tp, bytes_sent);
		sight->bytes_received = BPF_CORE_READ(tp, bytes_received);
		sight->segments_sent = BPF_CORE_READ(tp, data_segs_out);
		return;
	}
	sent = BPF_CORE_READ(tp, bytes_sent) - sight->bytes_sent;
	received = BPF_CORE_READ(tp, bytes_received) - sight->bytes_received;
	segments = BPF_CORE_READ(tp, data_segs_out) - sight->segments_sent;
	sight->bytes_sent += sent;
	sight->bytes_received += received;
	sight->segments_sent += segments;
	__sync_fetch_and_add(&seen->bytes[role], sent);
	seen->last_ns = bpf_ktime_get_coarse_ns();
	if (received)
		end_turn(seen, sight, role, true);
	sight->turn_bytes += sent;
	sight->turn_segments += segments;
	if (is_fresh || sight->turn_segments >= SA_STREAM_SEGMENTS)
		end_turn(seen, sight, role, false);
	else if (is_last)
		end_turn(seen, sight, role, received);
}

/* The last word of this end, which the steward may not have seen yet. */
static __always_inline void observe_close(struct bpf_sock *sk, const struct sa_end *end, __u64 now)
{
	struct sa_half *half = bpf_map_lookup_elem(&halves, &end->key);
	struct sa_observation *seen;
	__u64 lasted = now - end->claim.born_ns;
	struct tcp_sock *tp;

	if (!half || !half->matched || !is_observed(half->rule))
		return;
	observe_traffic(sk, end, true);
	if (end->role == SA_SERVER)
		return;
	seen = observation_of(half);
	if (!seen)
		return;
	__sync_fetch_and_add(&seen->closed, 1);
	__sync_fetch_and_add(&seen->lasted_ns, lasted);
	if (lasted >= SA_MIN_AGE_NS + SA_OPEN_DELAY_NS)
		return;
	__sync_fetch_and_add(&seen->brief, 1);
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp)
		__sync_fetch_and_add(&seen->brief_bytes, BPF_CORE_READ(tp, bytes_sent) +
								 BPF_CORE_READ(tp, bytes_received));
}

#endif
