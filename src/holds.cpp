// SPDX-License-Identifier: GPL-2.0-or-later
#include "holds.hpp"

#include <algorithm>

#include "quantity.hpp"

namespace sockaccel {

std::vector<std::string> Holds::add(const std::string& holder, std::string_view text) {
    if (text.size() > kMaxHoldBytes)
        throw PolicyError("hold: its text is longer than " + format_bytes(kMaxHoldBytes));
    const PolicyText read = parse_policy_text(text, "hold");
    if (!read.limits.empty())
        throw PolicyError("hold: limits are the host's: a hold has rules alone");
    if (read.policy.rules.empty())
        throw PolicyError("hold: there is no rule in it");
    std::vector<std::string> names;
    for (const Rule& rule : read.policy.rules) {
        if (const std::string other = holder_of(rule.name); !other.empty())
            throw PolicyError("hold: rule " + rule.name + " is held already, by " + other);
        names.push_back(rule.name);
    }
    std::vector<Rule>& held = rules_[holder];
    held.insert(held.end(), read.policy.rules.begin(), read.policy.rules.end());
    return names;
}

bool Holds::release(const std::string& holder) {
    return rules_.erase(holder) > 0;
}

Policy Holds::added_to(Policy policy) const {
    for (const auto& [holder, rules] : rules_)
        for (const Rule& rule : rules) {
            if (std::any_of(policy.rules.begin(), policy.rules.end(),
                            [&](const Rule& other) { return other.name == rule.name; }))
                throw PolicyError("rule " + rule.name + " is in the policy's files, and held by " +
                                  holder + ": one of them has to have another name");
            policy.rules.push_back(rule);
        }
    std::sort(policy.rules.begin(), policy.rules.end(), decides_before);
    return policy;
}

std::string Holds::holder_of(const std::string& rule) const {
    for (const auto& [holder, rules] : rules_)
        if (std::any_of(rules.begin(), rules.end(),
                        [&](const Rule& held) { return held.name == rule; }))
            return holder;
    return "";
}

}  // namespace sockaccel
