// SPDX-License-Identifier: GPL-2.0-or-later
// The engine keeps the kernel in step with the policy and with the cgroups that exist, and runs the
// steward when there is something to do.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cgroup_tree.hpp"
#include "datapath.hpp"
#include "eligibility.hpp"
#include "event_loop.hpp"
#include "histogram.hpp"
#include "limit_watch.hpp"
#include "paused.hpp"
#include "plan.hpp"
#include "policy.hpp"
#include "unit_cgroups.hpp"

namespace sockaccel {

enum class RuleState {
    active,   // attached, connections are being looked at
    waiting,  // no cgroup that it names, and no unit's, exists at the moment
    testing,  // connections are paired, but none is enrolled before the kernel has been tested
    refused,  // `why` says what it would have to tolerate, or what is wrong with the kernel
    paused,   // attached, and everything goes by TCP
};
[[nodiscard]] std::string_view to_string(RuleState state);

struct RuleStatus {
    Rule rule;
    RuleState state = RuleState::waiting;
    std::string why;                   // "" when active
    std::optional<RuleId> id;          // none: refused
    std::vector<std::string> cgroups;  // that it selects now, by path
};

class Engine {
  public:
    // All three have to outlive the engine.
    Engine(EventLoop& loop, Datapath& datapath, CgroupTree& cgroups);

    // Start, reload and a changed cgroup tree come through here. Everything that can fail for a
    // reason that lies in the policy is done before anything changes; if the kernel fails, the
    // policy before it is put back in force. Returns what changed, a line each.
    std::vector<std::string> apply(const Policy& policy);
    // What apply() would return; changes nothing. Throws PolicyError.
    [[nodiscard]] std::vector<std::string> diff(const Policy& policy) const;

    // From now on every message of these rules goes by TCP, and their pairs leave; for the others
    // that ends. Rules that apply() brings later are meant, too.
    void pause(const Paused& paused);
    // What the self-test found: the policy is applied again by it. Before the first verdict
    // connections are paired and none is enrolled; those that the daemon before had enrolled go on,
    // and rules are refused by the verdict that it had. Returns and throws what apply() does.
    std::vector<std::string> take_verdict(const KernelVerdict& verdict);
    [[nodiscard]] const KernelVerdict& verdict() const { return verdict_; }

    // Where the units' cgroups are from now on.
    void take_units(const UnitCgroups& units);

    // Closes every gate, takes all pairs out and detaches. Runs passes for at most `patience`,
    // until every pair has left. Returns the connections that remain (plain TCP, with the empty
    // stub) because their readers did not read; a thousand of them by name.
    Listing stop(std::chrono::milliseconds patience);

    [[nodiscard]] const Policy& policy() const { return policy_; }
    [[nodiscard]] const Paused& paused() const { return paused_; }
    [[nodiscard]] std::vector<RuleStatus> rules() const;
    [[nodiscard]] std::optional<RuleStatus> rule_of(RuleId id) const;
    [[nodiscard]] Listing connections(std::uint32_t most, std::optional<std::uint32_t> viewer) {
        return datapath_.connections(Datapath::Which::all, most, viewer);
    }
    [[nodiscard]] RuleCounters counters(const RuleStatus& rule);
    [[nodiscard]] Census census() { return datapath_.census(); }
    [[nodiscard]] Totals totals() { return datapath_.totals(); }
    [[nodiscard]] Conversations conversations() { return datapath_.conversations(); }
    [[nodiscard]] bool witness_watches() { return datapath_.witness_watches(); }
    // CPU time of the steward's last pass.
    [[nodiscard]] Instant last_pass_took() const { return last_pass_took_; }
    [[nodiscard]] std::vector<std::string> foreign() {
        return datapath_.foreign([this](std::uint64_t id) { return cgroups_.path_of(id); });
    }
    [[nodiscard]] std::string cgroup_path(std::uint64_t id) const { return cgroups_.path_of(id); }
    [[nodiscard]] std::vector<std::string> problems() const;

    // Programs of others, when they were last looked for.
    [[nodiscard]] std::size_t foreign_seen() const { return told_foreign_.size(); }
    // The CPU time of each pass until now.
    [[nodiscard]] const Histogram& pass_durations() const { return pass_durations_; }

    // Paired, enrolled and left, while somebody listens; {} ends it.
    void listen(std::function<void(const ConnectionEvent&)> listener);

    // Called after each change of what rules(), problems() or verdict() say.
    void on_change(std::function<void()> callback) { changed_ = std::move(callback); }

  private:
    // A policy by what this kernel allows.
    struct Judged {
        Policy accepted;                             // the rules that may run
        std::map<std::string, std::string> refused;  // by rule: why
        std::vector<std::string> changes;            // from the policy in force, a line each
    };
    [[nodiscard]] Judged judge(const Policy& policy) const;
    [[nodiscard]] bool is_tested() const;
    [[nodiscard]] bool may_have_pairs() const;
    [[nodiscard]] const KernelVerdict& verdict_to_go_by() const;
    // Why a rule may not run; "" also while that is not known.
    [[nodiscard]] std::string refusal_of(const Rule& rule) const;
    void enforce(const Tables& tables, const Limits& limits, RuleMask leaving);
    void free_ids(RuleMask reused);
    void place_links();
    void tell_paused(RuleMask ids);
    [[nodiscard]] RuleMask paused_ids(const Tables& tables) const;
    void take_in_tree();
    void take_in(const std::function<bool()>& look_at_tree);
    void look();  // events, and whether a pass is wanted
    void adopt_if_due();
    void pass();
    void pass_at(Instant at);
    void report(std::vector<std::string> problems);
    void look_for_foreign();
    void watch_limits();
    [[nodiscard]] std::vector<RuleMask> named() const;
    [[nodiscard]] RuleStatus status_of(const Rule& rule, const std::vector<RuleMask>& named) const;
    [[nodiscard]] std::string why_waiting(const Rule& rule) const;

    Datapath& datapath_;
    CgroupTree& cgroups_;
    Policy policy_;
    UnitCgroups units_;
    Paused paused_;
    RuleMask told_paused_ = 0;  // what the datapath knows of that
    KernelVerdict verdict_;
    KernelVerdict inherited_verdict_;  // of the daemon before; until there is one
    bool has_inherited_ = false;
    std::map<std::string, std::string> refused_;  // by rule: why
    Tables tables_ = compile(Policy{}, nullptr);  // of the rules that are not refused
    std::vector<std::string> problems_;           // cgroups that could not be attached to, and why
    LimitWatch limits_;                           // as logged
    std::set<std::string> told_foreign_;          // other people's programs, as logged
    bool is_tree_stale_ = false;                  // the last refresh failed
    std::function<void(const ConnectionEvent&)> listener_;
    std::function<void()> changed_;
    bool is_adoption_due_ = false;  // more may be covered than when it was last looked for
    Instant next_adoption_{};       // not before
    Instant last_pass_{}, last_pass_took_{};
    Histogram pass_durations_;
    std::optional<Instant> next_pass_;  // none: the timer is disarmed
    RuleMask leaving_ = 0;              // ids no rule has now; their pairs are on their way out
    Source tree_source_, event_source_;
    Timer pass_timer_, limit_timer_;
};

}  // namespace sockaccel
