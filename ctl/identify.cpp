// SPDX-License-Identifier: GPL-2.0-or-later
#include "identify.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>

#include "log.hpp"
#include "sockets.hpp"

namespace sockaccel::ctl {

namespace {

using Inodes = std::map<std::uint64_t, std::uint64_t>;  // by cookie

Inodes inodes_by_cookie(bool all) {
    Inodes result;
    for (const Socket& socket : tcp_sockets(all))
        if (socket.inode != 0)
            result.emplace(socket.cookie, socket.inode);
    return result;
}

// Cheap for the usual host: other network namespaces are looked into only if an end is in one.
Inodes inodes_of(const ConnectionsReport& report) {
    Inodes inodes = inodes_by_cookie(false);
    const bool has_all = std::all_of(
        report.connections.begin(), report.connections.end(), [&](const ConnectionReport& it) {
            return inodes.contains(it.client.cookie) && inodes.contains(it.server.cookie);
        });
    return has_all ? inodes : inodes_by_cookie(true);
}

}  // namespace

void identify(ConnectionsReport& report) {
    if (report.connections.empty())
        return;
    Inodes inodes;
    std::map<std::uint64_t, Process> processes;
    try {
        inodes = inodes_of(report);
        processes = holders();
    } catch (const std::runtime_error&) {
        // A kernel without sock_diag: the units are told all the same.
    }
    const auto tell = [&](EndReport& end) {
        end.unit = log::unit_of(end.cgroup);
        const auto inode = inodes.find(end.cookie);
        const auto process =
            inode == inodes.end() ? processes.end() : processes.find(inode->second);
        if (process == processes.end())
            return;
        end.pid = process->second.pid;
        end.process = process->second.name;
    };
    for (ConnectionReport& connection : report.connections) {
        tell(connection.client);
        tell(connection.server);
    }
}

}  // namespace sockaccel::ctl
