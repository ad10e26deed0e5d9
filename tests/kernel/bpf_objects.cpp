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

BpfObjects BpfObjects::remaining() const {
    BpfObjects objects;
    for (const std::uint32_t id : programs)
        if (Fd(::bpf_prog_get_fd_by_id(id)))
            objects.programs.insert(id);
    for (const std::uint32_t id : links)
        if (Fd(::bpf_link_get_fd_by_id(id)))
            objects.links.insert(id);
    for (const std::uint32_t id : maps)
        if (Fd(::bpf_map_get_fd_by_id(id)))
            objects.maps.insert(id);
    return objects;
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
