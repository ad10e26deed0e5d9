// SPDX-License-Identifier: GPL-2.0-or-later
// Which rules cover a connection of this host, and what keeps the others from it. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "network.hpp"
#include "report.hpp"

namespace sockaccel::ctl {

struct Endpoint {
    Address address;
    std::uint16_t port = 0;

    bool operator==(const Endpoint&) const = default;
    [[nodiscard]] std::string text() const;
    // "127.0.0.1:80", "[::1]:80". Throws std::invalid_argument that says what is wrong.
    [[nodiscard]] static Endpoint parse(const std::string& text);
};

// As the kernel lists it.
struct PlainConnection {
    Endpoint client, server;
    std::optional<std::string> client_cgroup, server_cgroup;  // none: that end is not seen here
};

struct Obstacle {
    std::string criterion;  // end, cgroup, port, network, action, state
    std::string what;       // "the client's cgroup /web.slice is not selected"
    std::string change;     // what would remove it; "": nothing does
};

struct RuleVerdict {
    std::string rule;
    std::vector<Obstacle> obstacles;  // none: it covers the connection

    [[nodiscard]] bool covers() const { return obstacles.empty(); }
};

// For each rule, in deciding order.
[[nodiscard]] std::vector<RuleVerdict> judge(const PlainConnection& connection,
                                             const std::vector<RuleReport>& rules);

// What would have the connection covered: by the rule that comes nearest. One sentence.
// `data_segments`: that it has carried, both ways; none: not known.
[[nodiscard]] std::string conclusion(const std::vector<RuleVerdict>& verdicts,
                                     std::optional<std::uint64_t> data_segments = {});

}  // namespace sockaccel::ctl
