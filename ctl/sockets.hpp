// SPDX-License-Identifier: GPL-2.0-or-later
// This host's TCP sockets as the kernel lists them to everybody (sock_diag), and the processes that
// hold them, as far as the caller may see those.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "network.hpp"

namespace sockaccel::ctl {

struct Socket {
    Address local, remote;
    std::uint16_t local_port = 0, remote_port = 0;
    bool is_listening = false, is_established = false;
    std::uint64_t cookie = 0;
    std::uint64_t cgroup = 0;  // id; 0: the kernel does not tell
    std::uint64_t inode = 0;   // 0: no process holds it
    std::uint32_t uid = 0;
    std::optional<std::uint64_t>
        data_segments;  // sent and received; none: the kernel does not tell
};

// Those of the network namespace of this process; with `all` also of every other one that a
// process is in and that the caller may enter (root). Throws std::runtime_error if the kernel does
// not list them.
[[nodiscard]] std::vector<Socket> tcp_sockets(bool all);

struct Process {
    int pid = 0;
    std::string name;

    [[nodiscard]] std::string text() const { return name + "[" + std::to_string(pid) + "]"; }
};

// Who holds these inodes; the first process if several do. Without the right to look into other
// users' processes, one's own only.
[[nodiscard]] std::map<std::uint64_t, Process> holders();

// The inodes that a process holds. Throws std::runtime_error if there is no such process, or the
// caller may not look into it.
[[nodiscard]] std::vector<std::uint64_t> inodes_of(int pid);

// The path of a cgroup under the cgroup2 root; "" if it is gone or not to be seen.
[[nodiscard]] std::string cgroup_path(std::uint64_t id);

}  // namespace sockaccel::ctl
