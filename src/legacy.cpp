// SPDX-License-Identifier: GPL-2.0-or-later
#include "legacy.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <limits>
#include <stdexcept>
#include <utility>

namespace sockaccel {
namespace {

using nlohmann::json;

// Changes with every change of what is written here.
constexpr int kVersion = 1;

// The kernel counts in nanoseconds.
constexpr std::int64_t kMostMs =
    std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::nanoseconds::max()).count();

json json_of(const PlannedRule& planned) {
    const Rule& rule = planned.rule;
    json units = json::array(), cgroups = json::array(), ports = json::array(),
         networks = json::array(), tolerate = json::array();
    for (const UnitPattern& unit : rule.units)
        units.push_back(unit.text());
    for (const CgroupGlob& glob : rule.cgroups)
        cgroups.push_back(glob.text());
    for (const PortRange& range : rule.ports.ranges())
        ports.push_back({range.first, range.last});
    for (const Network& network : rule.networks)
        networks.push_back(network.text());
    for (const Hazard hazard : rule.tolerate)
        tolerate.push_back(static_cast<int>(hazard));
    return {{"id", index_of(planned.id)},
            {"rank", planned.rank},
            {"name", rule.name},
            {"units", units},
            {"cgroups", cgroups},
            {"ports", ports},
            {"networks", networks},
            {"action", static_cast<int>(rule.action)},
            {"priority", rule.priority},
            {"queue_bytes", rule.queue_bytes},
            {"prove_ms", rule.prove.count()},
            {"tolerate", tolerate}};
}

// The library would cut off what does not fit, and of a fraction so large has no defined result.
template <typename Integer>
Integer integer(const json& value, Integer least = std::numeric_limits<Integer>::min(),
                Integer most = std::numeric_limits<Integer>::max()) {
    const auto checked = [&](auto number) {
        if (std::cmp_less(number, least) || std::cmp_greater(number, most))
            throw std::out_of_range("the number " + std::to_string(number) + " is out of range");
        return static_cast<Integer>(number);
    };
    if (value.is_number_unsigned())
        return checked(value.get<std::uint64_t>());
    if (value.is_number_integer())
        return checked(value.get<std::int64_t>());
    throw std::out_of_range("what should be an integer is none");
}

// A number that is one of the enumeration's, of which `last` is the last.
template <typename Enumeration>
Enumeration enumerator(const json& value, Enumeration last) {
    const int number = integer<int>(value);
    if (number < 0 || number > static_cast<int>(last))
        throw std::out_of_range("no enumerator has the number " + std::to_string(number));
    return static_cast<Enumeration>(number);
}

PortRange port_range(const json& from) {
    const auto first = integer<std::uint16_t>(from.at(0), 1);
    return {first, integer<std::uint16_t>(from.at(1), first)};
}

PlannedRule planned_of(const json& from) {
    PlannedRule planned;
    planned.id = RuleId{integer<std::uint8_t>(from.at("id"), 0, SA_MAX_RULES - 1)};
    planned.rank = integer<std::uint32_t>(from.at("rank"));
    Rule& rule = planned.rule;
    from.at("name").get_to(rule.name);
    for (const json& unit : from.at("units"))
        rule.units.push_back(UnitPattern::parse(unit.get<std::string>()));
    for (const json& glob : from.at("cgroups"))
        rule.cgroups.push_back(CgroupGlob::parse(glob.get<std::string>()));
    for (const json& range : from.at("ports"))
        rule.ports.add(port_range(range));
    for (const json& network : from.at("networks"))
        rule.networks.push_back(Network::parse(network.get<std::string>()));
    rule.action = enumerator(from.at("action"), Action::bypass);
    rule.priority = integer<std::int32_t>(from.at("priority"));
    rule.queue_bytes = integer<std::uint64_t>(from.at("queue_bytes"));
    rule.prove = std::chrono::milliseconds(integer(from.at("prove_ms"), std::int64_t{0}, kMostMs));
    for (const json& hazard : from.at("tolerate"))
        rule.tolerate.insert(enumerator(hazard, Hazard::stall));
    return planned;
}

json json_of(const KernelVerdict& verdict) {
    json unhonoured = json::array();
    for (const Unhonoured& each : verdict.unhonoured)
        unhonoured.push_back({static_cast<int>(each.hazard), each.name});
    return {{"state", static_cast<int>(verdict.state)},
            {"flaw", verdict.flaw},
            {"unhonoured", unhonoured},
            {"has_fentry", verdict.has_fentry}};
}

KernelVerdict verdict_of(const json& from) {
    KernelVerdict verdict;
    verdict.state = enumerator(from.at("state"), KernelVerdict::State::unusable);
    from.at("flaw").get_to(verdict.flaw);
    from.at("has_fentry").get_to(verdict.has_fentry);
    verdict.unhonoured.clear();
    for (const json& each : from.at("unhonoured"))
        verdict.unhonoured.push_back(
            {enumerator(each.at(0), Hazard::stall), each.at(1).get<std::string>()});
    return verdict;
}

}  // namespace

std::string Legacy::text() const {
    json all = json::array();
    for (const PlannedRule& planned : rules)
        all.push_back(json_of(planned));
    return json{{"version", kVersion}, {"rules", all}, {"verdict", json_of(verdict)}}.dump();
}

Legacy Legacy::parse(std::string_view text) {
    try {
        const json from = json::parse(text);
        if (const int version = integer<int>(from.at("version")); version != kVersion)
            throw std::runtime_error("it is of version " + std::to_string(version));
        Legacy legacy;
        RuleMask ids = 0;
        for (const json& rule : from.at("rules")) {
            legacy.rules.push_back(planned_of(rule));
            const RuleMask id = mask_of(legacy.rules.back().id);
            if ((ids & id) != 0)
                throw std::runtime_error("two rules have one id");
            ids |= id;
        }
        legacy.verdict = verdict_of(from.at("verdict"));
        return legacy;
    } catch (const std::exception& error) {  // of json, or of the values' own parsers
        throw std::runtime_error(std::string("what the daemon before left cannot be read: ") +
                                 error.what());
    }
}

}  // namespace sockaccel
