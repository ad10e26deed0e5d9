// SPDX-License-Identifier: GPL-2.0-or-later
// What a rule that observes has seen between two cgroups, on one port of the server's. How it is
// counted: bpf/observe.h.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <vector>

#include "plan.hpp"
#include "sockaccel.h"

namespace sockaccel {

// One side; what is counted is what it has sent.
struct ConversationSide {
    std::uint64_t cgroup = 0;  // id
    std::uint64_t bytes = 0, messages = 0;
    std::uint64_t turns = 0;  // messages that were followed by one of the other side
    std::array<std::uint64_t, SA_SIZE_CLASSES> sizes{};  // messages of 2^n … 2^(n+1)-1 bytes
    std::uint64_t obstacles = 0;                         // seen at a look: bits by enum sa_reason
    std::uint32_t hazards = 0;                           // that the witness saw: enum sa_tolerate

    bool operator==(const ConversationSide&) const = default;
};

struct Conversation {
    RuleId rule{};
    std::uint16_t port = 0;
    std::uint64_t connections = 0;             // ever
    std::uint64_t closed = 0;                  // of these
    std::uint64_t brief = 0, brief_bytes = 0;  // of those: too short to be enrolled
    std::chrono::nanoseconds lasted{};         // the ages of the closed ones together
    std::chrono::nanoseconds age{}, idle{};    // since the first connection, and since traffic
    std::uint64_t looks = 0, eligible = 0;     // by the steward; how often nothing stood against it
    ConversationSide client, server;

    bool operator==(const Conversation&) const = default;
};

struct Conversations {
    std::vector<Conversation> all;
    std::uint64_t lost = 0;  // connections of which nothing is known, as the table was full
};

}  // namespace sockaccel
