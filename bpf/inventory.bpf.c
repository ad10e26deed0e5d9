// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Other people's BPF programs, as the daemon is told of them: all programs of the host, as asking
 * for one by its id would take CAP_SYS_ADMIN and an iterator does not; and which sock_ops programs
 * are attached to a cgroup or below it, as asking for each cgroup would take long where they are
 * many.
 */
#include "kernel.h"
#include "sockaccel.h"

SEC("iter/bpf_prog")
int sa_inventory(struct bpf_iter__bpf_prog *ctx)
{
	struct bpf_prog *prog = ctx->prog;
	struct sa_program program = {};

	if (!prog)
		return 0;
	program.id = BPF_CORE_READ(prog, aux, id);
	program.type = BPF_CORE_READ(prog, type);
	BPF_CORE_READ_STR_INTO(&program.name, prog, aux, name);
	bpf_seq_write(ctx->meta->seq, &program, sizeof(program));
	return 0;
}

/*
 * The answer has to fit one read of the iterator's 32 KiB: it does not go on where it was. What is
 * beyond is not told.
 */
#define MOST_BYTES    30000u
#define MOST_ATTACHED 64 /* BPF_CGROUP_MAX_PROGS */

SEPARATELY_VERIFIED __u32 id_of_attached(__u64 address)
{
	struct bpf_prog_list *attached = (struct bpf_prog_list *)address;
	struct bpf_prog *program =
		BPF_CORE_READ(attached, prog) ?: BPF_CORE_READ(attached, link, link.prog);

	return BPF_CORE_READ(program, aux, id);
}

SEC("iter/cgroup")
int sa_attached(struct bpf_iter__cgroup *ctx)
{
	struct cgroup *cgroup = ctx->cgroup;
	struct sa_attachment attachment = {};
	struct hlist_head *heads;
	__u64 attached;

	if (!cgroup)
		return 0;
	attachment.cgroup = BPF_CORE_READ(cgroup, kn, id);
	heads = (void *)cgroup + bpf_core_field_offset(struct cgroup, bpf.progs);
	heads += bpf_core_enum_value(enum cgroup_bpf_attach_type, CGROUP_SOCK_OPS);
	/* The node comes first in it. */
	attached = (__u64)BPF_CORE_READ(heads, first);
	for (int i = 0; i < MOST_ATTACHED && attached; i++) {
		if (BPF_CORE_READ(ctx->meta, seq, count) > MOST_BYTES)
			return 0;
		attachment.program = id_of_attached(attached);
		bpf_seq_write(ctx->meta->seq, &attachment, sizeof(attachment));
		attached = (__u64)BPF_CORE_READ((struct bpf_prog_list *)attached, node.next);
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
