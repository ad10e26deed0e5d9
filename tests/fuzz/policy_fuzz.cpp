// SPDX-License-Identifier: GPL-2.0-or-later
// The text of a policy file: refused with a place and a message, or a policy that all who handle it
// agree on.
#include <algorithm>
#include <set>

#include <systemd/sd-bus.h>

#include "bus_names.hpp"
#include "claim.hpp"
#include "legacy.hpp"
#include "plan.hpp"
#include "policy.hpp"
#include "policy_toml.hpp"

namespace sockaccel::fuzz {
namespace {

constexpr std::size_t kMaxMistakeBytes = 512;  // each of at most 101

void check_refusal(const std::string& message) {
    claim_can_be_told(message, 101 * kMaxMistakeBytes);
    for (std::string_view rest = message; !rest.empty();) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        claim(line.starts_with("f:"), "each mistake is in the file", message);
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    }
}

void check_names(const PolicyText& read) {
    std::set<std::string> names;
    for (const Rule& rule : read.policy.rules) {
        claim(names.insert(rule.name).second, "no two rules have one name", rule.name);
        claim(read.rules.contains(rule.name), "each rule has its place", rule.name);
        claim(sd_bus_object_path_is_valid(rule_path(rule.name).c_str()) > 0,
              "each rule has an object on the bus", rule.name);
    }
    claim(names.size() <= kMaxRules, "there are not too many rules");
    claim(std::is_sorted(read.policy.rules.begin(), read.policy.rules.end(), decides_before),
          "rules are in deciding order");
}

// `sockaccelctl cat` writes it so that it means the same.
void check_toml(const PolicyText& read) {
    EffectivePolicy effective{.policy = read.policy,
                              .rules = {},
                              .limits = {},
                              .files = {"f"},
                              .overridden = {},
                              .doubts = {}};
    for (const auto& [name, where] : read.rules)
        effective.rules[name] = {"f", where};
    for (const auto& [key, where] : read.limits)
        effective.limits[key] = {"f", where};
    const std::string written = ctl::policy_toml(effective);
    try {
        claim(parse_policy(written, "written") == read.policy, "cat shows the policy", written);
    } catch (const PolicyError& error) {
        claim(false, error.what(), written);
    }
}

// The tables match where the rule does, and survive a restart of the daemon.
void check_tables(const Policy& policy) {
    Tables tables;
    try {
        tables = compile(policy, nullptr);
    } catch (const PolicyError& error) {  // too many networks
        return claim_can_be_told(error.what(), kMaxMistakeBytes);
    }
    for (const PlannedRule& planned : tables.rules) {
        const Rule& rule = planned.rule;
        const std::uint16_t port = rule.ports.ranges().empty() ? 1 : rule.ports.ranges()[0].last;
        for (const Network& network : rule.networks)
            claim((tables.view(network.address(), port) & mask_of(planned.id)) != 0,
                  "a rule matches in its networks and ports", rule.name);
    }
    const Legacy legacy{tables.rules, {}};
    claim(Legacy::parse(legacy.text()) == legacy, "the next daemon reads the same rules");
    claim(leaving(tables, tables_of(tables.rules)) == 0, "nothing leaves where nothing changes");
}

}  // namespace
}  // namespace sockaccel::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sockaccel;
    PolicyText read;
    try {
        read = parse_policy_text(fuzz::text_of(data, size), "f");
    } catch (const PolicyError& error) {
        fuzz::check_refusal(error.what());
        return 0;
    }
    fuzz::check_names(read);
    fuzz::check_toml(read);
    fuzz::check_tables(read.policy);
    return 0;
}
