// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * All BPF programs of the host, as the daemon is told of them: asking for one by its id would take
 * CAP_SYS_ADMIN, an iterator does not.
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

char LICENSE[] SEC("license") = "GPL";
