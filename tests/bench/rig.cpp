// SPDX-License-Identifier: GPL-2.0-or-later
#include "rig.hpp"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <stdexcept>

#include <fmt/format.h>

#include "fd.hpp"
#include "policy_text.hpp"

namespace sockaccel::bench {
namespace {

using std::chrono::nanoseconds;

std::string text(const Dict& dict, const char* key) {
    return dict.at(key).get<std::string>();
}

// Reasons that a connection keeps for longer than a measurement.
bool is_lasting(const std::string& reason) {
    return reason == "pattern" || reason == "cooling" || reason == "blocking";
}

nanoseconds cpu_of_tasks(const std::filesystem::path& process) {
    std::uint64_t sum = 0;
    std::error_code gone;
    for (const auto& task : std::filesystem::directory_iterator(process / "task", gone)) {
        std::uint64_t time = 0;
        std::ifstream(task.path() / "schedstat") >> time;
        sum += time;
    }
    return nanoseconds(sum);
}

nanoseconds cpu_below(const std::filesystem::path& cgroup) {
    nanoseconds sum{};
    std::ifstream procs(cgroup / "cgroup.procs");
    for (pid_t pid = 0; procs >> pid;)
        sum += cpu_of(pid);
    for (const auto& entry : std::filesystem::directory_iterator(cgroup))
        if (entry.is_directory())
            sum += cpu_below(entry.path());
    return sum;
}

Standing standing_of(const std::vector<Dict>& connections) {
    Standing standing;
    if (connections.empty())
        return standing;
    std::map<std::string, std::size_t> states, reasons;
    std::map<std::string, std::string> texts;
    standing.is_settled = true;
    for (const Dict& connection : connections) {
        const std::string state = text(connection, "state"), reason = text(connection, "reason");
        ++states[state];
        if (state == "enrolled")
            continue;
        ++reasons[reason];
        texts[reason] = text(connection, "reason_text");
        standing.is_settled = standing.is_settled && is_lasting(reason);
    }
    const auto most = [](const auto& counts) {
        return std::ranges::max_element(counts, {}, [](const auto& one) { return one.second; })
            ->first;
    };
    standing.state = most(states);
    standing.enrolled =
        static_cast<double>(states["enrolled"]) / static_cast<double>(connections.size());
    if (!reasons.empty()) {
        standing.reason = most(reasons);
        standing.reason_text = texts[standing.reason];
    }
    return standing;
}

// What it costs to be called at all: a sock_ops program that returns 1.
Fd attach_empty_program(const test::TestCgroup& cgroup) {
    std::array<bpf_insn, 2> instructions{};
    instructions[0].code = BPF_ALU64 | BPF_MOV | BPF_K;  // r0 = 1
    instructions[0].imm = 1;
    instructions[1].code = BPF_JMP | BPF_EXIT;
    const Fd program(check(bpf_prog_load(BPF_PROG_TYPE_SOCK_OPS, "bench_empty", "GPL",
                                         instructions.data(), instructions.size(), nullptr),
                           "load an empty sock_ops program"));
    const Fd directory(check(::open(cgroup.directory().c_str(), O_RDONLY | O_CLOEXEC),
                             "open cgroup " + cgroup.path()));
    return Fd(check(bpf_link_create(program.get(), directory.get(), BPF_CGROUP_SOCK_OPS, nullptr),
                    "attach an empty sock_ops program"));
}

}  // namespace

Rig::Rig()
    : plain_(root_, "plain"),
      covered_(root_, "covered"),
      blocking_(covered_, "blocking"),
      tutorial_cgroup_(root_, "tutorial"),
      empty_(root_, "empty"),
      other_(root_, "other"),
      tutorial_(tutorial_cgroup_),
      empty_program_(attach_empty_program(empty_)),
      daemon_(policy(false)) {
    expect_active();
}

void Rig::tolerate_blocking(bool is_tolerated) {
    daemon_.write_policy(policy(is_tolerated));
    daemon_.manager().Reload();
    expect_active();
}

void Rig::expect_active() {
    for (const std::string& name : daemon_.manager().Rules())
        if (const auto rule = daemon_.rule(name); rule->State() != "active")
            throw std::runtime_error("nothing can be accelerated: rule " + name + " is " +
                                     rule->State() + ": " + rule->Why());
}

// With the default limits.
std::string Rig::policy(bool tolerates_blocking) const {
    const std::string scope =
        fmt::format("ports = [\"1-{}\", \"{}-65535\"]\nnetworks = [\"0.0.0.0/0\"]\n",
                    kUncoveredPort - 1, kUncoveredPort + 1);
    std::string policy = test::rule("bench", {covered_.path()}, scope);
    if (tolerates_blocking)
        policy += test::rule("blocking", {blocking_.path()}, "priority = 1\n" + scope, "blocking");
    return policy;
}

const test::TestCgroup& Rig::cgroup(Way way, Waiting waiting) const {
    switch (way) {
        case Way::plain:
            return plain_;
        case Way::accelerated:
            return waiting == Waiting::blocking ? blocking_ : covered_;
        case Way::uncovered:
            return covered_;
        case Way::tutorial:
            return tutorial_cgroup_;
        case Way::empty:
            return empty_;
        case Way::unix_socket:
        case Way::pipes:
            break;
    }
    return other_;
}

Standing Rig::standing(const Predicate& is_meant) {
    std::vector<Dict> connections = daemon_.connections();
    std::erase_if(connections, [&](const Dict& connection) { return !is_meant(connection); });
    return standing_of(connections);
}

Rig::Bytes Rig::bytes() {
    Bytes bytes;
    for (const std::string& name : daemon_.manager().Rules()) {
        const auto counters = daemon_.rule(name)->Counters();
        bytes.redirected += counters.at("redirected_bytes");
        bytes.tcp += counters.at("tcp_bytes");
    }
    return bytes;
}

nanoseconds cpu_of(const test::TestCgroup& cgroup) {
    return cpu_below(cgroup.directory());
}

nanoseconds cpu_of(pid_t pid) {
    return cpu_of_tasks("/proc/" + std::to_string(pid));
}

std::uint64_t host_memory(const std::string& line) {
    std::ifstream file("/proc/meminfo");
    std::string key, unit;
    for (std::uint64_t value = 0; file >> key >> value; std::getline(file, unit))
        if (key == line + ":")
            return value * 1024;
    return 0;
}

void move_to(const test::TestCgroup& cgroup, pid_t pid) {
    std::ofstream procs(cgroup.directory() / "cgroup.procs");
    procs << pid << std::flush;
    if (!procs)
        throw std::runtime_error(fmt::format("cannot move process {} to /{}", pid, cgroup.path()));
}

pid_t start_in(const test::TestCgroup& cgroup, const char* name, const std::function<void()>& act) {
    const pid_t parent = ::getpid();
    const pid_t pid = check(::fork(), "make a process");
    if (pid != 0)
        return pid;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() == parent) {
        try {
            move_to(cgroup, ::getpid());
            act();
        } catch (const std::exception& error) {
            std::fprintf(stderr, "%s: %s\n", name, error.what());
        }
    }
    ::_exit(1);
}

void end_process(pid_t pid) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
}

}  // namespace sockaccel::bench
