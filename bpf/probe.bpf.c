// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the self-test of the kernel (src/kernel_probe.cpp) redirects with: the same mechanism as the
 * steward's and the gate's, without their conditions. An object of its own, so that nothing of it
 * ever meets a socket of somebody else.
 */
#include "kernel.h"

enum { SA_PROBE_ENDS = 2 };

/* What user space sets before each act; single-threaded. */
volatile __u32 redirect_to = 0; /* the end that a message goes to, plus one; 0: by TCP */
volatile __s32 failure = 0;	/* the last error of an iterator */
volatile __u32 visited = 0;	/* sockets that an iterator has put in or taken out */
volatile __u32 redirected = 0;	/* messages for which the kernel took the redirect */

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, SA_PROBE_ENDS);
	__type(key, __u32);
	__type(value, __u64);
} probe_sockets SEC(".maps");

/* The ends, by number: what the iterators walk. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} probe_ends SEC(".maps");

SEC("sk_msg")
int sa_probe_redirect(struct sk_msg_md *msg)
{
	__u32 key = redirect_to;

	if (!key)
		return SK_PASS;
	key--;
	if (bpf_msg_redirect_hash(msg, &probe_sockets, &key, BPF_F_INGRESS) == SK_PASS)
		redirected++;
	return SK_PASS;
}

SEC("iter/bpf_sk_storage_map")
int sa_probe_insert(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	__u32 *end = ctx->value, key;
	int error;

	if (!sk || !end)
		return 0;
	key = *end;
	error = bpf_map_update_elem(&probe_sockets, &key, sk, BPF_NOEXIST);
	if (error)
		failure = error;
	else
		visited++;
	return 0;
}

SEC("iter/bpf_sk_storage_map")
int sa_probe_remove(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	__u32 *end = ctx->value, key;
	int error;

	if (!ctx->sk || !end)
		return 0;
	key = *end;
	error = bpf_map_delete_elem(&probe_sockets, &key);
	if (error)
		failure = error;
	else
		visited++;
	return 0;
}

/* Never attached: does the kernel load such a program? The witness needs it. */
SEC("?fentry/tcp_ioctl")
int sa_probe_fentry(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
