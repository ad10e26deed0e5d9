// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the published tutorials do: every connection into one SOCKHASH at once, under its addresses
 * and ports, every message redirected, no limit. A baseline to be measured, never to be used: it
 * changes the order of bytes, gives data to strangers and takes all memory.
 */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct tutorial_key {
    __u32 source, destination; /* in network byte order */
    __u32 source_port, destination_port;
};

struct {
    __uint(type, BPF_MAP_TYPE_SOCKHASH);
    __uint(max_entries, 65535);
    __type(key, struct tutorial_key);
    __type(value, __u32);
} tutorial_sockets SEC(".maps");

SEC("sockops")
int tutorial_enter(struct bpf_sock_ops* ctx) {
    struct tutorial_key key = {
        .source = ctx->local_ip4,
        .destination = ctx->remote_ip4,
        .source_port = ctx->local_port,
        .destination_port = bpf_ntohl(ctx->remote_port),
    };

    if (ctx->family != 2) /* AF_INET */
        return 1;
    if (ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB ||
        ctx->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
        bpf_sock_hash_update(ctx, &tutorial_sockets, &key, BPF_NOEXIST);
    return 1;
}

SEC("sk_msg")
int tutorial_redirect(struct sk_msg_md* msg) {
    struct tutorial_key peer = {
        .source = msg->remote_ip4,
        .destination = msg->local_ip4,
        .source_port = bpf_ntohl(msg->remote_port),
        .destination_port = msg->local_port,
    };

    bpf_msg_redirect_hash(msg, &tutorial_sockets, &peer, BPF_F_INGRESS);
    return SK_PASS;
}

char LICENSE[] SEC("license") = "GPL";
