// SPDX-License-Identifier: GPL-2.0-or-later
// What the daemon tells over D-Bus, as plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kernel_verdict.hpp"

namespace sockaccel::ctl {

using Counts = std::map<std::string, std::uint64_t>;

struct RuleReport {
    std::string name;
    // active, waiting, testing, paused, refused; why: "" if active
    std::string state, why;
    std::string action;
    std::string holder;  // unique bus name; "": it is in the policy's files
    std::int32_t priority = 0;
    std::vector<std::string> units, cgroups, ports, networks, tolerate;
    std::uint64_t queue_bytes = 0;
    std::chrono::microseconds prove{};
    std::uint32_t selected_count = 0;           // cgroups that exist now
    std::vector<std::string> selected_cgroups;  // the first of them
    std::uint64_t paired = 0, enrolled = 0, left = 0;
    std::uint64_t redirected_messages = 0, redirected_bytes = 0;
    std::uint64_t tcp_messages = 0, tcp_bytes = 0;
    Counts reasons;  // messages left to TCP, by reason

    // Connections that are accelerated now.
    [[nodiscard]] std::uint64_t live() const { return enrolled > left ? enrolled - left : 0; }
};

struct StatusReport {
    std::string version, kernel;
    std::vector<std::string> policy_files;  // that the policy in force was read from
    std::string kernel_state;               // testing, usable, unusable
    std::uint32_t generation = 0;
    std::chrono::microseconds last_reload{};  // since the epoch; 0: not known
    std::vector<RuleReport> rules;            // in deciding order
    std::uint32_t pairs = 0;
    std::uint64_t budget_used_bytes = 0, budget_bytes = 0;
    std::uint64_t halves_expired = 0;
    Counts limit_hits;                 // how often each limit was met
    std::uint64_t pass_usec = 0;       // CPU time of the steward's last pass
    std::vector<std::string> foreign;  // other people's programs
    std::vector<std::string> paused;   // names; one that is empty: everything
    std::vector<std::string> problems;

    // Nothing is wrong, and every rule may run.
    [[nodiscard]] bool is_well() const;
};

struct ProbeReport {
    std::vector<Finding> findings;
    bool is_usable = false;
};

struct EndReport {
    std::string address, peer_address;
    std::uint16_t port = 0, peer_port = 0;
    std::uint64_t cookie = 0, netns = 0;
    std::uint32_t uid = 0;
    std::string cgroup;
    // Not told by the daemon, see identify(): "" and 0 if not known.
    std::string unit, process;
    int pid = 0;
    std::uint64_t queued_bytes = 0;
    std::uint64_t redirected_messages = 0, redirected_bytes = 0;
    std::uint64_t tcp_messages = 0, tcp_bytes = 0;
    Counts reasons;
};

struct ConnectionReport {
    std::string rule, state, reason, reason_text;
    std::string besides = "none";  // with the reason "blocking": what else stands against it
    std::chrono::microseconds age{};
    EndReport client, server;
};

struct ConnectionsReport {
    std::vector<ConnectionReport> connections;
    std::size_t filtered = 0;   // that were not asked for
    std::uint32_t omitted = 0;  // that did not fit into the answer
    std::uint32_t hidden = 0;   // of other users, which the caller may not see
};

struct EventReport {
    std::string event, rule, reason, reason_text;
    std::string client_address, server_address;
    std::uint16_t client_port = 0, server_port = 0;
    std::uint64_t client_cookie = 0, server_cookie = 0;
    std::uint32_t client_uid = 0, server_uid = 0;
    std::chrono::microseconds monotonic{};         // CLOCK_MONOTONIC
    std::chrono::system_clock::time_point time{};  // the same moment
};

}  // namespace sockaccel::ctl
