// SPDX-License-Identifier: GPL-2.0-or-later
#include "legacy.hpp"

#include <nlohmann/json.hpp>

#include <stdexcept>

namespace sockaccel {
namespace {

using nlohmann::json;

// Changes with every change of what is written here.
constexpr int kVersion = 1;

json json_of(const PlannedRule& planned) {
    const Rule& rule = planned.rule;
    json cgroups = json::array(), ports = json::array(), networks = json::array(),
         tolerate = json::array();
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
            {"units", rule.units},
            {"cgroups", cgroups},
            {"ports", ports},
            {"networks", networks},
            {"action", static_cast<int>(rule.action)},
            {"priority", rule.priority},
            {"queue_bytes", rule.queue_bytes},
            {"prove_ms", rule.prove.count()},
            {"tolerate", tolerate}};
}

// A number that is one of the enumeration's, of which `last` is the last.
template <typename Enumeration>
Enumeration enumerator(const json& value, Enumeration last) {
    const int number = value.get<int>();
    if (number < 0 || number > static_cast<int>(last))
        throw std::out_of_range("no enumerator has the number " + std::to_string(number));
    return static_cast<Enumeration>(number);
}

PlannedRule planned_of(const json& from) {
    PlannedRule planned;
    const int id = from.at("id").get<int>();
    if (id < 0 || id >= SA_MAX_RULES)
        throw std::out_of_range("no rule has the id " + std::to_string(id));
    planned.id = RuleId{static_cast<std::uint8_t>(id)};
    from.at("rank").get_to(planned.rank);
    Rule& rule = planned.rule;
    from.at("name").get_to(rule.name);
    from.at("units").get_to(rule.units);
    for (const json& glob : from.at("cgroups"))
        rule.cgroups.push_back(CgroupGlob::parse(glob.get<std::string>()));
    for (const json& range : from.at("ports"))
        rule.ports.add({range.at(0).get<std::uint16_t>(), range.at(1).get<std::uint16_t>()});
    for (const json& network : from.at("networks"))
        rule.networks.push_back(Network::parse(network.get<std::string>()));
    rule.action = enumerator(from.at("action"), Action::bypass);
    from.at("priority").get_to(rule.priority);
    from.at("queue_bytes").get_to(rule.queue_bytes);
    rule.prove = std::chrono::milliseconds(from.at("prove_ms").get<std::int64_t>());
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
        if (const int version = from.at("version").get<int>(); version != kVersion)
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
