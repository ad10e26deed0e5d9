// SPDX-License-Identifier: GPL-2.0-or-later
// A covered connection as it is shown to people: both ends, its state, and why it is not
// accelerated.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "network.hpp"
#include "plan.hpp"
#include "sockaccel.h"

namespace sockaccel {

using Reason = ::sa_reason;

[[nodiscard]] std::string_view name_of(Reason reason);  // "order"
[[nodiscard]] std::string_view text_of(Reason reason);  // "bytes sent by TCP were not read …"

enum class ConnectionState { unpaired, paired, opening, enrolled, draining };
[[nodiscard]] std::string_view to_string(ConnectionState state);

// Counted where the end sends.
struct EndCounters {
    std::uint64_t redirected_messages = 0, redirected_bytes = 0;
    std::uint64_t tcp_messages = 0, tcp_bytes = 0;  // since it was enrolled, left to TCP
    std::array<std::uint64_t, SA_REASON_COUNT> reasons{};

    bool operator==(const EndCounters&) const = default;
};

struct ConnectionEnd {
    std::uint64_t cookie = 0;  // the kernel's socket cookie, as `ss -e` shows it
    std::uint64_t cgroup = 0;  // cgroup id
    std::uint64_t netns = 0;   // network namespace cookie
    std::uint32_t uid = 0;     // the socket's owner
    Address local, remote;     // in this end's view; they differ behind NAT
    std::uint16_t local_port = 0, remote_port = 0;
    std::uint64_t queued_bytes = 0;  // received and not read yet
    EndCounters sent;
};

// How a connection is doing.
struct Standing {
    std::optional<RuleId> rule;
    ConnectionState state = ConnectionState::paired;
    Reason reason = SA_REASON_NONE;

    auto operator<=>(const Standing&) const = default;
};
using Census = std::map<Standing, std::uint64_t>;  // connections that are doing so

struct Connection {
    std::optional<RuleId> rule;
    ConnectionState state = ConnectionState::paired;
    Reason reason = SA_REASON_NONE;   // why not enrolled; NONE if it is
    Reason besides = SA_REASON_NONE;  // if that is BLOCKING: what else stands against it
    std::chrono::nanoseconds age{};
    ConnectionEnd client, server;
};

enum class EventKind { paired, enrolled, left };
[[nodiscard]] std::string_view to_string(EventKind kind);

struct ConnectionEvent {
    EventKind kind{};
    std::optional<RuleId> rule;
    Reason reason = SA_REASON_NONE;
    std::uint64_t client_cookie = 0, server_cookie = 0;
    std::uint32_t client_uid = 0, server_uid = 0;  // the sockets' owners
    Address client, server;                        // as the client sees them
    std::uint16_t client_port = 0, server_port = 0;
    std::chrono::nanoseconds time{};  // CLOCK_MONOTONIC
};

struct RuleCounters {
    std::uint64_t paired = 0, enrolled = 0, left = 0;  // ever; enrolled - left are now
    EndCounters traffic;                               // both directions together

    bool operator==(const RuleCounters&) const = default;
};

}  // namespace sockaccel
