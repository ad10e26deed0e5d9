// SPDX-License-Identifier: GPL-2.0-or-later
#include "metrics.hpp"

#include <array>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "utf8.hpp"

namespace sockaccel {
namespace {

struct Label {
    std::string_view name;
    std::string value;
};
using Labels = std::vector<Label>;

// OpenMetrics escapes these three.
std::string escaped(const std::string& value) {
    std::string result;
    for (const char character : value) {
        if (character == '\\' || character == '"')
            result += '\\';
        if (character == '\n')
            result += "\\n";
        else
            result += character;
    }
    return result;
}

// One family of metrics: its heading on construction, then its samples.
class Family {
  public:
    Family(std::string& text, std::string_view type, std::string_view name, std::string_view unit,
           std::string_view help)
        : text_(text),
          name_(name),
          suffix_(type == "counter" ? "_total"
                  : type == "info"  ? "_info"
                                    : "") {
        text_ += fmt::format("# TYPE {} {}\n", name, type);
        if (!unit.empty())
            text_ += fmt::format("# UNIT {} {}\n", name, unit);
        text_ += fmt::format("# HELP {} {}\n", name, help);
    }

    void sample(const Labels& labels, std::uint64_t value) {
        std::string list;
        for (const Label& label : labels)
            list += fmt::format("{}{}=\"{}\"", list.empty() ? "" : ",", label.name,
                                escaped(label.value));
        text_ += list.empty() ? fmt::format("{}{} {}\n", name_, suffix_, value)
                              : fmt::format("{}{}{{{}}} {}\n", name_, suffix_, list, value);
    }

  private:
    std::string& text_;
    std::string_view name_, suffix_;
};

struct CountedRule {
    RuleStatus status;
    RuleCounters counters;
};

constexpr std::array kRuleStates = {RuleState::active, RuleState::waiting, RuleState::testing,
                                    RuleState::refused, RuleState::paused};
constexpr std::array kKernelStates = {KernelVerdict::State::untested, KernelVerdict::State::usable,
                                      KernelVerdict::State::unusable};

// The service itself.
void add_service(std::string& text, Engine& engine, const std::string& version,
                 const std::string& kernel) {
    Family(text, "info", "sockaccel_build", "", "The version that runs, and the kernel's release.")
        .sample({{"version", version}, {"kernel", valid_utf8(kernel)}}, 1);

    Family state(text, "stateset", "sockaccel_kernel_state", "",
                 "What the self-test says of the kernel.");
    for (const KernelVerdict::State one : kKernelStates)
        state.sample({{"sockaccel_kernel_state", std::string(to_string(one))}},
                     engine.verdict().state == one ? 1 : 0);

    const Totals totals = engine.totals();
    Family(text, "gauge", "sockaccel_pairs", "",
           "Pairs in the kernel's table: enrolled, opening or draining.")
        .sample({}, totals.pairs);
    Family(text, "gauge", "sockaccel_pairs_limit", "", "The most pairs: limits.connections.")
        .sample({}, engine.policy().limits.connections);
    Family(text, "gauge", "sockaccel_budget_used_bytes", "bytes",
           "Of the host-wide budget, taken by queued data.")
        .sample({}, totals.budget_used_bytes);
    Family(text, "gauge", "sockaccel_budget_limit_bytes", "bytes",
           "The host-wide budget: limits.memory.")
        .sample({}, totals.budget_bytes);
    Family(text, "counter", "sockaccel_halves_expired", "", "Ends whose other end was not covered.")
        .sample({}, totals.halves_expired);
    Family(text, "gauge", "sockaccel_problems", "", "Problems that `sockaccelctl status` shows.")
        .sample({}, engine.problems().size());
}

void add_rules(std::string& text, const std::vector<CountedRule>& rules) {
    Family state(text, "stateset", "sockaccel_rule_state", "", "How the rule is doing.");
    for (const CountedRule& rule : rules)
        for (const RuleState one : kRuleStates)
            state.sample({{"rule", rule.status.rule.name},
                          {"sockaccel_rule_state", std::string(to_string(one))}},
                         rule.status.state == one ? 1 : 0);

    const auto each = [&](std::string_view type, std::string_view name, std::string_view help,
                          const std::function<std::uint64_t(const CountedRule&)>& value) {
        Family family(text, type, name, "", help);
        for (const CountedRule& rule : rules)
            family.sample({{"rule", rule.status.rule.name}}, value(rule));
    };
    each("gauge", "sockaccel_rule_cgroups", "Cgroups that the rule selects now.",
         [](const CountedRule& rule) { return rule.status.cgroups.size(); });
    each("counter", "sockaccel_rule_paired", "Connections whose both ends were found.",
         [](const CountedRule& rule) { return rule.counters.paired; });
    each("counter", "sockaccel_rule_enrolled", "Connections that were accelerated.",
         [](const CountedRule& rule) { return rule.counters.enrolled; });
    each("counter", "sockaccel_rule_left", "Accelerated connections that left, closed ones, too.",
         [](const CountedRule& rule) { return rule.counters.left; });
}

void add_traffic(std::string& text, const std::vector<CountedRule>& rules) {
    const auto by_path = [&](std::string_view name, std::string_view unit, std::string_view help,
                             std::uint64_t EndCounters::*redirected,
                             std::uint64_t EndCounters::*tcp) {
        Family family(text, "counter", name, unit, help);
        for (const CountedRule& rule : rules) {
            const EndCounters& traffic = rule.counters.traffic;
            family.sample({{"rule", rule.status.rule.name}, {"path", "redirected"}},
                          traffic.*redirected);
            family.sample({{"rule", rule.status.rule.name}, {"path", "tcp"}}, traffic.*tcp);
        }
    };
    by_path("sockaccel_payload_bytes", "bytes",
            "Bytes sent on enrolled connections, redirected or left to TCP.",
            &EndCounters::redirected_bytes, &EndCounters::tcp_bytes);
    by_path("sockaccel_messages", "",
            "Messages sent on enrolled connections, redirected or left to TCP.",
            &EndCounters::redirected_messages, &EndCounters::tcp_messages);

    Family family(text, "counter", "sockaccel_left_to_tcp", "",
                  "Messages left to TCP, by the reasons of sockaccel(7).");
    for (const CountedRule& rule : rules) {
        const auto& reasons = rule.counters.traffic.reasons;
        for (std::size_t index = 0; index < reasons.size(); ++index)
            if (reasons[index] > 0)
                family.sample({{"rule", rule.status.rule.name},
                               {"reason", std::string(name_of(static_cast<Reason>(index)))}},
                              reasons[index]);
    }
}

}  // namespace

std::string open_metrics(Engine& engine, const std::string& version, const std::string& kernel) {
    std::vector<CountedRule> rules;
    for (RuleStatus& status : engine.rules()) {
        const RuleCounters counters = engine.counters(status);
        rules.push_back({std::move(status), counters});
    }
    std::string text;
    add_service(text, engine, version, kernel);
    add_rules(text, rules);
    add_traffic(text, rules);
    return text + "# EOF\n";
}

}  // namespace sockaccel
