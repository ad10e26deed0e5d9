// SPDX-License-Identifier: GPL-2.0-or-later
// From a policy and the cgroups that exist to what the kernel has to hold. Pure: no system calls.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cgroup_tree.hpp"
#include "policy.hpp"
#include "sockaccel.h"
#include "unit_cgroups.hpp"

namespace sockaccel {

// One bit a rule, by rule id. Ids are stable: a rule keeps its id, and with it its counters and
// live connections, over every reload that still has a rule of this name which matches alike.
using RuleMask = std::uint64_t;
enum class RuleId : std::uint8_t {};

[[nodiscard]] constexpr RuleMask mask_of(RuleId id) {
    return RuleMask{1} << static_cast<unsigned>(id);
}
[[nodiscard]] constexpr std::size_t index_of(RuleId id) {
    return static_cast<std::size_t>(id);
}

struct PlannedRule {
    RuleId id{};
    std::uint32_t rank = 0;  // 0 decides first
    Rule rule;

    bool operator==(const PlannedRule&) const = default;
};

struct NetworkEntry {
    Network network;
    RuleMask rules = 0;  // of this prefix and of each that contains it

    bool operator==(const NetworkEntry&) const = default;
};

// What is compiled from the policy alone and swapped in as a whole.
struct Tables {
    std::vector<PlannedRule> rules;      // in deciding order
    std::vector<RuleMask> ports;         // 65536 masks, by port
    std::vector<NetworkEntry> networks;  // for longest prefix match

    bool operator==(const Tables&) const = default;

    // The rules that port and address match in one end's view: what the BPF program looks up.
    [[nodiscard]] RuleMask view(const Address& server, std::uint16_t port) const;

    // The rule that accelerates or observes a connection, as pair.bpf.c computes it; none: not
    // covered. A bypass rule wins if cgroup and view of either end match it.
    [[nodiscard]] std::optional<RuleId> decide(RuleMask client_cgroup, RuleMask client_view,
                                               RuleMask server_cgroup, RuleMask server_view) const;
};

// What follows from the cgroups that exist.
struct Membership {
    std::map<std::uint64_t, RuleMask> rules_of;  // cgroup id → its own rules and its ancestors'
    std::vector<std::string> links;              // paths: where sock_ops has to be attached

    bool operator==(const Membership&) const = default;
};

inline constexpr std::size_t kMaxLinks = 64;

// `previous` (may be null) gives unchanged rules their ids. A freed id is reused as late as
// possible: the lowest free id above every id in use before, then the lowest one that was free
// before, and only then one that this reload frees. Throws PolicyError above 64 rules or
// SA_MAX_NETWORKS prefixes.
[[nodiscard]] Tables compile(const Policy& policy, const Tables* previous);

// Of rules that have their ids.
[[nodiscard]] Tables tables_of(std::vector<PlannedRule> rules);

// `existing`: the selected cgroups, sorted by path. Links go on the topmost ones that a rule other
// than bypass selects (a connection that no other rule covers needs no bypass); if these are more
// than max_links, on common ancestors.
[[nodiscard]] Membership place(const Tables& tables, const std::vector<Cgroup>& existing,
                               const UnitCgroups& units, std::size_t max_links = kMaxLinks);

// What a reload did, for people: "added redis", "removed web", "changed db: queue".
[[nodiscard]] std::vector<std::string> describe_change(const Tables& before, const Tables& after);

// The same of what people wrote, limits included: "changed limits: memory 256MiB → 1GiB".
[[nodiscard]] std::vector<std::string> describe_change(const Policy& before, const Policy& after);

// The rules of `before` whose pairs have to leave: gone in `after`, or matching differently there.
[[nodiscard]] RuleMask leaving(const Tables& before, const Tables& after);

[[nodiscard]] RuleMask ids_of(const Tables& tables);

// `tables` with these rules taken off the list: place() then gives them no cgroup.
[[nodiscard]] Tables without(Tables tables, RuleMask rules);

// For each of `existing`, the rules that name this very cgroup. They cover what is below, too.
[[nodiscard]] std::vector<RuleMask> naming(const Tables& tables,
                                           const std::vector<Cgroup>& existing,
                                           const UnitCgroups& units);

// What the rules name, and where it is: globs, and paths that they, or their units, mean exactly.
[[nodiscard]] CgroupSelection selection_of(const Tables& tables, const UnitCgroups& units);

}  // namespace sockaccel
