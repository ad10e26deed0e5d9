// SPDX-License-Identifier: GPL-2.0-or-later
// What rules that observe have seen, as the daemon tells it over D-Bus.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sockaccel::ctl {

// What is counted is what it has sent.
struct SideReport {
    std::string cgroup;  // path below the root; "": gone, or the root
    std::uint64_t bytes = 0, messages = 0, turns = 0;
    std::vector<std::uint64_t> sizes;    // messages of 2^n … 2^(n+1)-1 bytes
    std::vector<std::string> obstacles;  // reasons
    std::vector<std::string> hazards;    // words of `tolerate`, and "oob"
};

struct ConversationReport {
    std::string rule;  // that observes
    std::uint16_t port = 0;
    std::uint64_t connections = 0, closed = 0;
    std::uint64_t brief = 0, brief_bytes = 0;  // of those that ended too soon to be enrolled
    std::chrono::microseconds lasted{}, age{}, idle{};
    std::uint64_t looks = 0, eligible = 0;
    SideReport client, server;
};

struct ConversationsReport {
    std::vector<ConversationReport> conversations;
    std::uint64_t lost = 0;   // connections that found the table full
    bool is_watched = false;  // the witness loads: hazards are all there were
    // By the word of `tolerate`: what this kernel does not honour, as people know it.
    std::map<std::string, std::string> unhonoured;
};

}  // namespace sockaccel::ctl
