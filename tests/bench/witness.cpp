// SPDX-License-Identifier: GPL-2.0-or-later
// What a program pays that has nothing to do with any rule, for the witness in the functions that
// it calls, too.
#include <stdexcept>

#include <fmt/format.h>

#include "fentry.hpp"
#include "measures.hpp"
#include "wait_until.hpp"

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

}  // namespace

void measure_witness(Session& session) {
    if (!test::fentry_loads()) {
        session.omit("witness", "all", "this kernel does not let fentry programs load");
        return;
    }
    session.end_rig();
    const test::TestCgroup watched, uninvolved;
    test::Daemon daemon("");
    for (const Waiting waiting : {Waiting::poll, Waiting::blocking}) {
        Route route;
        route.waiting = waiting;
        Station station(route);
        move_to(uninvolved, station.pid());
        static_cast<void>(station.connect(1));
        const Case what{Pattern::request_response, 64};
        const auto measure = [&](const std::string& policy) {
            return [&, policy] {
                stop_if_interrupted();
                put_in_force(daemon, policy);
                return run_warm(station, 0, what, session.sample());
            };
        };
        Row row;
        row.group = "witness";
        row.name = fmt::format("an uninvolved program, {}, 64B", to_string(waiting));
        row.unit = "transactions";
        for (unsigned turn = 0; turn < session.turns(Precision::fine); ++turn)
            take_turn(
                row, turn,
                {{Way::plain, measure("")}, {Way::uncovered, measure(watchful_policy(watched))}});
        session.add(std::move(row));
    }
}

}  // namespace sockaccel::bench
