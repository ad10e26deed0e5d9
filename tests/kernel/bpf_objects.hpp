// SPDX-License-Identifier: GPL-2.0-or-later
// BPF objects as the kernel tells of them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <set>

#include "cgroup.hpp"

namespace sockaccel::test {

using BpfIds = std::set<std::uint32_t>;

// Ids of the programs, links and maps that a process holds by a descriptor.
struct BpfObjects {
    BpfIds programs, links, maps;

    [[nodiscard]] static BpfObjects held_by(pid_t process);
    // Those that still exist, whoever holds them.
    [[nodiscard]] BpfObjects remaining() const;
    [[nodiscard]] bool empty() const { return programs.empty() && links.empty() && maps.empty(); }
};

// Ids of the programs attached to this very cgroup as sock_ops.
[[nodiscard]] BpfIds sock_ops_programs_on(const TestCgroup& cgroup);

}  // namespace sockaccel::test
