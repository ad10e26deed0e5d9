// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Adopting: connections that were open before they were covered. Both initial sequence numbers can
 * be had back from a socket's counters at any time, so its ends claim under the same key as new
 * ones. Whether a socket is the client or the server cannot: it claims both, and only the true
 * claim finds another end; the steward takes the other one back.
 *
 * Over the descriptors of all processes, in all network namespaces. Not over the kernel's table of
 * TCP sockets, although a program could have pair.bpf.c called for these (bpf_setsockopt in
 * iter/tcp, from Linux 6.12 on): the kernel locks each socket there, and whoever stalls inside
 * recv() would hold the daemon (tests/kernel/stall_test.cpp). So no program is called for what is
 * adopted: see is_unheard() in steward.bpf.c.
 */
#include "claim.h"
#include "memory.h"

/*
 * The counters grow while they are read: twice the same, and they belong together.
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

static __always_inline void adopt(struct tcp_sock *tp)
{
	struct sock *sk = (struct sock *)tp;
	struct sa_claim claimed = {};
	struct sa_key key, as_server;
	struct cgroup *cgroup;
	struct sa_end *end;

	if (BPF_CORE_READ(sk, __sk_common.skc_state) != BPF_TCP_ESTABLISHED)
		return;
	if (known_end(sk) || is_to_talk(BPF_CORE_READ(tp, bpf_sock_ops_cb_flags)))
		return;
	cgroup = cgroup_of(sk);
	put_tuple(&claimed.tuple, sk);
	if (!find_rules(&claimed, cgroup, SA_CLIENT))
		return;
	if (!read_isns(&key, tp) && !read_isns(&key, tp))
		return;
	if (claimed.tuple.local_port == claimed.tuple.remote_port &&
	    is_same_address(claimed.tuple.local, claimed.tuple.remote))
		return; /* connected to itself */
	if (is_own_memory_short()) {
		note_limit(SA_LIMIT_OWN_MEMORY);
		return;
	}
	end = bpf_sk_storage_get(&ends, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!end)
		return;
	if (!begin_claiming(end))
		return;
	describe(&claimed, tp, cgroup);
	claimed.cookie = bpf_get_socket_cookie(sk);
	claimed.late = 1;
	end->key = key;
	end->role = SA_CLIENT;
	end->slot = SA_NO_SLOT;
	end->reason = SA_REASON_YOUNG;
	end->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, net_cookie);
	end->claim = claimed;
	end->adopted = end->is_role_open = 1;
	if (!bpf_sk_storage_get(&candidates, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE)) {
		bpf_sk_storage_delete(&ends, sk);
		return;
	}
	claim_role(end, &key, SA_CLIENT);
	other_reading(&as_server, &key);
	find_rules(&end->claim, cgroup, SA_SERVER);
	claim_role(end, &as_server, SA_SERVER);
	end_claiming(end);
}

SEC("iter/task_file")
int sa_adopt(struct bpf_iter__task_file *ctx)
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
