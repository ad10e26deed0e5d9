/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The maps that the programs share. __weak, because each .bpf.c file holds this definition and the
 * static linker makes one of them.
 */
#ifndef SOCKACCEL_MAPS_H
#define SOCKACCEL_MAPS_H

#include "kernel.h"
#include "sockaccel.h"

/*
 * Written by the daemon and by the steward: see struct sa_control. The only variable in .bss, so
 * that the witness, which is another object, has it at the same place.
 */
extern struct sa_control control;

/* --- policy; two halves each, the generation's lowest bit selects the live one ------------------
 */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE); /* all of a half is written at a time */
	__uint(max_entries, 2 * 65536);
	__type(key, __u32);   /* half << 16 | port */
	__type(value, __u64); /* rule mask */
} ports SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2 * SA_MAX_NETWORKS);
	__type(key, struct sa_network_key);
	__type(value, __u64);
} networks SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2 * SA_MAX_CGROUPS);
	__type(key, struct sa_cgroup_key);
	__type(value, __u64);
} cgroups SEC(".maps") __weak;

/* --- connections ---------------------------------------------------------------------------------
 */

/* Every covered end. Freed with the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sa_end);
} ends SEC(".maps") __weak;

/* The ends that the steward still has to look at. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sa_candidate);
} candidates SEC(".maps") __weak;

/* Least recently used entries give way: what an enrolled pair needs later is in `ends` and `pairs`.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, struct sa_key);
	__type(value, struct sa_half);
} halves SEC(".maps") __weak;

/* What listeners are about to accept. Used within microseconds, by the client that is told of it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct sa_caller);
	__type(value, struct sa_announcement);
} announcements SEC(".maps") __weak;

/* Slots. Sized by limits.connections. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct sa_pair);
} pairs SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 65536);
	__type(value, __u32);
} free_slots SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SA_MAX_PROOFS);
	__type(key, struct sa_proof_key);
	__type(value, struct sa_proof);
} proofs SEC(".maps") __weak;

/* What rules that observe have seen. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SA_MAX_OBSERVATIONS);
	__type(key, struct sa_observation_key);
	__type(value, struct sa_observation);
} observations SEC(".maps") __weak;

/* The ends that they see. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sa_sight);
} sights SEC(".maps") __weak;

/*
 * The sockets of enrolled pairs, by socket cookie: a number that no program can choose, so nobody
 * can fill one bucket on purpose (SOCKHASH hashes with a fixed seed). Sized twice
 * limits.connections.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 131072);
	__type(key, __u64);
	__type(value, __u64);
} sockets SEC(".maps") __weak;

/* --- control -------------------------------------------------------------------------------------
 */

enum { SA_PROGRAM_GATE, SA_PROGRAM_COUNT };

/* What the stub calls. Cleared by the kernel when the daemon's descriptor goes: then all is TCP. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, SA_PROGRAM_COUNT);
	__type(key, __u32);
	__type(value, __u32);
} programs SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SA_MAX_RULES);
	__type(key, __u32);
	__type(value, struct sa_counters);
} counters SEC(".maps") __weak;

/* Wakes the daemon; apart from `events`, so that a flood of those can't hide it. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} work SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps") __weak;

/* One element: visiting it runs the steward's pass over the pairs once. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} once SEC(".maps") __weak;

/* A socket of the daemon's own, from which sa_learn reads what an ordinary socket looks like. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} own_sockets SEC(".maps") __weak;

/* What pair.bpf.c is called for, of a covered end. */
#define SA_CALLS                                                                                   \
	(BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RTT_CB_FLAG | BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG)

/*
 * An end that has not talked yet is known by its flags alone: pair.bpf.c is called for what it
 * sends, and one of two flags, whose calls are rare and not looked at, says which end it is. Both:
 * they are somebody else's.
 */
#define SA_MARK_OF_CLIENT BPF_SOCK_OPS_RTO_CB_FLAG
#define SA_MARK_OF_SERVER BPF_SOCK_OPS_RETRANS_CB_FLAG
#define SA_MARKS	  (SA_MARK_OF_CLIENT | SA_MARK_OF_SERVER)

static __always_inline bool is_to_talk(__u32 flags)
{
	__u32 mark = flags & SA_MARKS;

	return (mark == SA_MARK_OF_CLIENT || mark == SA_MARK_OF_SERVER) &&
	       flags & BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG;
}

/* --- helpers that more than one program needs
 * ------------------------------------------------------- */

static __always_inline struct sa_counters *counters_of(__u32 rule)
{
	return bpf_map_lookup_elem(&counters, &rule);
}

/* Tells the daemon to run a pass; once, until it has run. */
static __always_inline void raise_work(void)
{
	__u32 one = 1;

	if (control.work_raised || __sync_lock_test_and_set(&control.work_raised, 1))
		return;
	bpf_ringbuf_output(&work, &one, sizeof(one), BPF_RB_FORCE_WAKEUP);
}

/*
 * A limit was met: the daemon counts on, and tells. It hears of it within a second, whoever else
 * raises passes.
 */
static __always_inline void note_limit(__u32 limit)
{
	__u64 now = bpf_ktime_get_ns();

	__sync_fetch_and_add(&control.limit_hits[limit], 1);
	if (now - *(volatile __u64 *)&control.limit_raised_ns < SA_SEC)
		return;
	control.limit_raised_ns = now;
	raise_work();
}

/* The end of this socket; none, if the witness alone has made it, for its mark. */
static __always_inline struct sa_end *known_end(void *sk)
{
	struct sa_end *end = bpf_sk_storage_get(&ends, sk, NULL, 0);

	return end && end->claimed ? end : NULL;
}

/* Is there no slot for one more pair? */
static __always_inline bool is_full(void)
{
	return *(volatile __u32 *)&control.slots_busy >= *(volatile __u32 *)&control.max_pairs;
}

/*
 * Is it of no use that those try again who found it full? They wait until a part is free: a single
 * free slot would have all of them run for it.
 */
static __always_inline bool is_nearly_full(void)
{
	__u32 most = control.max_pairs;

	return *(volatile __u32 *)&control.slots_busy + most / 64 >= most;
}

/*
 * The mask stays, also where the compiler knows that the number is small: Linux 6.1 forgets what it
 * has seen of a number that had to be kept on the stack.
 */
static __always_inline __u32 rule_index(__u32 rule)
{
	asm volatile("" : "+r"(rule));
	return rule & (SA_MAX_RULES - 1);
}

static __always_inline struct sa_rule *rule_at(__u32 rule)
{
	return &control.rules[rule_index(rule)];
}

static __always_inline bool is_in(__u64 rules, __u32 rule)
{
	return rules >> rule_index(rule) & 1;
}

static __always_inline bool is_paused(__u32 rule)
{
	return is_in(*(volatile __u64 *)&control.paused_rules, rule);
}

/* Readers that block are enrolled only if they never can have slept by TCP's queue. */
static __always_inline bool may_block(const struct sa_pair *pair)
{
	return pair->at_connect && rule_at(pair->rule)->tolerate & SA_TOLERATE_BLOCKING;
}

static __always_inline struct sa_pair *pair_at(__u32 slot, __u32 generation)
{
	struct sa_pair *pair = bpf_map_lookup_elem(&pairs, &slot);

	return pair && pair->generation == generation ? pair : NULL;
}

/* Is there still the socket that had this cookie? A freed one keeps its memory's type, not its
 * count. */
static __always_inline bool is_alive(__u64 address, __u64 cookie)
{
	struct sock *sk = (struct sock *)address;

	return cookie && (__u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) == cookie &&
	       BPF_CORE_READ(sk, __sk_common.skc_refcnt.refs.counter) > 0;
}

#endif
