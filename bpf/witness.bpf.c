// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The witness: sees which programs use their sockets in ways that redirect cannot honour, while the
 * sockets are still on plain TCP, and when it happens on an enrolled pair, too.
 *
 * fentry programs, in an object of their own: where they do not load, the others have to. It shares
 * the other object's maps, by name, and its .bss, which holds nothing but `control`. Attached only
 * while a rule asks for it, because they run in every program's calls; for a socket that is not
 * covered they end at once.
 *
 * A socket in a SOCKHASH has other functions (net/ipv4/tcp_bpf.c): tcp_bpf_recvmsg calls
 * tcp_recvmsg only if nothing redirected is unread, and tcp_bpf_ioctl, where there is one, counts
 * by itself. So each has its program. tcp_splice_read is the same for all. tcp_bpf_sendmsg is
 * called for sockets in a SOCKHASH only: urgent data that was sent before, the receiver's urg_seq
 * tells.
 */
#include "hazard.h"
#include "claim.h"

#include <bpf/bpf_tracing.h>

#define FIONREAD    0x541b /* asm-generic/ioctls.h; the kernel calls it SIOCINQ here */
#define MSG_OOB	    0x1
#define MSG_WAITALL 0x100

struct sa_control control = {};

/* SA_MAX_RULES: it has none yet. */
static __always_inline __u32 rule_of(const struct sa_end *end, const struct sa_pair *pair)
{
	struct sa_half *half;

	if (pair)
		return pair->rule;
	if (end->matched)
		return end->rule;
	half = bpf_map_lookup_elem(&halves, &end->key);
	return half && half->matched ? half->rule : SA_MAX_RULES;
}

/* By redirect or by TCP. */
static __always_inline bool is_anything_unread(__u64 address)
{
	return BPF_CORE_READ((struct sock *)address, sk_backlog.rmem_alloc.counter);
}

/*
 * The pair leaves. At once, where nothing is unread: then no byte more is redirected to a program
 * that would not see it there. If something is, TCP must not follow it: the steward waits.
 */
static __always_inline void wish_out(struct sa_pair *pair, __u32 reason, __u64 now)
{
	if (!pair->wish)
		pair->wish = reason;
	if (pair->state == SA_LIVE && !is_anything_unread(pair->side[SA_CLIENT].sk) &&
	    !is_anything_unread(pair->side[SA_SERVER].sk)) {
		pair->reason = pair->wish;
		pair->since_ns = now;
		__sync_val_compare_and_swap(&pair->state, SA_LIVE, SA_DRAINING);
	}
	raise_work();
}

static __always_inline __u32 flags_of(struct sock *sk)
{
	return BPF_CORE_READ((struct tcp_sock *)sk, bpf_sock_ops_cb_flags);
}

/* Of one that has not talked yet it is made here, for what it did to be known when it has. */
static __always_inline struct sa_end *end_of(struct sock *sk)
{
	struct sa_end *end = bpf_sk_storage_get(&ends, sk, NULL, 0);

	if (end || !is_to_talk(flags_of(sk)))
		return end;
	return bpf_sk_storage_get(&ends, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
}

/*
 * It may never talk, and others of its kind may: so it counts for the rule that decides in its own
 * view.
 */
static __always_inline void keep_before_talk(struct sock *sk, struct sa_end *end)
{
	struct cgroup *cgroup = cgroup_of(sk);
	__u32 rule;

	end->role = flags_of(sk) & SA_MARK_OF_SERVER ? SA_SERVER : SA_CLIENT;
	end->claim.cgroup = BPF_CORE_READ(cgroup, kn, id);
	put_tuple(&end->claim.tuple, sk);
	if (!find_rules(&end->claim, cgroup, end->role & 1))
		return;
	rule = first_rule(end->claim.match.cgroup_rules & end->claim.match.view_rules &
			  control.deciding_rules);
	if (rule < SA_MAX_RULES)
		keep_hazards(end, rule, bpf_ktime_get_ns());
}

static __always_inline void see(struct sock *sk, __u32 hazard)
{
	struct sa_end *end = end_of(sk);
	struct sa_pair *pair;
	__u32 rule, reason;
	__u64 now;

	if (!end || end->hazards & hazard)
		return;
	/* Before the look at the slot: the steward sets that before it looks at the hazards. */
	if (__sync_fetch_and_or(&end->hazards, hazard) & hazard)
		return;
	if (!end->claimed) {
		keep_before_talk(sk, end);
		return;
	}
	pair = pair_at(end->slot, end->slot_generation);
	rule = rule_of(end, pair);
	if (rule >= SA_MAX_RULES)
		return; /* the steward finds the mark when it finds the rule */
	now = bpf_ktime_get_ns();
	keep_hazards(end, rule, now);
	reason = reason_of_hazards(hazard, rule);
	if (pair && reason)
		wish_out(pair, reason, now);
}

static __always_inline void see_flags(struct sock *sk, int flags)
{
	if (flags & MSG_WAITALL)
		see(sk, SA_TOLERATE_WAITALL);
	if (flags & MSG_OOB)
		see(sk, SA_HAZARD_OOB);
}

SEC("fentry/tcp_splice_read")
int BPF_PROG(sa_see_splice, struct socket *socket)
{
	struct sock *sk = socket->sk;

	if (sk)
		see(sk, SA_TOLERATE_SPLICE);
	return 0;
}

/* The third argument differs between kernels. */
SEC("fentry/tcp_ioctl")
int BPF_PROG(sa_see_ioctl, struct sock *sk, int command)
{
	if (command == FIONREAD)
		see(sk, SA_TOLERATE_FIONREAD);
	return 0;
}

SEC("fentry/tcp_bpf_ioctl")
int BPF_PROG(sa_see_bpf_ioctl, struct sock *sk, int command)
{
	if (command == FIONREAD)
		see(sk, SA_TOLERATE_FIONREAD);
	return 0;
}

SEC("fentry/tcp_recvmsg")
int BPF_PROG(sa_see_recvmsg, struct sock *sk, struct msghdr *message, __u64 size, int flags)
{
	if (flags & (MSG_WAITALL | MSG_OOB))
		see_flags(sk, flags);
	return 0;
}

SEC("fentry/tcp_bpf_recvmsg")
int BPF_PROG(sa_see_bpf_recvmsg, struct sock *sk, struct msghdr *message, __u64 size, int flags)
{
	if (flags & (MSG_WAITALL | MSG_OOB))
		see_flags(sk, flags);
	return 0;
}

SEC("fentry/tcp_bpf_sendmsg")
int BPF_PROG(sa_see_bpf_sendmsg, struct sock *sk, struct msghdr *message)
{
	if (message->msg_flags & MSG_OOB)
		see(sk, SA_HAZARD_OOB);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
