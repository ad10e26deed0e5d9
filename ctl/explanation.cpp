// SPDX-License-Identifier: GPL-2.0-or-later
#include "explanation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "advice.hpp"
#include "render.hpp"

namespace sockaccel::ctl {

namespace {

using Json = nlohmann::ordered_json;

Counts reasons_of(const ConnectionReport& connection) {
    Counts all = connection.client.reasons;
    for (const auto& [reason, count] : connection.server.reasons)
        all[reason] += count;
    return all;
}

// A later connection may enter when it is made, if the rule tolerates it.
std::string advice_if_blocking(const ConnectionReport& connection,
                               const std::vector<RuleReport>& rules) {
    const auto rule = std::find_if(rules.begin(), rules.end(), [&](const RuleReport& it) {
        return it.name == connection.rule;
    });
    const bool is_tolerated =
        rule != rules.end() &&
        std::find(rule->tolerate.begin(), rule->tolerate.end(), "blocking") != rule->tolerate.end();
    if (is_tolerated)
        return "It was not taken in when it was made, or has left since: have the program connect "
               "again. The rule tolerates \"blocking\", which holds for connections that are made "
               "while it is in force and its prove time is over.";
    const std::string advice(advice_of("blocking"));
    if (connection.besides != "none")
        return fmt::format("{} To tolerate \"blocking\" would not be enough: {}.", advice,
                           connection.besides);
    return advice +
           " Or add \"blocking\" to the rule's `tolerate`: nothing else stands against it, so the "
           "next connection of this kind would be accelerated. Read on it in sockaccel.toml(5) "
           "first: recv(2) may then fail with EAGAIN.";
}

std::string verdict_text(const Explanation& it, const View& view) {
    const ConnectionReport& connection = it.connection;
    if (it.is_private)
        return "not told: it is of other users\n";
    const bool is_matched =
        std::any_of(it.verdicts.begin(), it.verdicts.end(),
                    [](const RuleVerdict& verdict) { return verdict.covers(); });
    if (!it.is_covered)
        return colored("not accelerated", Color::yellow, view) +
               (is_matched ? ": a rule matches, but the service does not know it\n"
                           : ": no rule covers it\n");
    const std::string rule = "by the rule " + one_line(connection.rule) + "\n";
    if (connection.state == "enrolled")
        return colored("accelerated", Color::green, view) + " " + rule;
    return colored("not accelerated", Color::yellow, view) +
           fmt::format(": it is {} {}", connection.state, rule);
}

std::string text_of(const Explanation& it, const View& view) {
    const ConnectionReport& connection = it.connection;
    std::string result =
        colored(endpoint(connection.client.address, connection.client.port) + " -> " +
                    endpoint(connection.client.peer_address, connection.client.peer_port),
                Color::bold, view) +
        "\n";
    result += "  client  " + one_line(who_text(connection.client)) + "\n";
    result += "  server  " + one_line(who_text(connection.server)) + "\n";
    result += "  " + verdict_text(it, view);
    if (it.is_covered && connection.reason != "none")
        result +=
            wrapped(fmt::format("{}: {}", connection.reason, connection.reason_text), 4, view);
    if (const Counts counts = reasons_of(connection); !counts.empty()) {
        result += "  messages left to TCP\n";
        for (const auto& [reason, count] : counts)
            result += fmt::format("    {} {}\n", count, reason);
    }
    for (const RuleVerdict& verdict : it.verdicts) {
        result += fmt::format("  {} {}\n", one_line(verdict.rule),
                              verdict.covers() ? "matches" : "does not cover it");
        for (const Obstacle& obstacle : verdict.obstacles)
            result += wrapped(one_line(obstacle.what), 4, view);
    }
    return result + wrapped("-> " + one_line(it.advice), 2, view);
}

Json end_json(const EndReport& end) {
    return {{"address", end.address}, {"port", end.port}, {"cgroup", end.cgroup},
            {"unit", end.unit},       {"pid", end.pid},   {"process", end.process}};
}

Json json_of(const Explanation& it) {
    const ConnectionReport& connection = it.connection;
    Json rules = Json::array();
    for (const RuleVerdict& verdict : it.verdicts) {
        Json obstacles = Json::array();
        for (const Obstacle& obstacle : verdict.obstacles)
            obstacles.push_back({{"criterion", obstacle.criterion},
                                 {"what", obstacle.what},
                                 {"change", obstacle.change}});
        rules.push_back({{"rule", verdict.rule},
                         {"matches", verdict.covers()},
                         {"obstacles", std::move(obstacles)}});
    }
    return {{"client", end_json(connection.client)},
            {"server", end_json(connection.server)},
            {"known", !it.is_private},
            {"covered", it.is_covered},
            {"accelerated", connection.state == "enrolled"},
            {"rule", connection.rule},
            {"state", connection.state},
            {"reason", connection.reason},
            {"reason_text", connection.reason_text},
            {"reasons", reasons_of(connection)},
            {"rules", std::move(rules)},
            {"advice", it.advice}};
}

}  // namespace

Explanation explain(const ConnectionReport& connection, const std::vector<RuleReport>& rules) {
    Explanation result;
    result.connection = connection;
    result.is_covered = true;
    result.advice = connection.reason == "blocking" ? advice_if_blocking(connection, rules)
                                                    : std::string(advice_of(connection.reason));
    const Counts counts = reasons_of(connection);
    if (connection.state == "enrolled" && !counts.empty()) {
        const auto most =
            std::max_element(counts.begin(), counts.end(),
                             [](const auto& a, const auto& b) { return a.second < b.second; });
        result.advice = fmt::format("{}: {}", most->first, advice_of(most->first));
    }
    return result;
}

std::string explanations_text(const std::vector<Explanation>& explanations, const View& view) {
    std::string result;
    for (const Explanation& explanation : explanations)
        result += (result.empty() ? "" : "\n") + text_of(explanation, view);
    return result;
}

std::string explanations_json(const std::vector<Explanation>& explanations) {
    Json array = Json::array();
    for (const Explanation& explanation : explanations)
        array.push_back(json_of(explanation));
    return Json{{"explanations", std::move(array)}}.dump(2, ' ', false,
                                                         Json::error_handler_t::replace) +
           "\n";
}

}  // namespace sockaccel::ctl
