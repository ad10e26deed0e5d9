// SPDX-License-Identifier: GPL-2.0-or-later
#include "selection.hpp"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>

#include "likely_meant.hpp"

namespace sockaccel::ctl {

namespace {

template <typename Range, typename Value>
bool has(const Range& range, const Value& value) {
    return std::find(range.begin(), range.end(), value) != range.end();
}

template <typename Range, typename Value>
bool fits(const Range& wanted, const Value& value) {
    return wanted.empty() || has(wanted, value);
}

// As systemctl reads it: "redis" is "redis.service", and globs are understood.
bool is_unit(const std::string& pattern, const EndReport& end) {
    if (end.unit.empty())
        return false;
    const bool has_type = pattern.find('.') != std::string::npos;
    return fnmatch((has_type ? pattern : pattern + ".service").c_str(), end.unit.c_str(), 0) == 0;
}

bool has_unit(const ConnectionReport& connection, const std::vector<std::string>& units) {
    return units.empty() || std::any_of(units.begin(), units.end(), [&](const std::string& unit) {
               return is_unit(unit, connection.client) || is_unit(unit, connection.server);
           });
}

bool has_port(const ConnectionReport& connection, const std::vector<std::uint16_t>& ports) {
    const EndReport& client = connection.client;
    const EndReport& server = connection.server;
    return ports.empty() || has(ports, client.port) || has(ports, client.peer_port) ||
           has(ports, server.port) || has(ports, server.peer_port);
}

std::uint64_t bytes_of(const ConnectionReport& it) {
    return it.client.redirected_bytes + it.client.tcp_bytes + it.server.redirected_bytes +
           it.server.tcp_bytes;
}

std::uint64_t messages_of(const ConnectionReport& it) {
    return it.client.redirected_messages + it.client.tcp_messages + it.server.redirected_messages +
           it.server.tcp_messages;
}

template <typename Less>
void sort_by(ConnectionsReport& report, Less less) {
    std::stable_sort(report.connections.begin(), report.connections.end(), less);
}

}  // namespace

bool Selection::wants(const ConnectionReport& connection) const {
    return fits(rules, connection.rule) && fits(states, connection.state) &&
           fits(reasons, connection.reason) && has_unit(connection, units) &&
           has_port(connection, ports);
}

bool Selection::wants(const EventReport& event) const {
    return fits(rules, event.rule) && fits(events, event.event) && fits(reasons, event.reason) &&
           (ports.empty() || has(ports, event.client_port) || has(ports, event.server_port));
}

void require_known(const std::string& kind, const std::vector<std::string>& values,
                   const std::vector<std::string_view>& known) {
    for (const std::string& value : values) {
        if (has(known, value))
            continue;
        const auto meant = likely_meant(value, known);
        std::string hint;
        if (meant)
            hint = fmt::format(": did you mean \"{}\"?", *meant);
        else if (!known.empty())
            hint = fmt::format(": it is one of {}", fmt::join(known, ", "));
        throw BadChoice(fmt::format("there is no {} \"{}\"{}", kind, value, hint));
    }
}

void select(ConnectionsReport& report, const Selection& selection) {
    report.filtered += std::erase_if(report.connections, [&](const ConnectionReport& connection) {
        return !selection.wants(connection);
    });
}

void sort(ConnectionsReport& report, const std::string& key) {
    using It = const ConnectionReport&;
    if (key == "age")
        sort_by(report, [](It a, It b) { return a.age > b.age; });
    else if (key == "bytes")
        sort_by(report, [](It a, It b) { return bytes_of(a) > bytes_of(b); });
    else if (key == "messages")
        sort_by(report, [](It a, It b) { return messages_of(a) > messages_of(b); });
    else if (key == "rule")
        sort_by(report, [](It a, It b) { return a.rule < b.rule; });
    else if (key == "state")
        sort_by(report, [](It a, It b) { return a.state < b.state; });
    else if (key == "reason")
        sort_by(report, [](It a, It b) { return a.reason < b.reason; });
    else if (key == "port")
        sort_by(report, [](It a, It b) { return a.client.peer_port < b.client.peer_port; });
    else if (key == "unit")
        sort_by(report, [](It a, It b) { return a.server.unit < b.server.unit; });
}

}  // namespace sockaccel::ctl
