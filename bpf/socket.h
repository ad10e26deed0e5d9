/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Questions to a kernel socket that the steward and the gate both ask. */
#ifndef SOCKACCEL_SOCKET_H
#define SOCKACCEL_SOCKET_H

#include "maps.h"

static __always_inline struct sk_psock *psock_of(struct sock *sk)
{
	__u64 tagged = (__u64)BPF_CORE_READ(sk, sk_user_data);

	return tagged & SK_USER_DATA_PSOCK ? (struct sk_psock *)(tagged & ~SK_USER_DATA_TAGS)
					   : NULL;
}

static __always_inline bool is_ingress_empty(struct sk_psock *psock)
{
	return (__u64)BPF_CORE_READ(psock, ingress_msg.next) ==
	       (__u64)psock + bpf_core_field_offset(struct sk_psock, ingress_msg);
}

/* Redirected data waits for this socket's reader. */
static __always_inline bool has_unread(struct sock *sk)
{
	struct sk_psock *psock = psock_of(sk);

	return psock && !is_ingress_empty(psock);
}

/*
 * Has the reader read what was redirected, and not yet what TCP has brought behind that? Then it
 * may sleep: see enum sa_meeting.
 */
static __always_inline bool may_sleep_on_tcp(struct tcp_sock *tp, const struct sa_side *side)
{
	__u32 copied_seq = BPF_CORE_READ(tp, copied_seq);

	return side->meeting == SA_MEETING && copied_seq == side->meeting_seq &&
	       BPF_CORE_READ(tp, rcv_nxt) != copied_seq;
}

#define HAS_FLAG(flags, flag) ((flags) >> bpf_core_enum_value(enum sock_flags, flag) & 1)

/* Options of a receiver that redirect cannot honour; the steward asks both ends, the gate the
 * receiver. */
static __always_inline __u32 obstacle_of_options(struct tcp_sock *tp, bool typed)
{
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	unsigned long flags = FIELD(typed, sk, __sk_common.skc_flags);

	if (HAS_FLAG(flags, SOCK_ZEROCOPY))
		return SA_REASON_ZEROCOPY;
	if (HAS_FLAG(flags, SOCK_RCVTSTAMP) || HAS_FLAG(flags, SOCK_RCVTSTAMPNS) ||
	    HAS_FLAG(flags, SOCK_TIMESTAMPING_RX_SOFTWARE) || BITFIELD(typed, sk, sk_tsflags) ||
	    BITFIELD(typed, tp, recvmsg_inq))
		return SA_REASON_TIMESTAMPS;
	if (FIELD(typed, sk, sk_rcvlowat) > 1)
		return SA_REASON_LOWAT;
	if (FIELD(typed, sk, sk_peek_off) >= 0)
		return SA_REASON_PEEK_OFF;
	if (FIELD(typed, sk, sk_filter))
		return SA_REASON_FILTER;
	if (BITFIELD(typed, tp, repair))
		return SA_REASON_REPAIR;
	if (FIELD(typed, tp, urg_seq)) /* set by urgent data that arrives, and then kept */
		return SA_REASON_OOB;
	return SA_REASON_NONE;
}

/* Do as many programs as this, or more, run for the cgroup: its own and those of the ones above? */
static __always_inline bool are_effective(struct cgroup *cgroup, __u64 type, __u32 count)
{
	struct bpf_prog_array **arrays =
		(void *)cgroup + bpf_core_field_offset(struct cgroup, bpf.effective);
	struct bpf_prog_array *array = NULL;
	struct bpf_prog *last = NULL;

	bpf_probe_read_kernel(&array, sizeof(array), &arrays[type]);
	if (!array)
		return false;
	bpf_probe_read_kernel(&last, sizeof(last),
			      (void *)array + bpf_core_field_offset(struct bpf_prog_array, items) +
				      (count - 1) * bpf_core_type_size(struct bpf_prog_array_item));
	return last;
}

/* IPAddressDeny=, IPIngressFilterPath=, IPAccounting= and the like, of this cgroup or one above it.
 */
static __always_inline bool has_ip_filter(struct cgroup *cgroup)
{
	return are_effective(cgroup,
			     bpf_core_enum_value(enum cgroup_bpf_attach_type, CGROUP_INET_INGRESS),
			     1) ||
	       are_effective(cgroup,
			     bpf_core_enum_value(enum cgroup_bpf_attach_type, CGROUP_INET_EGRESS),
			     1);
}

/* What the socket is, and where: it stays so. */
SEPARATELY_VERIFIED __u32 obstacle_of_kind(__u64 address)
{
	struct sock *sk = (struct sock *)address;
	struct tcp_sock *tp = (struct tcp_sock *)address;

	if (bpf_core_field_exists(tp->is_mptcp) && BPF_CORE_READ(tp, is_mptcp))
		return SA_REASON_MPTCP;
	if (BPF_CORE_READ(tp, inet_conn.icsk_ulp_ops))
		return SA_REASON_ULP;
	if (control.sock_def_readable &&
	    (__u64)BPF_CORE_READ(sk, sk_data_ready) != control.sock_def_readable)
		return SA_REASON_KERNEL_SOCKET;
	if (has_ip_filter(BPF_CORE_READ(sk, sk_cgrp_data.cgroup)))
		return SA_REASON_FILTERED;
	return SA_REASON_NONE;
}

enum reading { READING_UNKNOWN, READING_LEVEL, READING_EDGE };

/*
 * How the socket's reader waits, by the epoll entries on its wait queue. An entry there is epoll's
 * if two links lead back: to the queue, and to the socket's file (fs/eventpoll.c, 5.10 to 7.3). Who
 * is not registered, or waits otherwise, is unknown.
 */
SEPARATELY_VERIFIED enum reading how_read(__u64 address)
{
	struct sock *sk = (struct sock *)address;
	struct socket_wq *wq = BPF_CORE_READ(sk, sk_wq);
	struct file *file = BPF_CORE_READ(sk, sk_socket, file);
	enum reading reading = READING_UNKNOWN;
	__u64 queue, head, node;

	if (!wq)
		return READING_UNKNOWN;
	queue = (__u64)wq + bpf_core_field_offset(struct socket_wq, wait);
	head = queue + bpf_core_field_offset(struct wait_queue_head, head);
	node = (__u64)BPF_CORE_READ((struct list_head *)head, next);
	for (int i = 0; i < 8 && node && node != head; i++) {
		struct eppoll_entry *entry =
			(void *)(node - bpf_core_field_offset(struct wait_queue_entry, entry) -
				 bpf_core_field_offset(struct eppoll_entry, wait));
		struct epitem *item = BPF_CORE_READ(entry, base);

		if ((__u64)BPF_CORE_READ(entry, whead) == queue &&
		    BPF_CORE_READ(item, ffd.file) == file) {
			if (BPF_CORE_READ(item, event.events) & EPOLLET)
				return READING_EDGE;
			reading = READING_LEVEL;
		}
		node = (__u64)BPF_CORE_READ((struct list_head *)node, next);
	}
	return reading;
}

#endif
