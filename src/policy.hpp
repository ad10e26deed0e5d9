// SPDX-License-Identifier: GPL-2.0-or-later
// The policy as a value: what /etc/sockaccel.toml says, parsed, checked, with defaults filled in.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "cgroup_glob.hpp"
#include "network.hpp"
#include "port_set.hpp"
#include "unit_pattern.hpp"

namespace sockaccel {

enum class Action { accelerate, observe, bypass };

// What a rule's applications may do that redirect cannot honour: see sockaccel.toml(5), `tolerate`.
enum class Hazard { fionread, splice, waitall, blocking, stall };

[[nodiscard]] std::string_view to_string(Action action);
[[nodiscard]] std::string_view to_string(Hazard hazard);

struct Limits {
    std::uint32_t connections = 65536;          // enrolled ones, 1 … 1048576
    std::uint64_t memory_bytes = 256ULL << 20;  // host-wide, queued data and 1 KiB a message

    bool operator==(const Limits&) const = default;
};

struct Rule {
    std::string name;                 // [A-Za-z0-9_.-]{1,63}, unique
    std::vector<UnitPattern> units;   // the cgroups of these
    std::vector<CgroupGlob> cgroups;  // and these, under the cgroup2 root
    PortSet ports;                    // the server's port; empty set: every port
    std::vector<Network> networks;    // the server's address
    Action action = Action::accelerate;
    std::int32_t priority = 0;               // higher decides first, then by name
    std::uint64_t queue_bytes = 2ULL << 20;  // queued in one direction before TCP takes over
    std::chrono::milliseconds prove = std::chrono::minutes(5);
    std::set<Hazard> tolerate;

    bool operator==(const Rule&) const = default;

    // Do both say the same of which connections they match, and what is done with them? Then a
    // change from one to the other leaves live connections alone. What only tunes a rule does not
    // count: name, priority, queue, prove; nor does the order within a list.
    [[nodiscard]] bool matches_like(const Rule& other) const;
};

struct Policy {
    Limits limits;
    std::vector<Rule> rules;  // in deciding order: priority, then name

    bool operator==(const Policy&) const = default;
};

// In a file; from 1, columns are characters.
struct Position {
    std::size_t line = 0, column = 0;

    [[nodiscard]] bool operator<(const Position& other) const {
        return line != other.line ? line < other.line : column < other.column;
    }
    bool operator==(const Position&) const = default;
};

// What the text of one file says, and where.
struct PolicyText {
    Policy policy;
    std::map<std::string, Position> rules;   // by name
    std::map<std::string, Position> limits;  // by key, those that it sets
};

// what() is "FILE:LINE:COLUMN: message", one line for each mistake found, in the order of the file,
// with the offending text quoted and a hint where there is one. From the hundredth on they are only
// counted. "FILE: message" if the file cannot be read or trusted.
class PolicyError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

inline constexpr std::size_t kMaxRules = 64;

// The order of Policy::rules.
[[nodiscard]] bool decides_before(const Rule& a, const Rule& b);

// Parses and checks `text`; `file` is the name used in errors. Throws PolicyError.
[[nodiscard]] Policy parse_policy(std::string_view text, const std::string& file);

// The same with places. Limits that the text does not set are as given.
[[nodiscard]] PolicyText parse_policy_text(std::string_view text, const std::string& file,
                                           const Limits& limits = {});

}  // namespace sockaccel
