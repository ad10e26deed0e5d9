// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Adopting: connections that were open before they were covered. Both initial sequence numbers can
 * be had back from a socket's counters at any time, so its ends claim under the same key as new
 * ones. Whether a socket is the client or the server cannot: it claims both, and only the true
 * claim finds another end; the steward takes the other one back.
 *
 * sa_adopt_own: over the sockets of the daemon's own network namespace. The kernel locks each, and
 * from Linux 6.12 on it can be told to call pair.bpf.c, as for one that was covered from the start.
 *
 * sa_adopt_files: over the descriptors of all processes, in all network namespaces. No program is
 * called for these: see is_unheard() in steward.bpf.c.
 */
#include "claim.h"
#include "memory.h"

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

/*
 * Without the lock the counters grow while they are read: twice the same, and they belong together.
 * A wrong number finds no other end.
 */
static __always_inline bool read_isns(struct sa_key *as_client, struct tcp_sock *tp)
{
	__u32 next = BPF_CORE_READ(tp, rcv_nxt), unacknowledged = BPF_CORE_READ(tp, snd_una);
	__u64 received = BPF_CORE_READ(tp, bytes_received);
	__u64 acknowledged = BPF_CORE_READ(tp, bytes_acked);

	as_client->server_isn = next - (__u32)received - 1;
	as_client->client_isn = unacknowledged - (__u32)acknowledged;
	return next == BPF_CORE_READ(tp, rcv_nxt) && unacknowledged == BPF_CORE_READ(tp, snd_una) &&
	       received == BPF_CORE_READ(tp, bytes_received) &&
	       acknowledged == BPF_CORE_READ(tp, bytes_acked);
}

/* A frame of its own: the stack of a program is small. */
static __noinline int claim_role(const struct sa_end *end, const struct sa_key *key, __u32 role)
{
	if (end && key)
		claim_as(end, key, role);
	return 0;
}

/* False: no rule covers it. */
static __always_inline bool adopt(struct tcp_sock *tp)
{
	struct sock *sk = (struct sock *)tp;
	struct sa_claim claimed = {};
	struct sa_key key, as_server;
	struct cgroup *cgroup;
	struct sa_end *end;

	if (BPF_CORE_READ(sk, __sk_common.skc_state) != BPF_TCP_ESTABLISHED)
		return false;
	end = bpf_sk_storage_get(&ends, sk, NULL, 0);
	if (end && end->claimed)
		return true;
	cgroup = cgroup_of(sk);
	put_tuple(&claimed.tuple, sk);
	if (!find_rules(&claimed, cgroup, SA_CLIENT))
		return false;
	if (!read_isns(&key, tp) && !read_isns(&key, tp))
		return false;
	if (claimed.tuple.local_port == claimed.tuple.remote_port &&
	    is_same_address(claimed.tuple.local, claimed.tuple.remote))
		return false; /* connected to itself */
	if (is_own_memory_short()) {
		note_limit(SA_LIMIT_OWN_MEMORY);
		return false;
	}
	end = bpf_sk_storage_get(&ends, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!end)
		return false;
	if (!begin_claiming(end))
		return true;
	describe(&claimed, tp, cgroup);
	claimed.cookie = bpf_get_socket_cookie(sk);
	end->key = key;
	end->role = SA_CLIENT;
	end->slot = SA_NO_SLOT;
	end->reason = SA_REASON_YOUNG;
	end->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, net_cookie);
	end->claim = claimed;
	end->adopted = end->is_role_open = 1;
	if (!bpf_sk_storage_get(&candidates, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE)) {
		bpf_sk_storage_delete(&ends, sk);
		return false;
	}
	claim_role(end, &key, SA_CLIENT);
	other_reading(&as_server, &key);
	find_rules(&end->claim, cgroup, SA_SERVER);
	claim_role(end, &as_server, SA_SERVER);
	end_claiming(end);
	return true;
}

SEC("iter/tcp")
int sa_adopt_own(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	struct tcp_sock *tp;
	int flags;

	if (!common)
		return 0;
	tp = bpf_skc_to_tcp_sock(common);
	if (!tp || !adopt(tp))
		return 0;
	flags = tp->bpf_sock_ops_cb_flags; /* others may have theirs */
	if (flags & BPF_SOCK_OPS_RTT_CB_FLAG)
		return 0; /* pair.bpf.c knows which others it wants */
	flags |= SA_CALLS;
	bpf_setsockopt(common, SOL_TCP, SA_TCP_BPF_SOCK_OPS_CB_FLAGS, &flags, sizeof(flags));
	return 0;
}

SEC("iter/task_file")
int sa_adopt_files(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	struct socket *socket;
	struct tcp_sock *tp;
	struct sock *sk;

	if (!file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp)
		adopt(tp);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
