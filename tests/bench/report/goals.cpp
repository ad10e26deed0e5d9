// SPDX-License-Identifier: GPL-2.0-or-later
#include "goals.hpp"

#include <fnmatch.h>

#include <algorithm>

namespace sockaccel::bench {
namespace {

bool matches(const std::string& pattern, const std::string& text) {
    return ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}

bool is_meant(const Goal& goal, const Row& row) {
    if (!matches(goal.group, row.group) || row.of(goal.way).empty() || row.of(goal.to).empty())
        return false;
    if (goal.group == "*" && row.name.find("blocking") != std::string::npos)
        return false;
    return std::ranges::any_of(goal.names,
                               [&](const std::string& name) { return matches(name, row.name); });
}

Outcome outcome_of(double least, const Spread& ratio) {
    if (ratio.median >= least)
        return ratio.low >= least ? Outcome::met : Outcome::unsure;
    return ratio.high < least ? Outcome::missed : Outcome::unsure;
}

std::string omission_of(const Goal& goal, const Results& results) {
    for (const Omission& omission : results.omissions)
        if (omission.group == goal.group)
            return omission.why;
    return "not measured";
}

const std::vector<std::string> kSmall = {"loopback, poll, 1B", "loopback, poll, 64B",
                                         "loopback, poll, 1KiB", "loopback, poll, 4KiB"};
const std::vector<std::string> kLarge = {"loopback, poll, 16KiB", "loopback, poll, 64KiB"};
const std::vector<std::string> kPoll = {"loopback, poll, *"};
const std::vector<std::string> kLargeWrites = {"loopback, 64KiB", "loopback, 256KiB",
                                               "loopback, 1MiB"};

}  // namespace

const std::vector<Goal>& goals() {
    static const std::vector<Goal> all = {
        {"request/response of 1 B to 4 KiB", 1.22, "requests", kSmall},
        {"request/response of 16 and 64 KiB", 1.25, "requests", kLarge},
        {"request/response, to AF_UNIX", 1.0, "requests", kPoll, Way::accelerated,
         Way::unix_socket},
        {"request/response, to two pipes", 0.9, "requests", kPoll, Way::accelerated, Way::pipes},
        {"request/response, event-driven ends", 1.15, "requests", {"loopback, epoll, *"}},
        {"request/response over veth and a bridge", 1.40, "requests", {"bridge, *"}},
        {"iperf3 -l 64K and 128K", 2.5, "iperf3", {"-l 64K", "-l 128K"}},
        {"streams in writes of 64 KiB and more", 2.0, "streams", kLargeWrites},
        {"the same, to AF_UNIX", 0.9, "streams", kLargeWrites, Way::accelerated, Way::unix_socket},
        {"redis, 50 connections, values of 16 kB", 1.30, "redis", {"*-c 50 -P 1 -d 16000"}},
        {"pgbench -S", 1.20, "pgbench", {"-S*"}},
        {"nginx, 64 KiB, kept alive", 1.20, "http", {"nginx, 64KiB"}},
        {"connections, each with one request", 0.97, "connects", {"*"}},
        {"the same, of a port that no rule covers",
         0.995,
         "connects",
         {"*"},
         Way::uncovered,
         Way::plain},
        {"recv() of an uninvolved program beside the witness",
         0.995,
         "witness",
         {"an uninvolved program, recv()", "an uninvolved program, *64B"},
         Way::uncovered,
         Way::plain},
        {"request/response, to the tutorial's redirect without gate, steward and counters", 0.98,
         "requests", kPoll, Way::accelerated, Way::tutorial},
        {"the worst of everything", 0.98, "*", {"*"}},
    };
    return all;
}

std::string_view to_string(Outcome outcome) {
    switch (outcome) {
        case Outcome::met:
            return "met";
        case Outcome::unsure:
            return "unsure";
        case Outcome::missed:
            return "NOT MET";
        case Outcome::unmeasured:
            return "-";
    }
    return "?";
}

Judgement judge(const Goal& goal, const Results& results) {
    Judgement judgement;
    for (const Row& row : results.rows) {
        if (!is_meant(goal, row))
            continue;
        const Spread ratio = row.ratio(goal.way, goal.to);
        if (judgement.worst != nullptr && ratio.median >= judgement.ratio.median)
            continue;
        judgement.worst = &row;
        judgement.ratio = ratio;
    }
    if (judgement.worst == nullptr)
        judgement.why = omission_of(goal, results);
    else
        judgement.outcome = outcome_of(goal.least, judgement.ratio);
    return judgement;
}

}  // namespace sockaccel::bench
