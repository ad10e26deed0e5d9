// SPDX-License-Identifier: GPL-2.0-or-later
// What a program pays for the witness in the functions that it calls: one that has nothing to do
// with any rule, and one that is covered.
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <functional>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "fentry.hpp"
#include "measures.hpp"
#include "wait_until.hpp"
#include "worker.hpp"

namespace sockaccel::bench {
namespace {

// Tolerates nothing, so that there has to be a witness.
std::string watchful_policy(const test::TestCgroup& cgroup) {
    return fmt::format("[[rule]]\nname = \"watched\"\ncgroups = [\"{}\"]\nprove = \"0s\"\n",
                       cgroup.path());
}

void put_in_force(test::Daemon& daemon, const std::string& policy) {
    daemon.write_policy(policy);
    daemon.manager().Reload();
    for (const std::string& name : daemon.manager().Rules())
        if (!test::wait_until([&] { return daemon.rule(name)->State() == "active"; }))
            throw std::runtime_error("the rule is " + daemon.rule(name)->State() + ": " +
                                     daemon.rule(name)->Why());
}

// A call on a socket that has nothing to read.
struct Call {
    const char* name;
    void (*make)(int fd);
};

void receive(int fd, int flags) {
    char byte = 0;
    static_cast<void>(::recv(fd, &byte, 1, MSG_DONTWAIT | flags));
}

constexpr Call kCalls[] = {
    {"recv()", [](int fd) { receive(fd, 0); }},
    {"recv(MSG_WAITALL)", [](int fd) { receive(fd, MSG_WAITALL); }},
    {"FIONREAD",
     [](int fd) {
         int count = 0;
         ::ioctl(fd, FIONREAD, &count);
     }},
};

// `what`: an index into kCalls.
Worker::Act begin_calls() {
    constexpr int kBetweenLooks = 1000;
    auto ends = std::make_shared<std::pair<Fd, Fd>>(connect_through(listen_at(0)));
    return [ends](std::uint32_t what) -> std::uint64_t {
        for (int i = 0; i < kBetweenLooks; ++i)
            kCalls[what].make(ends->first.get());
        return kBetweenLooks;
    };
}

// With the policy in force, which wants the witness, and without any.
void compare(Session& session, test::Daemon& daemon, const std::string& policy, std::string name,
             std::string unit, const std::function<Sample()>& run) {
    const auto measure = [&](const std::string& in_force) {
        return [&, in_force] {
            stop_if_interrupted();
            put_in_force(daemon, in_force);
            return run();
        };
    };
    Row row;
    row.group = "witness";
    row.name = std::move(name);
    row.unit = std::move(unit);
    for (unsigned turn = 0; turn < session.turns(Precision::fine); ++turn)
        take_turn(row, turn, {{Way::plain, measure("")}, {Way::uncovered, measure(policy)}});
    session.add(std::move(row));
}

void measure_calls(Session& session, test::Daemon& daemon, const std::string& policy,
                   const std::string& who, const test::TestCgroup& cgroup) {
    put_in_force(daemon, policy);  // before it connects
    Worker caller(cgroup, "witness", begin_calls);
    for (std::uint32_t what = 0; what < std::size(kCalls); ++what)
        compare(session, daemon, policy, fmt::format("{}, {}", who, kCalls[what].name), "calls",
                [&] {
                    static_cast<void>(caller.run(what, session.sample() / 10));
                    return caller.run(what, session.sample());
                });
}

}  // namespace

void measure_witness(Session& session) {
    if (!test::fentry_loads()) {
        session.omit("witness", "all", "this kernel does not let fentry programs load");
        return;
    }
    session.end_rig();
    const test::TestCgroup watched, uninvolved;
    test::Daemon daemon("");
    const std::string policy = watchful_policy(watched);
    for (const Waiting waiting : {Waiting::poll, Waiting::blocking}) {
        Route route;
        route.waiting = waiting;
        Station station(route);
        move_to(uninvolved, station.pid());
        static_cast<void>(station.connect(1));
        const Case what{Pattern::request_response, 64};
        compare(session, daemon, policy,
                fmt::format("an uninvolved program, {}, 64B", to_string(waiting)), "transactions",
                [&] { return run_warm(station, 0, what, session.sample()); });
    }
    measure_calls(session, daemon, policy, "an uninvolved program", uninvolved);
    measure_calls(session, daemon, policy, "a covered program", watched);
}

}  // namespace sockaccel::bench
