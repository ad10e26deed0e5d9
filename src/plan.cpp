// SPDX-License-Identifier: GPL-2.0-or-later
#include "plan.hpp"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "quantity.hpp"

namespace sockaccel {
namespace {

constexpr std::size_t kPorts = 65536;
constexpr RuleMask kAllRules = ~RuleMask{0};

const PlannedRule* find_rule(const Tables& tables, std::string_view name) {
    const auto found = std::find_if(tables.rules.begin(), tables.rules.end(),
                                    [&](const PlannedRule& it) { return it.rule.name == name; });
    return found == tables.rules.end() ? nullptr : &*found;
}

bool is_same_to_connections(const PlannedRule& before, const PlannedRule* after) {
    return after && after->id == before.id && after->rule.matches_like(before.rule);
}

// --- compile
// ---------------------------------------------------------------------------------------

RuleId lowest(RuleMask ids) {
    return RuleId{static_cast<std::uint8_t>(__builtin_ctzll(ids))};
}

// The ids above the highest one in `ids`.
RuleMask above(RuleMask ids) {
    if (ids == 0)
        return kAllRules;
    const int highest = 63 - __builtin_clzll(ids);
    return highest == 63 ? 0 : kAllRules << (highest + 1);
}

RuleId choose_id(RuleMask taken, RuleMask before) {
    const RuleMask unused = ~taken;
    for (const RuleMask preferred : {unused & above(before), unused & ~before, unused})
        if (preferred)
            return lowest(preferred);
    throw PolicyError("no rule id is free");  // not reached: compile() has counted the rules
}

std::vector<PlannedRule> give_ids(const std::vector<Rule>& rules, const Tables& previous) {
    std::vector<PlannedRule> planned;
    std::vector<bool> has_id;
    RuleMask taken = 0;
    for (const Rule& rule : rules) {
        const PlannedRule* known = find_rule(previous, rule.name);
        has_id.push_back(known && known->rule.matches_like(rule));
        const RuleId id = has_id.back() ? known->id : RuleId{};
        if (has_id.back())
            taken |= mask_of(id);
        planned.push_back({id, static_cast<std::uint32_t>(planned.size()), rule});
    }
    const RuleMask before = ids_of(previous);
    for (std::size_t i = 0; i < planned.size(); ++i) {
        if (has_id[i])
            continue;
        planned[i].id = choose_id(taken, before);
        taken |= mask_of(planned[i].id);
    }
    return planned;
}

std::vector<RuleMask> port_masks(const std::vector<PlannedRule>& rules) {
    std::vector<RuleMask> masks(kPorts, 0);
    for (const PlannedRule& planned : rules) {
        const RuleMask bit = mask_of(planned.id);
        if (planned.rule.ports.empty())
            for (RuleMask& mask : masks)
                mask |= bit;
        for (const PortRange& range : planned.rule.ports.ranges())
            for (std::size_t port = range.first; port <= range.last; ++port)
                masks[port] |= bit;
    }
    return masks;
}

// How many leading bits of `a` and `b` are the same.
unsigned common_bits(const Address& a, const Address& b) {
    for (unsigned i = 0; i < a.bytes.size(); ++i) {
        const unsigned differing = a.bytes[i] ^ b.bytes[i];
        if (differing)
            return i * 8 + static_cast<unsigned>(__builtin_clz(differing)) - 24;
    }
    return 128;
}

bool covers_bits(const Network& network, const Address& address) {
    return common_bits(network.address(), address) >= network.mapped_prefix();
}

// Longest prefix match alone has to give a prefix the rules of each that contains it. To the
// kernel's trie IPv4 is a part of IPv6, ::ffff:0:0/96, while "::/0" does not mean IPv4: so an entry
// of its own stops IPv4 from inheriting what an IPv6 prefix around it gives.
std::vector<NetworkEntry> network_masks(const std::vector<PlannedRule>& rules) {
    const Network all_ipv4 = Network::parse("0.0.0.0/0");
    std::map<Network, RuleMask> own;
    for (const PlannedRule& planned : rules)
        for (const Network& network : planned.rule.networks)
            own[network] |= mask_of(planned.id);
    if (std::any_of(own.begin(), own.end(), [&](const auto& it) {
            return !it.first.address().is_ipv4() && covers_bits(it.first, all_ipv4.address());
        }))
        own.emplace(all_ipv4, 0);

    // In this order each prefix comes after those around it; `around` holds these, the widest
    // first.
    std::vector<NetworkEntry> entries, around;
    for (const auto& [network, rules_of_it] : own) {
        while (!around.empty() && !covers_bits(around.back().network, network.address()))
            around.pop_back();
        const bool inherits = !around.empty() && around.back().network.contains(network);
        around.push_back({network, rules_of_it | (inherits ? around.back().rules : 0)});
        entries.push_back(around.back());
    }
    return entries;
}

// --- place
// -----------------------------------------------------------------------------------------

std::string_view parent_of(std::string_view path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
}

// The nearest ancestor of `path`, itself not included, that is in `paths`, a set or map; or its
// end().
template <typename Paths>
auto find_above(const Paths& paths, std::string_view path) {
    while (!path.empty()) {
        path = parent_of(path);
        if (const auto found = paths.find(path); found != paths.end())
            return found;
    }
    return paths.end();
}

std::size_t depth_of(std::string_view path) {
    if (path.empty())
        return 0;
    return 1 + static_cast<std::size_t>(std::count(path.begin(), path.end(), '/'));
}

std::string_view cut_to_depth(std::string_view path, std::size_t depth) {
    while (depth_of(path) > depth)
        path = parent_of(path);
    return path;
}

// None of `paths` is an ancestor of another; that stays so when all are cut at one depth.
std::vector<std::string> at_most(std::size_t max_links, const std::set<std::string_view>& paths) {
    std::set<std::string_view> links = paths;
    std::size_t depth = 0;
    for (const std::string_view path : paths)
        depth = std::max(depth, depth_of(path));
    while (links.size() > max_links && depth > 0) {
        --depth;
        links.clear();
        for (const std::string_view path : paths)
            links.insert(cut_to_depth(path, depth));
    }
    return {links.begin(), links.end()};
}

// Most rules name cgroups by their paths: these are looked up, however many they are.
struct RulesNaming {
    RulesNaming(const Tables& tables, const UnitCgroups& units) {
        for (const PlannedRule& planned : tables.rules) {
            for (const CgroupGlob& glob : planned.rule.cgroups)
                if (const std::optional<std::string> path = glob.only_path())
                    exact[*path] |= mask_of(planned.id);
                else
                    globs.emplace_back(glob, mask_of(planned.id));
            for (const UnitPattern& unit : planned.rule.units)
                for (const std::string& path : units.of(unit))
                    exact[path] |= mask_of(planned.id);
        }
    }

    [[nodiscard]] RuleMask of(const std::string& path) const {
        const auto found = exact.find(path);
        RuleMask mask = found == exact.end() ? 0 : found->second;
        for (const auto& [glob, rule] : globs)
            if ((mask & rule) == 0 && glob.matches(path))
                mask |= rule;
        return mask;
    }

    std::map<std::string, RuleMask> exact;
    std::vector<std::pair<CgroupGlob, RuleMask>> globs;
};

// --- describe
// --------------------------------------------------------------------------------------

std::string join(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words)
        text += (text.empty() ? "" : ", ") + word;
    return text;
}

std::string changed_keys(const Rule& a, const Rule& b) {
    std::vector<std::string> keys;
    const auto note = [&](bool differs, const char* key) {
        if (differs)
            keys.emplace_back(key);
    };
    note(a.units != b.units, "units");
    note(a.cgroups != b.cgroups, "cgroups");
    note(a.ports != b.ports, "ports");
    note(a.networks != b.networks, "networks");
    note(a.action != b.action, "action");
    note(a.priority != b.priority, "priority");
    note(a.queue_bytes != b.queue_bytes, "queue");
    note(a.prove != b.prove, "prove");
    note(a.tolerate != b.tolerate, "tolerate");
    return join(keys);
}

std::vector<std::string> describe_rules(const std::vector<Rule>& before,
                                        const std::vector<Rule>& after) {
    const auto find = [](const std::vector<Rule>& rules, const std::string& name) {
        return std::find_if(rules.begin(), rules.end(),
                            [&](const Rule& rule) { return rule.name == name; });
    };
    std::vector<std::string> lines;
    for (const Rule& rule : after) {
        const auto old = find(before, rule.name);
        if (old == before.end())
            lines.push_back("added " + rule.name);
        else if (*old != rule)
            lines.push_back("changed " + rule.name + ": " + changed_keys(*old, rule));
    }
    for (const Rule& rule : before)
        if (find(after, rule.name) == after.end())
            lines.push_back("removed " + rule.name);
    return lines;
}

std::vector<Rule> rules_of(const Tables& tables) {
    std::vector<Rule> rules;
    for (const PlannedRule& planned : tables.rules)
        rules.push_back(planned.rule);
    return rules;
}

}  // namespace

RuleMask Tables::view(const Address& server, std::uint16_t port) const {
    const NetworkEntry* longest = nullptr;
    for (const NetworkEntry& entry : networks)
        if (covers_bits(entry.network, server) &&
            (!longest || entry.network.mapped_prefix() > longest->network.mapped_prefix()))
            longest = &entry;
    return longest ? longest->rules & ports.at(port) : 0;
}

std::optional<RuleId> Tables::decide(RuleMask client_cgroup, RuleMask client_view,
                                     RuleMask server_cgroup, RuleMask server_view) const {
    const RuleMask either_end = (client_cgroup & client_view) | (server_cgroup & server_view);
    const RuleMask both_ends = client_cgroup & server_cgroup & (client_view | server_view);
    const PlannedRule* best = nullptr;
    for (const PlannedRule& planned : rules) {
        if (planned.rule.action == Action::bypass && (either_end & mask_of(planned.id)))
            return std::nullopt;
        if (planned.rule.action != Action::bypass && (both_ends & mask_of(planned.id)) &&
            (!best || planned.rank < best->rank))
            best = &planned;
    }
    if (!best)
        return std::nullopt;
    return best->id;
}

Tables tables_of(std::vector<PlannedRule> rules) {
    Tables tables;
    tables.rules = std::move(rules);
    tables.ports = port_masks(tables.rules);
    tables.networks = network_masks(tables.rules);
    return tables;
}

Tables compile(const Policy& policy, const Tables* previous) {
    if (policy.rules.size() > SA_MAX_RULES)
        throw PolicyError(std::to_string(policy.rules.size()) + " rules are more than the " +
                          std::to_string(SA_MAX_RULES) + " that are possible");
    Tables tables = tables_of(give_ids(policy.rules, previous ? *previous : Tables{}));
    if (tables.networks.size() > SA_MAX_NETWORKS)
        throw PolicyError(std::to_string(tables.networks.size()) +
                          " networks of all rules together are more than the " +
                          std::to_string(SA_MAX_NETWORKS) + " that are possible");
    return tables;
}

Membership place(const Tables& tables, const std::vector<Cgroup>& existing,
                 const UnitCgroups& units, std::size_t max_links) {
    RuleMask needing_links = 0;
    for (const PlannedRule& planned : tables.rules)
        if (planned.rule.action != Action::bypass)
            needing_links |= mask_of(planned.id);

    // Sorted by path, so each cgroup comes after its ancestors.
    Membership membership;
    std::map<std::string_view, RuleMask> by_path;
    std::set<std::string_view> topmost;
    const std::vector<RuleMask> own_masks = naming(tables, existing, units);
    for (std::size_t i = 0; i < existing.size(); ++i) {
        const Cgroup& cgroup = existing[i];
        RuleMask mask = own_masks[i];
        if (mask == 0)
            continue;
        if (const auto above = find_above(by_path, cgroup.path); above != by_path.end())
            mask |= above->second;
        by_path.emplace(cgroup.path, mask);
        membership.rules_of.emplace(cgroup.id, mask);
        if ((mask & needing_links) && find_above(topmost, cgroup.path) == topmost.end())
            topmost.insert(cgroup.path);
    }
    membership.links = at_most(max_links, topmost);
    return membership;
}

std::vector<std::string> describe_change(const Tables& before, const Tables& after) {
    return describe_rules(rules_of(before), rules_of(after));
}

std::vector<std::string> describe_change(const Policy& before, const Policy& after) {
    std::vector<std::string> lines = describe_rules(before.rules, after.rules);
    std::vector<std::string> limits;
    const auto note = [&](const char* key, const std::string& old, const std::string& now) {
        if (old != now)
            limits.push_back(std::string(key) + " " + old + " → " + now);
    };
    note("connections", std::to_string(before.limits.connections),
         std::to_string(after.limits.connections));
    note("memory", format_bytes(before.limits.memory_bytes),
         format_bytes(after.limits.memory_bytes));
    if (!limits.empty())
        lines.push_back("changed limits: " + join(limits));
    return lines;
}

RuleMask leaving(const Tables& before, const Tables& after) {
    RuleMask mask = 0;
    for (const PlannedRule& planned : before.rules)
        if (!is_same_to_connections(planned, find_rule(after, planned.rule.name)))
            mask |= mask_of(planned.id);
    return mask;
}

std::vector<RuleMask> naming(const Tables& tables, const std::vector<Cgroup>& existing,
                             const UnitCgroups& units) {
    const RulesNaming rules(tables, units);
    std::vector<RuleMask> masks;
    masks.reserve(existing.size());
    for (const Cgroup& cgroup : existing)
        masks.push_back(rules.of(cgroup.path));
    return masks;
}

RuleMask ids_of(const Tables& tables) {
    RuleMask mask = 0;
    for (const PlannedRule& planned : tables.rules)
        mask |= mask_of(planned.id);
    return mask;
}

Tables without(Tables tables, RuleMask rules) {
    tables.rules.erase(
        std::remove_if(tables.rules.begin(), tables.rules.end(),
                       [&](const PlannedRule& it) { return mask_of(it.id) & rules; }),
        tables.rules.end());
    return tables;
}

CgroupSelection selection_of(const Tables& tables, const UnitCgroups& units) {
    const RulesNaming rules(tables, units);
    CgroupSelection selection;
    for (const auto& it : rules.exact)
        selection.paths.insert(it.first);
    for (const auto& it : rules.globs)
        selection.globs.push_back(it.first);
    return selection;
}

}  // namespace sockaccel
