// SPDX-License-Identifier: GPL-2.0-or-later
#include "coverage.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "log.hpp"
#include "port_set.hpp"
#include "render.hpp"
#include "sockaccel.h"

namespace sockaccel::ctl {

namespace {

bool is_below(const std::string& cgroup, const std::string& top) {
    return top.empty() || cgroup == top ||
           (cgroup.size() > top.size() && cgroup.compare(0, top.size(), top) == 0 &&
            cgroup[top.size()] == '/');
}

bool selects(const RuleReport& rule, const std::string& cgroup) {
    return std::any_of(rule.selected_cgroups.begin(), rule.selected_cgroups.end(),
                       [&](const std::string& selected) { return is_below(cgroup, selected); });
}

// The daemon shows the first ones of very many.
bool is_known(const RuleReport& rule) {
    return rule.selected_cgroups.size() >= rule.selected_count;
}

// How a rule gets to select what is there.
std::string way_into(const std::string& cgroup) {
    const std::string unit = log::unit_of(cgroup);
    if (cgroup.empty())
        return "run that program as a unit, or in a cgroup of its own, and add it";
    return unit.empty() ? fmt::format("add \"{}\" to its `cgroups`", cgroup)
                        : fmt::format("add \"{}\" to its `units`", unit);
}

void judge_end(const RuleReport& rule, const char* role, const Endpoint& end,
               const std::optional<std::string>& cgroup, std::vector<Obstacle>& obstacles) {
    if (!cgroup) {
        obstacles.push_back(
            {"end",
             fmt::format("the {}, {}, is no socket that is seen here: it is on another host, or in "
                         "another network namespace",
                         role, end.text()),
             "nothing, if it is on another host"});
        return;
    }
    if (selects(rule, *cgroup))
        return;
    const std::string change = way_into(*cgroup);
    obstacles.push_back(
        {"cgroup",
         fmt::format("the {}'s cgroup /{} is {}", role, *cgroup,
                     is_known(rule) ? "not selected" : "not among the first that it selects"),
         change});
}

void judge_port(const RuleReport& rule, std::uint16_t port, std::vector<Obstacle>& obstacles) {
    PortSet ports;
    for (const std::string& text : rule.ports)
        ports.add(PortRange::parse(text));
    if (!ports.covers(port))
        obstacles.push_back(
            {"port",
             fmt::format("the server's port {} is not in {}", port, fmt::join(rule.ports, ", ")),
             fmt::format("add {} to its `ports`", port)});
}

void judge_network(const RuleReport& rule, const Address& address,
                   std::vector<Obstacle>& obstacles) {
    const bool is_in = std::any_of(
        rule.networks.begin(), rule.networks.end(),
        [&](const std::string& text) { return Network::parse(text).contains(address); });
    if (!is_in)
        obstacles.push_back({"network",
                             fmt::format("the server's address {} is not in {}", address.text(),
                                         fmt::join(rule.networks, ", ")),
                             fmt::format("add \"{}\" to its `networks`", address.text())});
}

}  // namespace

std::string Endpoint::text() const {
    return endpoint(address.text(), port);
}

Endpoint Endpoint::parse(const std::string& text) {
    const std::size_t colon = text.rfind(':');
    std::string address = text.substr(0, colon == std::string::npos ? 0 : colon);
    if (address.size() > 1 && address.front() == '[' && address.back() == ']')
        address = address.substr(1, address.size() - 2);
    const std::string port_text = colon == std::string::npos ? "" : text.substr(colon + 1);
    const auto parsed = Address::parse(address);
    std::uint16_t port = 0;
    const char* end = port_text.data() + port_text.size();
    const auto [stop, error] = std::from_chars(port_text.data(), end, port);
    if (!parsed || error != std::errc{} || stop != end || port == 0)
        throw std::invalid_argument("\"" + text +
                                    "\" is no ADDRESS:PORT, such as 127.0.0.1:6379 or [::1]:80");
    return {*parsed, port};
}

std::vector<RuleVerdict> judge(const PlainConnection& connection,
                               const std::vector<RuleReport>& rules) {
    std::vector<RuleVerdict> verdicts;
    for (const RuleReport& rule : rules) {
        RuleVerdict verdict{rule.name, {}};
        std::vector<Obstacle>& obstacles = verdict.obstacles;
        judge_end(rule, "client", connection.client, connection.client_cgroup, obstacles);
        judge_end(rule, "server", connection.server, connection.server_cgroup, obstacles);
        judge_port(rule, connection.server.port, obstacles);
        judge_network(rule, connection.server.address, obstacles);
        if (rule.state == "refused")
            obstacles.push_back(
                {"state", "it is refused: " + rule.why, "remove what it is refused for"});
        else if (rule.action == "bypass")
            obstacles.push_back({"action", "its action is bypass", ""});
        verdicts.push_back(std::move(verdict));
    }
    return verdicts;
}

std::string conclusion(const std::vector<RuleVerdict>& verdicts,
                       std::optional<std::uint64_t> data_segments) {
    const auto is_changeable = [](const RuleVerdict& verdict) {
        return std::none_of(verdict.obstacles.begin(), verdict.obstacles.end(),
                            [](const Obstacle& obstacle) { return obstacle.change.empty(); });
    };
    const RuleVerdict* nearest = nullptr;
    for (const RuleVerdict& verdict : verdicts)
        if (is_changeable(verdict) &&
            (nearest == nullptr || verdict.obstacles.size() < nearest->obstacles.size()))
            nearest = &verdict;
    if (nearest == nullptr)
        return "Write a rule that covers it, see sockaccel.toml(5).";
    if (nearest->covers() && data_segments && *data_segments < SA_TALK_SEGMENTS)
        return fmt::format(
            "{} matches: the connection is looked at from its segment {} with data on; until now "
            "it has carried {}.",
            nearest->rule, SA_TALK_SEGMENTS, *data_segments);
    if (nearest->covers())
        return fmt::format(
            "{} matches: the connection was opened before the rule was in force, or its other end "
            "is not of this host. Reconnect.",
            nearest->rule);
    const bool is_elsewhere =
        std::any_of(nearest->obstacles.begin(), nearest->obstacles.end(),
                    [](const Obstacle& obstacle) { return obstacle.criterion == "end"; });
    if (is_elsewhere)
        return "Only connections within one host are accelerated. Run it as root to see other "
               "network namespaces, such as containers'.";
    std::vector<std::string> changes;
    for (const Obstacle& obstacle : nearest->obstacles)
        if (std::find(changes.begin(), changes.end(), obstacle.change) == changes.end())
            changes.push_back(obstacle.change);
    return fmt::format(
        "In the rule {}: {}; then `sockaccelctl reload`, and reconnect if it stays in TCP.",
        nearest->rule, fmt::join(changes, ", "));
}

}  // namespace sockaccel::ctl
