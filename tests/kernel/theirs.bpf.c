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

__u64 samples, segments;

/* Wants to hear of each round trip and each segment from the start, as what measures or marks
 * connections does. */
SEC("sockops")
int their_watcher(struct bpf_sock_ops* ctx) {
    switch (ctx->op) {
        case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
        case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
            bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_RTT_CB_FLAG |
                                               BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG);
            break;
        case BPF_SOCK_OPS_RTT_CB:
            __sync_fetch_and_add(&samples, 1);
            break;
        case BPF_SOCK_OPS_HDR_OPT_LEN_CB:
            __sync_fetch_and_add(&segments, 1);
            break;
    }
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
