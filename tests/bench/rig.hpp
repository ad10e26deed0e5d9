// SPDX-License-Identifier: GPL-2.0-or-later
// What the benchmarks stand on: a cgroup for each way, the real daemon with a rule for one of them,
// and the tutorial's programs on another.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cgroup.hpp"
#include "compare.hpp"
#include "daemon.hpp"
#include "fd.hpp"
#include "tutorial.hpp"

namespace sockaccel::bench {

// No rule covers this port of servers.
inline constexpr std::uint16_t kUncoveredPort = 30000;

// How some of the accelerated way's connections stand.
struct Standing {
    double enrolled = 0;                     // which part of them is
    std::string state, reason, reason_text;  // of most; the reason, of most that are not enrolled

    // All are enrolled, or will not be for a while.
    bool is_settled = false;
};

class Rig {
  public:
    Rig();

    [[nodiscard]] const test::TestCgroup& cgroup(Way way, Waiting waiting = Waiting::poll) const;
    [[nodiscard]] test::Daemon& daemon() { return daemon_; }

    // Connections of cgroup(Way::accelerated, Waiting::blocking) are accelerated then. Not else:
    // all connections of the host pay for such a rule at their handshake.
    void tolerate_blocking(bool is_tolerated);

    using Predicate = std::function<bool(const Dict& connection)>;
    [[nodiscard]] Standing standing(const Predicate& is_meant);

    // What the gate has seen, of all rules.
    struct Bytes {
        std::uint64_t redirected = 0, tcp = 0;
    };
    [[nodiscard]] Bytes bytes();

  private:
    [[nodiscard]] std::string policy(bool tolerates_blocking) const;
    void expect_active();

    test::TestCgroup root_, plain_, covered_, blocking_, tutorial_cgroup_, empty_, other_;
    Tutorial tutorial_;
    Fd empty_program_;  // its link to empty_
    test::Daemon daemon_;
};

// CPU time of all processes in a cgroup, or below it.
[[nodiscard]] std::chrono::nanoseconds cpu_of(const test::TestCgroup& cgroup);
[[nodiscard]] std::chrono::nanoseconds cpu_of(pid_t pid);

// A line of /proc/meminfo, in bytes; 0: there is none.
[[nodiscard]] std::uint64_t host_memory(const std::string& line);

void move_to(const test::TestCgroup& cgroup, pid_t pid);
// A process of its own in a cgroup that does this, and does not outlive this one. What goes wrong
// is told on standard error, after `name`.
[[nodiscard]] pid_t start_in(const test::TestCgroup& cgroup, const char* name,
                             const std::function<void()>& act);
void end_process(pid_t pid);

}  // namespace sockaccel::bench
