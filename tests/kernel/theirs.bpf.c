// SPDX-License-Identifier: GPL-2.0-or-later
/* Programs that somebody else might have on the same cgroups and sockets. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

const volatile __u32 rwnd_segments, timeout_jiffies; /* 0: no answer */

/* Answers the two questions that the kernel asks by sock_ops, and says so. */
SEC("sockops")
int theirs(struct bpf_sock_ops* ctx) {
    if (ctx->op == BPF_SOCK_OPS_RWND_INIT && rwnd_segments)
        ctx->reply = rwnd_segments;
    if (ctx->op == BPF_SOCK_OPS_TIMEOUT_INIT && timeout_jiffies)
        ctx->reply = timeout_jiffies;
    return 1;
}

struct {
    __uint(type, BPF_MAP_TYPE_SOCKMAP);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, __u32);
} their_sockets SEC(".maps");

__u64 messages;

SEC("sk_msg")
int their_verdict(struct sk_msg_md* msg) {
    __sync_fetch_and_add(&messages, 1);
    return SK_PASS;
}

char LICENSE[] SEC("license") = "GPL";
