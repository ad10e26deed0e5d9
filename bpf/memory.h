/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory cgroups: what is left of their limits. */
#ifndef SOCKACCEL_MEMORY_H
#define SOCKACCEL_MEMORY_H

#include "maps.h"

/* Are there so many pages in the cgroup and in those above it? */
SEPARATELY_VERIFIED int has_pages(__u64 address, __u64 pages)
{
	struct page_counter *counter = (struct page_counter *)address;

	for (int i = 0; i < SA_CGROUP_DEPTH && counter; i++) {
		if ((__u64)BPF_CORE_READ(counter, usage.counter) + pages >
		    BPF_CORE_READ(counter, max))
			return false;
		counter = BPF_CORE_READ(counter, parent);
	}
	return true;
}

/*
 * What is kept of each connection is charged to the memory cgroup of the map's maker, the daemon
 * (bpf_map_kzalloc). When that is full, the kernel would kill the daemon at its next page.
 */
static __always_inline bool is_own_memory_short(void)
{
	struct bpf_map *map = (struct bpf_map *)&ends;
	struct obj_cgroup *objcg;
	struct mem_cgroup *memcg;

	if (!bpf_core_field_exists(map->objcg))
		return false;
	objcg = map->objcg;
	memcg = objcg ? BPF_CORE_READ(objcg, memcg) : NULL;
	return memcg && !has_pages((__u64)memcg + bpf_core_field_offset(struct mem_cgroup, memory),
				   SA_OWN_SPARE_PAGES);
}

#endif
