// SPDX-License-Identifier: GPL-2.0-or-later
// What connections cost that do nothing, and what it costs when one of many begins to.
#include <algorithm>
#include <fstream>
#include <memory>
#include <thread>

#include <fmt/format.h>

#include "crowd.hpp"
#include "measures.hpp"

namespace sockaccel::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kIdle = 100000, kQuickIdle = 2000;
constexpr seconds kSettle{3};            // until the kernel has freed what it can
constexpr seconds kStewardPatience{60};  // until it has put all of them aside
constexpr double kQuiet = 1e-3;          // CPU time in a second

double kernel_memory() {
    return static_cast<double>(host_memory("SUnreclaim"));
}

double resident_memory(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
    double size = 0, resident = 0;
    file >> size >> resident;
    return resident * 4096;
}

double seconds_of(std::chrono::nanoseconds time) {
    return std::chrono::duration<double>(time).count();
}

// Of the kernel, for each connection that is made meanwhile.
double memory_of_each(std::size_t count, const std::function<void()>& make) {
    const double before = kernel_memory();
    make();
    std::this_thread::sleep_for(kSettle);
    return (kernel_memory() - before) / static_cast<double>(count);
}

// So much that something is kept of them.
void talk(Crowd& crowd, std::size_t count) {
    for (int turn = 0; turn < 5; ++turn) {
        stop_if_interrupted();
        crowd.converse(0, count);
    }
}

// CPU time of the daemon, whose passes the kernel's part of the steward runs in.
double daemon_cpu(Rig& rig, const std::function<void()>& during) {
    const auto before = cpu_of(rig.daemon().pid());
    during();
    return seconds_of(cpu_of(rig.daemon().pid()) - before);
}

// Passes have a twentieth of the time, so the first ones over many connections are far apart.
void await_quiet(Rig& rig) {
    const auto deadline = std::chrono::steady_clock::now() + kStewardPatience;
    int quiet = 0;
    while (quiet < 10 && std::chrono::steady_clock::now() < deadline) {
        stop_if_interrupted();
        quiet = daemon_cpu(rig, [] { std::this_thread::sleep_for(seconds(1)); }) < kQuiet
                    ? quiet + 1
                    : 0;
    }
}

// Of the daemon, when one of them begins to talk; another one each time.
double wake_up_cost(Rig& rig, Crowd& crowd, std::size_t times) {
    return daemon_cpu(rig,
                      [&] {
                          for (std::size_t i = 0; i < times; ++i) {
                              stop_if_interrupted();
                              crowd.converse(i, i + 1);
                              std::this_thread::sleep_for(milliseconds(500));
                          }
                      }) /
           static_cast<double>(times);
}

}  // namespace

void measure_idle(Session& session) {
    const std::size_t count = session.is_quick() ? kQuickIdle : kIdle;
    const std::size_t wake_ups = session.is_quick() ? 4 : 20;
    const auto figure = [&](const std::string& name, const std::string& unit, double value) {
        session.add(Figure{"idle", name, unit, value});
    };
    Rig& rig = session.rig();
    std::unique_ptr<Crowd> few, plain, covered;
    few = std::make_unique<Crowd>(rig.cgroup(Way::accelerated), wake_ups);
    talk(*few, wake_ups);
    std::this_thread::sleep_for(kSettle);
    const double cost_of_few = wake_up_cost(rig, *few, wake_ups);
    few.reset();
    const double memory = memory_of_each(
        count, [&] { plain = std::make_unique<Crowd>(rig.cgroup(Way::plain), count); });
    plain.reset();
    std::this_thread::sleep_for(kSettle);
    const double resident = resident_memory(rig.daemon().pid());
    const double silent_memory = memory_of_each(
        count, [&] { covered = std::make_unique<Crowd>(rig.cgroup(Way::accelerated), count); });
    const double talk_memory = memory_of_each(count, [&] { talk(*covered, count); });
    await_quiet(rig);
    figure("connections", "", static_cast<double>(count));
    figure("kernel memory of a connection, plain", "bytes", memory);
    figure("kernel memory of a connection, covered, before it has talked", "bytes", silent_memory);
    figure("kernel memory of a connection, covered", "bytes", silent_memory + talk_memory);
    figure("memory that the daemon takes for all of them", "bytes",
           std::max(0.0, resident_memory(rig.daemon().pid()) - resident));
    figure("the steward's last pass over them", "s",
           static_cast<double>(rig.daemon().status().at("pass_usec").get<std::uint64_t>()) / 1e6);
    figure("CPU time of the daemon in 5 s in which nothing happens", "s",
           daemon_cpu(rig, [] { std::this_thread::sleep_for(seconds(5)); }));
    figure(
        fmt::format("CPU time of the daemon when one of {} connections begins to talk", wake_ups),
        "s", cost_of_few);
    figure("the same, of one of all these", "s", wake_up_cost(rig, *covered, wake_ups));
}

}  // namespace sockaccel::bench
