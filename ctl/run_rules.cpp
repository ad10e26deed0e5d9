// SPDX-License-Identifier: GPL-2.0-or-later
#include "run_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "likely_meant.hpp"
#include "toml_text.hpp"

namespace sockaccel::ctl {
namespace {

constexpr std::size_t kLongestName = 63;  // of a rule

std::string rule_text(const std::string& name, const std::vector<std::string>& units,
                      const std::vector<std::string>& cgroups,
                      const std::vector<std::string>& ports,
                      const std::vector<std::string>& networks,
                      const std::vector<std::string>& tolerate, const RunOptions& options) {
    std::string text = "[[rule]]\nname = " + toml_string(name) + "\n";
    const auto list = [&text](const char* key, const std::vector<std::string>& values) {
        if (!values.empty())
            text += fmt::format("{} = {}\n", key, toml_strings(values));
    };
    list("units", units);
    list("cgroups", cgroups);
    list("ports", ports);
    list("networks", networks);
    list("tolerate", tolerate);
    text += fmt::format("priority = {}\n", std::numeric_limits<std::int32_t>::min());
    text += "prove = " + toml_string(options.prove) + "\n";
    if (!options.queue.empty())
        text += "queue = " + toml_string(options.queue) + "\n";
    return text;
}

std::vector<std::string> in_both(const std::vector<std::string>& a,
                                 const std::vector<std::string>& b) {
    std::vector<std::string> result;
    for (const std::string& word : a)
        if (std::find(b.begin(), b.end(), word) != b.end())
            result.push_back(word);
    return result;
}

const RuleReport& find(const std::vector<RuleReport>& rules, const std::string& name) {
    std::vector<std::string_view> names;
    for (const RuleReport& rule : rules) {
        if (rule.name == name)
            return rule;
        names.push_back(rule.name);
    }
    const auto meant = likely_meant(name, names);
    throw std::runtime_error("there is no rule " + name +
                             (meant ? ": did you mean " + std::string(*meant) + "?" : ""));
}

std::vector<RuleReport> joined_of(const RunOptions& options, const std::vector<RuleReport>& rules) {
    std::vector<RuleReport> joined;
    for (const std::string& name : options.joined) {
        const RuleReport& rule = find(rules, name);
        if (rule.action != "accelerate")
            throw std::runtime_error("rule " + name + " does not accelerate: its action is " +
                                     rule.action);
        if (rule.state == "refused")
            throw std::runtime_error("rule " + name + " is refused: " + rule.why);
        joined.push_back(rule);
    }
    if (!options.joined.empty())
        return joined;
    for (const RuleReport& rule : rules)
        if (rule.action == "accelerate" && rule.state != "refused" && rule.holder.empty())
            joined.push_back(rule);
    return joined;
}

}  // namespace

std::string run_rules(const std::string& name, const std::string& cgroup, const RunOptions& options,
                      const std::vector<RuleReport>& rules) {
    std::string text = rule_text(name, {}, {"/" + cgroup}, options.ports, options.networks,
                                 options.tolerate, options);
    for (const RuleReport& rule : joined_of(options, rules)) {
        std::vector<std::string> cgroups = rule.cgroups;
        cgroups.push_back("/" + cgroup);
        text +=
            rule_text((name + "." + rule.name).substr(0, kLongestName), rule.units, cgroups,
                      rule.ports, rule.networks, in_both(rule.tolerate, options.tolerate), options);
    }
    return text;
}

}  // namespace sockaccel::ctl
