/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of kernel structures that the programs read. Field offsets and sizes are relocated when
 * the programs are loaded (CO-RE): only names and types have to be right here, so no kernel header
 * of the machine that builds gets into the result.
 */
#ifndef SOCKACCEL_KERNEL_H
#define SOCKACCEL_KERNEL_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

typedef _Bool bool;
enum { false, true };

/*
 * A function that the verifier looks at once, for any arguments, instead of along each path that
 * leads to a call. So what it is given are numbers and, if it looks, whole values of maps; and of
 * two objects that include it the linker takes one.
 */
#define SEPARATELY_VERIFIED __weak __noinline

#define NULL		 ((void *)0)
#define AF_INET		 2
#define AF_INET6	 10
#define EBUSY		 16
#define E2BIG		 7
#define EEXIST		 17
#define O_NONBLOCK	 04000
#define EPOLLET		 (1u << 31)
#define SOL_SOCKET	 1
#define SO_KEEPALIVE	 9
#define SO_RCVLOWAT	 18
#define SOL_TCP		 6
#define TCP_KEEPIDLE	 4
#define TCP_KEEPINTVL	 5
#define SOCK_RCVBUF_LOCK 2 /* include/net/sock.h */
#define RCV_SHUTDOWN	 1
#define SEND_SHUTDOWN	 2
#define TCP_FLAG_SYN	 0x02
#define TCP_FLAG_ACK	 0x10
#define SK_USER_DATA_PSOCK                                                                         \
	4ull /* include/linux/skmsg.h: the tag in sk_user_data of a socket with a psock */
#define SK_USER_DATA_TAGS 7ull

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	__s64 counter;
} atomic64_t;

typedef struct {
	atomic_t refs;
} refcount_t;

typedef struct {
	__u32 val;
} kuid_t;

struct list_head {
	struct list_head *next, *prev;
};

struct user_namespace {
	int level; /* 0: the first one */
};

struct cred {
	struct user_namespace *user_ns;
};

struct file {
	unsigned int f_flags;
	const struct cred *f_cred;
};

struct epoll_event {
	__u32 events;
};

struct epoll_filefd {
	struct file *file;
};

struct epitem {
	struct epoll_filefd ffd;
	struct epoll_event event;
};

struct wait_queue_head {
	struct list_head head;
};

typedef struct wait_queue_head wait_queue_head_t;

struct wait_queue_entry {
	void *func;
	struct list_head entry;
};

struct eppoll_entry {
	struct epitem *base;
	struct wait_queue_entry wait;
	wait_queue_head_t *whead;
};

struct socket_wq {
	wait_queue_head_t wait;
};

struct sock;

struct socket {
	struct file *file;
	struct sock *sk;
};

struct msghdr {
	unsigned int msg_flags;
};

struct kernfs_node {
	__u64 id;
};

struct cgroup_subsys_state {
	struct cgroup_subsys_state *parent;
};

struct bpf_prog;

struct bpf_prog_array_item {
	struct bpf_prog *prog;
};

struct bpf_prog_array {
	struct bpf_prog_array_item items[1];
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct bpf_link {
	struct bpf_prog *prog;
};

struct bpf_cgroup_link {
	struct bpf_link link;
};

/* One program that is attached to a cgroup: by a link, or without one. */
struct bpf_prog_list {
	struct hlist_node node;
	struct bpf_prog *prog;
	struct bpf_cgroup_link *link;
};

struct cgroup_bpf {
	struct bpf_prog_array *effective[2];
	struct hlist_head progs[2];
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
	struct cgroup_bpf bpf;
};

struct page_counter {
	atomic64_t usage; /* pages, as is max */
	unsigned long max;
	struct page_counter *parent;
};

struct mem_cgroup {
	struct page_counter memory;
	unsigned long socket_pressure;
	struct page_counter tcpmem; /* cgroup v1 */
	bool tcpmem_active;
	int tcpmem_pressure;
};

struct obj_cgroup {
	struct mem_cgroup *memcg;
};

struct bpf_map {
	struct obj_cgroup *objcg;
};

struct sock_cgroup_data {
	struct cgroup *cgroup;
};

struct proto {
	unsigned long *memory_pressure;
};

struct net {
	__u64 net_cookie;
	struct user_namespace *user_ns; /* whose root may do all in it */
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	__u8 bytes[16];
};

struct sock_common {
	__u32 skc_daddr, skc_rcv_saddr;
	__u16 skc_dport, skc_num;
	unsigned short skc_family;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
	struct proto *skc_prot;
	unsigned char skc_state;
	unsigned long skc_flags;
	atomic64_t skc_cookie;
	refcount_t skc_refcnt;
};

typedef struct {
	int owned;
} socket_lock_t;

struct sk_filter;

struct sock {
	struct sock_common __sk_common;
	struct {
		atomic_t rmem_alloc;
	} sk_backlog;
	socket_lock_t sk_lock;
	int sk_forward_alloc;
	int sk_rcvbuf;
	int sk_rcvlowat;
	int sk_peek_off;
	struct sk_filter *sk_filter;
	struct socket_wq *sk_wq;
	__u8 sk_userlocks : 4;
	__u8 sk_shutdown;
	int sk_err;
	__u32 sk_tsflags;
	void *sk_user_data;
	struct socket *sk_socket;
	struct sock_cgroup_data sk_cgrp_data;
	void *sk_data_ready;
	kuid_t sk_uid;
	struct mem_cgroup *sk_memcg;
};

struct inet_sock {
	struct sock sk;
};

struct tcp_ulp_ops;

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	const struct tcp_ulp_ops *icsk_ulp_ops;
};

struct tcp_options_received {
	__u16 saw_tstamp : 1, tstamp_ok : 1, dsack : 1, wscale_ok : 1, sack_ok : 3, smc_ok : 1,
		snd_wscale : 4, rcv_wscale : 4;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 write_seq, copied_seq, rcv_nxt, rcv_wup, rcv_wnd, snd_una, snd_nxt, urg_seq;
	__u64 bytes_sent, bytes_acked, bytes_received;
	__u32 data_segs_in, data_segs_out, mss_cache;
	struct tcp_options_received rx_opt;
	__u8 repair : 1, recvmsg_inq : 1;
	__u8 bpf_sock_ops_cb_flags;
	bool is_mptcp;
};

struct sk_psock {
	struct list_head ingress_msg;
	refcount_t refcnt;
};

struct seq_file {
	unsigned long count;
};

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id, seq_num;
};

struct bpf_prog_aux {
	__u32 id;
	char name[16];
};

struct bpf_prog {
	enum bpf_prog_type type;
	struct bpf_prog_aux *aux;
};

struct bpf_iter__bpf_prog {
	struct bpf_iter_meta *meta;
	struct bpf_prog *prog;
};

struct bpf_iter__cgroup {
	struct bpf_iter_meta *meta;
	struct cgroup *cgroup;
};

struct task_struct;

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
};

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
};

/* Values are relocated, too: their order changes between kernels. */
enum sock_flags {
	SOCK_ZEROCOPY,
	SOCK_RCVTSTAMP,
	SOCK_RCVTSTAMPNS,
	SOCK_TIMESTAMPING_RX_SOFTWARE,
	SOCK_KEEPOPEN,
};

enum cgroup_bpf_attach_type {
	CGROUP_INET_INGRESS,
	CGROUP_INET_EGRESS,
	CGROUP_SOCK_OPS,
};

#pragma clang attribute pop

/*
 * A field of a kernel structure, from any address: by a plain load if the compiler is told that the
 * pointer has its type for the verifier, too (`typed`, a constant), else by a helper's call. The
 * load is as safe: what cannot be read is 0 (BPF_PROBE_MEM).
 */
#define FIELD(typed, pointer, field)                                                               \
	({                                                                                         \
		/* Else a structure of ours that holds the pointer were looked for in the kernel.  \
		 */                                                                                \
		typeof(pointer) whose_field = (pointer);                                           \
		typeof(whose_field->field) value_of_field;                                         \
		if (typed)                                                                         \
			value_of_field = whose_field->field;                                       \
		else                                                                               \
			value_of_field = BPF_CORE_READ(whose_field, field);                        \
		value_of_field;                                                                    \
	})

#define BITFIELD(typed, pointer, field)                                                            \
	((typed) ? BPF_CORE_READ_BITFIELD(pointer, field)                                          \
		 : BPF_CORE_READ_BITFIELD_PROBED(pointer, field))

/* Gives an address its type. From Linux 6.2 on; no call in the end, but a move of a register. */
extern void *bpf_rdonly_cast(const void *address, __u32 btf_id) __ksym __weak;

/* include/net/tcp_states.h, the same in all kernels: they are BPF_TCP_* in linux/bpf.h. */
#define IN_STATES(state, mask) ((1u << (state)) & (mask))

#endif
