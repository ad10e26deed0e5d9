// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Asks the kernel for a function of its own, in a millisecond or two: libbpf would read and sort
 * all the kernel's types for it. An object of its own, as the answers decide which programs of the
 * others are loaded.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define KIND_FUNC 12 /* BTF_KIND_FUNC */

char function[64]; /* its name; the last byte is 0 */
int found;

SEC("syscall")
int sa_find_function(void *ctx)
{
	found = bpf_btf_find_by_name_kind(function, sizeof(function), KIND_FUNC, 0) > 0;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
