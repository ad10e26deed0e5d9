// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy_toml.hpp"

#include <fmt/format.h>

#include <vector>

#include "quantity.hpp"
#include "toml_text.hpp"

namespace sockaccel::ctl {
namespace {

template <typename Range, typename Write>
std::string array_of(const Range& range, Write write) {
    std::vector<std::string> elements;
    for (const auto& element : range)
        elements.push_back(write(element));
    return fmt::format("[{}]", fmt::join(elements, ", "));
}

// Sizes are rounded for people, unless they are whole numbers of a unit.
std::string size(std::uint64_t bytes) {
    const std::string text = format_bytes(bytes);
    return text.find('.') == std::string::npos ? toml_string(text) : std::to_string(bytes);
}

std::string port(const PortRange& range) {
    const std::string text = range.text();
    return text.find('-') == std::string::npos ? text : toml_string(text);
}

std::string limits_toml(const EffectivePolicy& effective) {
    if (effective.limits.empty())
        return "";
    const Limits& limits = effective.policy.limits;
    std::string result = "\n[limits]\n";
    const auto line = [&](const char* key, const std::string& value) {
        const auto origin = effective.limits.find(key);
        if (origin != effective.limits.end())
            result += toml_comment(origin->second.text()) + fmt::format("{} = {}\n", key, value);
    };
    line("connections", std::to_string(limits.connections));
    line("memory", size(limits.memory_bytes));
    return result;
}

std::string rule_toml(const Rule& rule, const Origin& origin) {
    const auto text = [](const auto& value) { return toml_string(value.text()); };
    std::string result = "\n" + toml_comment(origin.text()) + "[[rule]]\n";
    const auto line = [&](const char* key, const std::string& value) {
        result += fmt::format("{:<8} = {}\n", key, value);
    };
    line("name", toml_string(rule.name));
    if (!rule.units.empty())
        line("units", array_of(rule.units, text));
    if (!rule.cgroups.empty())
        line("cgroups", array_of(rule.cgroups, text));
    if (!rule.ports.ranges().empty())
        line("ports", array_of(rule.ports.ranges(), port));
    line("networks", array_of(rule.networks, text));
    line("action", toml_string(to_string(rule.action)));
    line("priority", std::to_string(rule.priority));
    line("queue", size(rule.queue_bytes));
    line("prove", toml_string(format_duration(rule.prove)));
    line("tolerate", array_of(rule.tolerate, [](Hazard it) { return toml_string(to_string(it)); }));
    return result;
}

}  // namespace

std::string policy_toml(const EffectivePolicy& effective) {
    std::string result;
    for (const std::string& file : effective.files)
        result += toml_comment("read: " + file);
    for (const std::string& line : effective.overridden)
        result += toml_comment(line);
    if (effective.files.empty())
        result += toml_comment("there is no policy file: nothing is accelerated");
    result += limits_toml(effective);
    for (const Rule& rule : effective.policy.rules)
        result += rule_toml(rule, effective.rules.at(rule.name));
    return result;
}

}  // namespace sockaccel::ctl
