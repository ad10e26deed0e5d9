/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hazards: what a program does with its socket that redirect cannot honour. The witness marks them,
 * the steward obeys the marks. A mark is kept twice: with the end, for as long as its socket is
 * there, and with (rule, cgroup, port), where it holds for all other connections of the same
 * program.
 */
#ifndef SOCKACCEL_HAZARD_H
#define SOCKACCEL_HAZARD_H

#include "observe.h"

/* Why the rule cannot have what shows these hazards; NONE if it tolerates them all. */
static __always_inline __u32 reason_of_hazards(__u32 hazards, __u32 rule)
{
	hazards &= ~rule_at(rule)->tolerate;
	if (hazards & SA_TOLERATE_SPLICE)
		return SA_REASON_SPLICE;
	if (hazards & SA_TOLERATE_FIONREAD)
		return SA_REASON_FIONREAD;
	if (hazards & SA_TOLERATE_WAITALL)
		return SA_REASON_WAITALL;
	if (hazards & SA_HAZARD_OOB)
		return SA_REASON_OOB;
	return SA_REASON_NONE;
}

/* The server's port, as this end sees it. */
static __always_inline __u16 server_port(const struct sa_end *end)
{
	return end->role == SA_CLIENT ? end->claim.tuple.remote_port : end->claim.tuple.local_port;
}

static __always_inline struct sa_proof *known_proof_of(__u32 rule, __u64 cgroup, __u16 port)
{
	struct sa_proof_key key = {.cgroup = cgroup, .rule = rule, .port = port};

	return bpf_map_lookup_elem(&proofs, &key);
}

/* Begins with the first look at it. */
static __always_inline struct sa_proof *proof_of(__u32 rule, __u64 cgroup, __u16 port, __u64 now)
{
	struct sa_proof_key key = {.cgroup = cgroup, .rule = rule, .port = port};
	struct sa_proof *proof = known_proof_of(rule, cgroup, port);
	struct sa_proof fresh = {.first_seen_ns = now};

	if (proof)
		return proof;
	bpf_map_update_elem(&proofs, &key, &fresh, BPF_NOEXIST);
	return known_proof_of(rule, cgroup, port);
}

/* What the end was seen to do stays with its (rule, cgroup, port). */
static __always_inline void keep_hazards(const struct sa_end *end, __u32 rule, __u64 now)
{
	struct sa_proof *proof = proof_of(rule, end->claim.cgroup, server_port(end), now);
	__u32 hazards = end->hazards;

	observe_hazards(end, rule);
	if (!proof || (proof->hazards & hazards) == hazards)
		return;
	__sync_fetch_and_or(&proof->hazards, hazards);
	if (!reason_of_hazards(hazards, rule))
		return;
	control.revisit = 1; /* for the pairs of the same kind that are enrolled */
	raise_work();
}

#endif
