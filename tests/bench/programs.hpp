// SPDX-License-Identifier: GPL-2.0-or-later
// Real clients and servers, compared: in each way they run all the time, in a cgroup that is frozen
// while another way is measured. So connections stay, turns are short, and as many as it takes.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "measures.hpp"
#include "netns.hpp"
#include "place.hpp"
#include "process.hpp"

namespace sockaccel::bench {

// Where the programs of one way run: all ports are free, and the directory is theirs.
struct Site {
    Way way;
    const test::Netns& netns;
    const test::Place& place;
    const std::filesystem::path& directory;
};

// From one time to another, CLOCK_REALTIME.
struct Window {
    std::chrono::nanoseconds begin{}, end{};
};

// What was begun at a site.
struct Load {
    std::vector<std::unique_ptr<test::Process>> processes;  // the server first
    // How much was done so far.
    std::function<std::uint64_t()> progress;
    // Instead: what was done in each of these windows, once the programs have ended.
    std::function<std::vector<Sample>(const std::vector<Window>&)> account;
};

struct Program {
    std::string group, name, unit;
    std::vector<Way> ways = {Way::plain, Way::accelerated, Way::tutorial};
    std::function<Load(const Site&)> start;
    // Which connections are measured; none: all.
    Rig::Predicate is_measured = {};
    int stretch = 1;  // how many times longer than usual a sample is
};

// A way that hangs or fails is told as such.
void measure_program(Session& session, const Program& program);

// Whether all programs are there; else why the group is omitted.
[[nodiscard]] bool has_programs(Session& session, const std::string& group,
                                const std::vector<std::string>& programs);

// Bytes that a process has read by read(2).
[[nodiscard]] std::uint64_t bytes_read_by(pid_t pid);
// Waits until the process listens at a port of its network namespace; throws what it wrote if it
// ends or does not.
void await_listener(test::Process& process, std::uint16_t port);

[[nodiscard]] std::unique_ptr<test::Process> start(const test::Command& command);

}  // namespace sockaccel::bench
