// SPDX-License-Identifier: GPL-2.0-or-later
#include "metrics.hpp"

#include <sys/resource.h>

#include <array>
#include <functional>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "limit_watch.hpp"
#include "utf8.hpp"

namespace sockaccel {

namespace {

struct CountedRule {
    RuleStatus status;
    RuleCounters counters;
    ConnectionCounts connections;
};

constexpr std::array kRuleStates = {RuleState::active, RuleState::waiting, RuleState::testing,
                                    RuleState::refused, RuleState::paused};
constexpr std::array kKernelStates = {KernelVerdict::State::untested, KernelVerdict::State::usable,
                                      KernelVerdict::State::unusable};
constexpr std::array kConnectionStates = {ConnectionState::unpaired, ConnectionState::paired,
                                          ConnectionState::opening, ConnectionState::enrolled,
                                          ConnectionState::draining};

// Of the census for the next answer: older than the first, this answer makes its own. It takes at
// most one part in so many of the daemon's time.
constexpr std::chrono::minutes kOldestCount{1};
constexpr int kCountShare = 100;

double seconds(std::chrono::nanoseconds duration) {
    return std::chrono::duration<double>(duration).count();
}

double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto of = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return of(usage.ru_utime) + of(usage.ru_stime);
}

std::vector<CountedRule> count_rules(Engine& engine,
                                     const std::map<std::string, ConnectionCounts>& connections) {
    std::vector<CountedRule> rules;
    for (RuleStatus& status : engine.rules()) {
        CountedRule rule{std::move(status), {}, {}};
        rule.counters = engine.counters(rule.status);
        if (const auto found = connections.find(rule.status.rule.name); found != connections.end())
            rule.connections = found->second;
        rules.push_back(std::move(rule));
    }
    return rules;
}

void add_rules(Exposition& text, const std::vector<CountedRule>& rules) {
    Family state(text, "stateset", "sockaccel_rule_state", "", "How the rule is doing.");
    for (const CountedRule& rule : rules)
        for (const RuleState one : kRuleStates)
            state.sample({{"rule", rule.status.rule.name},
                          {"sockaccel_rule_state", std::string(to_string(one))}},
                         std::uint64_t{rule.status.state == one});

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

void add_connections(Exposition& text, const std::vector<CountedRule>& rules) {
    Family states(text, "gauge", "sockaccel_rule_connections", "",
                  "Covered connections that there are now, by state.");
    for (const CountedRule& rule : rules)
        for (const ConnectionState state : kConnectionStates) {
            const auto found = rule.connections.states.find(state);
            states.sample(
                {{"rule", rule.status.rule.name}, {"state", std::string(to_string(state))}},
                found == rule.connections.states.end() ? std::uint64_t{0} : found->second);
        }
    Family reasons(text, "gauge", "sockaccel_rule_not_enrolled", "",
                   "Covered connections that are not accelerated now, by the reasons of "
                   "sockaccel(7).");
    for (const CountedRule& rule : rules)
        for (const auto& [reason, count] : rule.connections.reasons)
            reasons.sample(
                {{"rule", rule.status.rule.name}, {"reason", std::string(name_of(reason))}}, count);
}

void add_traffic(Exposition& text, const std::vector<CountedRule>& rules) {
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

// The service itself.
void Metrics::add_service(Exposition& text) {
    Family(text, "info", "sockaccel_build", "", "The version that runs, and the kernel's release.")
        .sample({{"version", version_}, {"kernel", valid_utf8(kernel_)}}, std::uint64_t{1});

    Family state(text, "stateset", "sockaccel_kernel_state", "",
                 "What the self-test says of the kernel.");
    for (const KernelVerdict::State one : kKernelStates)
        state.sample({{"sockaccel_kernel_state", std::string(to_string(one))}},
                     std::uint64_t{engine_.verdict().state == one});

    const Totals totals = engine_.totals();
    Family(text, "gauge", "sockaccel_pairs", "",
           "Pairs in the kernel's table: enrolled, opening or draining.")
        .sample({}, std::uint64_t{totals.pairs});
    Family(text, "gauge", "sockaccel_pairs_limit", "", "The most pairs: limits.connections.")
        .sample({}, std::uint64_t{engine_.policy().limits.connections});
    Family(text, "gauge", "sockaccel_budget_used_bytes", "bytes",
           "Of the host-wide budget, taken by queued data.")
        .sample({}, totals.budget_used_bytes);
    Family(text, "gauge", "sockaccel_budget_limit_bytes", "bytes",
           "The host-wide budget: limits.memory.")
        .sample({}, totals.budget_bytes);
    Family(text, "counter", "sockaccel_halves_expired", "", "Ends whose other end was not covered.")
        .sample({}, totals.halves_expired);
    Family limits(text, "counter", "sockaccel_limit_hits", "",
                  "How often a limit was met, by the limits of sockaccel(7).");
    for (std::size_t index = 0; index < totals.limit_hits.size(); ++index)
        limits.sample({{"limit", std::string(name_of(static_cast<Limit>(index)))}},
                      totals.limit_hits[index]);
    Family(text, "gauge", "sockaccel_foreign_programs", "",
           "BPF programs of others on the same connections, at the last look.")
        .sample({}, std::uint64_t{engine_.foreign_seen()});
    Family(text, "gauge", "sockaccel_problems", "", "Problems that `sockaccelctl status` shows.")
        .sample({}, std::uint64_t{engine_.problems().size()});
}

// What the daemon itself does, and what that costs.
void Metrics::add_work(Exposition& text) {
    Family reloads(text, "counter", "sockaccel_reloads", "",
                   "Reloads of the policy since the start, by what became of them.");
    reloads.sample({{"result", "applied"}}, reloads_.applied());
    reloads.sample({{"result", "refused"}}, reloads_.refused());
    Family(text, "gauge", "sockaccel_policy_applied_timestamp_seconds", "seconds",
           "When the policy in force was read.")
        .sample({}, seconds(reloads_.applied_at().time_since_epoch()));
    Family(text, "histogram", "sockaccel_reload_duration_seconds", "seconds",
           "How long reloads took, of those that were applied.")
        .sample(reloads_.durations());
    Family(text, "histogram", "sockaccel_pass_duration_seconds", "seconds",
           "CPU time of the steward's passes.")
        .sample(engine_.pass_durations());
    Family(text, "histogram", "sockaccel_scrape_duration_seconds", "seconds",
           "How long it took to make this text, the times before.")
        .sample(durations_);
    Family(text, "histogram", "sockaccel_count_duration_seconds", "seconds",
           "How long it took to count the connections, which is not part of a scrape.")
        .sample(count_durations_);
    Family(text, "counter", "sockaccel_cpu_seconds", "seconds",
           "CPU time that the daemon has used since its start.")
        .sample({}, cpu_seconds());
}

// By name, as an id may become another rule's.
void Metrics::count_connections() {
    const Instant begin = now();
    std::map<RuleId, std::string> names;
    for (const RuleStatus& rule : engine_.rules())
        if (rule.id)
            names[*rule.id] = rule.rule.name;
    connections_.clear();
    for (const auto& [standing, count] : engine_.census()) {
        if (!standing.rule || !names.contains(*standing.rule))
            continue;
        ConnectionCounts& connections = connections_[names[*standing.rule]];
        connections.states[standing.state] += count;
        if (standing.state != ConnectionState::enrolled)
            connections.reasons[standing.reason] += count;
    }
    counted_at_ = now();
    counting_took_ = *counted_at_ - begin;
    count_durations_.add(counting_took_);
}

std::string Metrics::text(TextFormat format) {
    if (!counted_at_ || now() > *counted_at_ + kOldestCount)
        count_connections();
    else if (now() > *counted_at_ + kCountShare * counting_took_)
        recount_ = loop_.defer([this] { count_connections(); });
    const Instant begin = now();
    Exposition exposition(format);
    const std::vector<CountedRule> rules = count_rules(engine_, connections_);
    add_service(exposition);
    add_work(exposition);
    add_rules(exposition, rules);
    add_connections(exposition, rules);
    add_traffic(exposition, rules);
    std::string text = std::move(exposition).finish();
    durations_.add(now() - begin);
    return text;
}

}  // namespace sockaccel
