// SPDX-License-Identifier: GPL-2.0-or-later
#include "bpf_objects.hpp"

#include <bpf/bpf.h>
#include <fcntl.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>

#include "fd.hpp"

namespace sockaccel::test {

BpfObjects BpfObjects::held_by(pid_t process) {
    BpfObjects objects;
    for (const auto& entry :
         std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/fdinfo")) {
        std::ifstream file(entry.path());
        for (std::string line; std::getline(file, line);) {
            if (line.rfind("prog_id:", 0) == 0)
                objects.programs.insert(static_cast<std::uint32_t>(std::stoul(line.substr(8))));
            else if (line.rfind("link_id:", 0) == 0)
                objects.links.insert(static_cast<std::uint32_t>(std::stoul(line.substr(8))));
            else if (line.rfind("map_id:", 0) == 0)
                objects.maps.insert(static_cast<std::uint32_t>(std::stoul(line.substr(7))));
        }
    }
    return objects;
}

namespace {

// Looked up without a descriptor: closing the last one of a PROG_ARRAY twice within a moment leaves
// it a reference too many, and there for good (prog_array_map_clear(), seen with 6.18).
BpfIds those_left(const BpfIds& ids, int (*next_id)(std::uint32_t, std::uint32_t*)) {
    BpfIds left;
    for (const std::uint32_t id : ids) {
        std::uint32_t next = 0;
        if (next_id(id - 1, &next) == 0 && next == id)
            left.insert(id);
    }
    return left;
}

}  // namespace

BpfObjects BpfObjects::remaining() const {
    return {those_left(programs, ::bpf_prog_get_next_id), those_left(links, ::bpf_link_get_next_id),
            those_left(maps, ::bpf_map_get_next_id)};
}

BpfIds sock_ops_programs_on(const TestCgroup& cgroup) {
    const Fd directory(check(::open(cgroup.directory().c_str(), O_RDONLY | O_CLOEXEC),
                             "open cgroup " + cgroup.path()));
    std::array<std::uint32_t, 64> ids{};
    auto count = static_cast<std::uint32_t>(ids.size());
    check_negative(
        ::bpf_prog_query(directory.get(), BPF_CGROUP_SOCK_OPS, 0, nullptr, ids.data(), &count),
        "ask for programs on cgroup " + cgroup.path());
    return {ids.begin(), ids.begin() + count};
}

}  // namespace sockaccel::test
