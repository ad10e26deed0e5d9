// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine.hpp"

#include <algorithm>
#include <iterator>
#include <system_error>
#include <thread>
#include <utility>

#include "log.hpp"

namespace sockaccel {
namespace {

constexpr Instant kPassInterval{SA_PASS_INTERVAL_NS};
constexpr Instant kAdoptionInterval = std::chrono::seconds(1);
constexpr int kPassShare = 20;  // passes take at most one part in this many of a CPU's time
constexpr std::chrono::milliseconds kStopInterval{5};
constexpr std::uint32_t kMostRemaining = 1000;  // that are told by name
constexpr RuleMask kAllRules = ~RuleMask{0};

}  // namespace

std::string_view to_string(RuleState state) {
    switch (state) {
        case RuleState::active:
            return "active";
        case RuleState::waiting:
            return "waiting";
        case RuleState::testing:
            return "testing";
        case RuleState::refused:
            return "refused";
        case RuleState::paused:
            return "paused";
    }
    return "?";
}

Engine::Engine(EventLoop& loop, Datapath& datapath, CgroupTree& cgroups)
    : datapath_(datapath),
      cgroups_(cgroups),
      tree_source_(loop.on_readable(cgroups.fd(), [this] { take_in_tree(); })),
      event_source_(loop.on_readable(datapath.event_fd(), [this] { look(); })),
      pass_timer_(loop.timer([this] {
          adopt_if_due();
          pass();
      })),
      limit_timer_(loop.timer([this] { watch_limits(); })) {
    if (const std::optional<Inheritance> inheritance = datapath.inheritance()) {
        tables_ = tables_of(inheritance->legacy.rules);
        leaving_ = inheritance->draining & ~ids_of(tables_);
        told_paused_ = inheritance->paused;
        inherited_verdict_ = inheritance->legacy.verdict;
        has_inherited_ = true;
    }
}

Engine::Judged Engine::judge(const Policy& policy) const {
    Judged judged{{policy.limits, {}}, {}, describe_change(policy_, policy)};
    for (const Rule& rule : policy.rules) {
        const std::string why = refusal_of(rule);
        if (why.empty()) {
            judged.accepted.rules.push_back(rule);
            continue;
        }
        judged.refused[rule.name] = why;
        if (const auto before = refused_.find(rule.name);
            before == refused_.end() || before->second != why)
            judged.changes.push_back("refused " + rule.name + ": " + why);
    }
    return judged;
}

std::vector<std::string> Engine::diff(const Policy& policy) const {
    Judged judged = judge(policy);
    static_cast<void>(compile(judged.accepted, &tables_));  // what it does not take, is told
    return std::move(judged.changes);
}

std::vector<std::string> Engine::apply(const Policy& policy) {
    Judged judged = judge(policy);
    Tables tables = compile(judged.accepted, &tables_);
    const RuleMask ids = ids_of(tables);
    const RuleMask old = leaving(tables_, tables);

    try {
        tell_paused(told_paused_ | paused_ids(tables));  // before a rule of this name begins
        free_ids(old & ids);
        enforce(tables, policy.limits, (leaving_ | old) & ~ids);
    } catch (...) {
        enforce(tables_, policy_.limits, leaving_);
        tell_paused(paused_ids(tables_));
        throw;
    }
    leaving_ = (leaving_ | old) & ~ids;
    tables_ = std::move(tables);
    refused_ = std::move(judged.refused);
    if (&policy != &policy_)
        policy_ = policy;
    tell_paused(paused_ids(tables_));
    look_for_foreign();
    is_adoption_due_ = !tables_.rules.empty();
    if (!tables_.rules.empty() || leaving_ != 0)
        pass_at(now());
    if (changed_)
        changed_();
    return std::move(judged.changes);
}

std::vector<std::string> Engine::take_verdict(const KernelVerdict& verdict) {
    KernelVerdict before = std::exchange(verdict_, verdict);
    try {
        return apply(policy_);
    } catch (...) {
        verdict_ = std::move(before);
        throw;
    }
}

// Before the kernel has been tested there are only those of the daemon before.
bool Engine::may_have_pairs() const {
    return is_tested() || has_inherited_;
}

bool Engine::is_tested() const {
    return verdict_.state != KernelVerdict::State::untested;
}

const KernelVerdict& Engine::verdict_to_go_by() const {
    return is_tested() ? verdict_ : inherited_verdict_;
}

std::string Engine::refusal_of(const Rule& rule) const {
    KernelVerdict verdict = verdict_to_go_by();
    if (verdict.state == KernelVerdict::State::untested)
        return "";
    verdict.witness_watches = datapath_.witness_watches();
    return refusal(rule, verdict);
}

std::vector<std::string> Engine::problems() const {
    std::vector<std::string> all = problems_;
    if (verdict_.state == KernelVerdict::State::unusable)
        all.insert(all.begin(),
                   "nothing is accelerated: the kernel fails the self-test: " + verdict_.flaw);
    if (!units_.problem.empty())
        all.push_back("the policy's units are not followed: " + units_.problem);
    for (std::string& problem : limits_.problems())
        all.push_back(std::move(problem));
    return all;
}

void Engine::enforce(const Tables& tables, const Limits& limits, RuleMask leaving) {
    cgroups_.select(selection_of(tables, units_));
    is_tree_stale_ = false;
    datapath_.set_tables(tables, limits, verdict_to_go_by());
    datapath_.drain(leaving, SA_REASON_POLICY);
    report(datapath_.set_membership(place(tables, cgroups_.selected(), units_)));
}

// For ids that pass from one rule to another at once, when there are too many rules to give them
// new ones: neither the old rule's pairs nor its cgroups may become the new one's.
void Engine::free_ids(RuleMask reused) {
    if (reused == 0)
        return;
    datapath_.set_membership(place(without(tables_, reused), cgroups_.selected(), units_));
    datapath_.drain(leaving_ | reused, SA_REASON_POLICY);
    if (may_have_pairs())
        pass();  // a pair that has begun to leave does not turn back
}

void Engine::pause(const Paused& paused) {
    paused_ = paused;
    if (const RuleMask ids = paused_ids(tables_); ids != told_paused_) {
        tell_paused(ids);
        if (may_have_pairs())
            pass();  // at once: somebody waits for it
    }
    if (changed_)
        changed_();
}

RuleMask Engine::paused_ids(const Tables& tables) const {
    RuleMask ids = 0;
    for (const PlannedRule& planned : tables.rules)
        if (paused_.has(planned.rule.name))
            ids |= mask_of(planned.id);
    return ids;
}

void Engine::tell_paused(RuleMask ids) {
    if (ids == told_paused_)
        return;
    datapath_.pause(ids);
    told_paused_ = ids;
}

void Engine::place_links() {
    report(datapath_.set_membership(place(tables_, cgroups_.selected(), units_)));
}

// Without the cgroups that are new the service is of less use, but what it does stays right: so no
// failure here ends it.
void Engine::take_in_tree() {
    take_in([this] { return cgroups_.refresh(); });
}

void Engine::take_units(const UnitCgroups& units) {
    if (units == units_)
        return;
    units_ = units;
    if (policy_.rules.empty())
        return;  // apply() comes first, also to what is carried on
    take_in([this] {
        cgroups_.select(selection_of(tables_, units_));
        return true;
    });
}

void Engine::take_in(const std::function<bool()>& look_at_tree) {
    try {
        if (!look_at_tree() && !is_tree_stale_)
            return;
        place_links();
        is_tree_stale_ = false;
        look_for_foreign();
        is_adoption_due_ = !tables_.rules.empty();
        if (!tables_.rules.empty())
            pass_at(now());  // lets links go that no pair needs
    } catch (const std::system_error& error) {
        is_tree_stale_ = true;
        report({std::string("cgroups that came or went are not taken in: ") + error.what()});
    }
    if (changed_)
        changed_();
}

void Engine::look() {
    const auto listener = listener_;  // it may end itself
    const bool is_pass_wanted = datapath_.take_events([&](const ConnectionEvent& event) {
        if (listener)
            listener(event);
    });
    if (is_pass_wanted)
        pass_at(now());
}

// After the links are there, lest a connection open between the look and the link. Without it the
// service does what it does for all others, so it is no reason to end.
void Engine::adopt_if_due() {
    if (!is_adoption_due_ || !is_tested() || now() < next_adoption_)
        return;
    is_adoption_due_ = false;
    const Instant begin = now();
    try {
        datapath_.adopt();
    } catch (const std::system_error& error) {
        log::warning(std::string("connections that were open before stay in TCP: ") + error.what());
    }
    const Instant end = now();
    next_adoption_ = end + std::max(kAdoptionInterval, kPassShare * (end - begin));
}

void Engine::pass() {
    pass_timer_.disarm();
    next_pass_.reset();
    last_pass_ = now();
    const Instant begin = cpu_time();
    const PassResult result =
        datapath_.pass(is_tested() ? Datapath::Pass::all : Datapath::Pass::pairs_only);
    last_pass_took_ = cpu_time() - begin;
    pass_durations_.add(last_pass_took_);
    if (result.next)
        pass_at(*result.next);
    if (is_adoption_due_ && is_tested())  // else take_verdict() sees to it
        pass_at(next_adoption_);
    watch_limits();
}

// A limit that is met raises a pass; the timer tells what was held back then, and when it is over.
void Engine::watch_limits() {
    const std::vector<std::string> before = limits_.problems();
    for (const std::string& line : limits_.look(datapath_.totals(), now()))
        log::warning(line);
    if (const std::optional<Instant> next = limits_.next())
        limit_timer_.arm(*next);
    else
        limit_timer_.disarm();
    if (changed_ && limits_.problems() != before)
        changed_();
}

void Engine::pass_at(Instant at) {
    if (!may_have_pairs())
        return;  // take_verdict() sees to the first one
    at = std::max(at, last_pass_ + std::max(kPassInterval, kPassShare * last_pass_took_));
    if (next_pass_ && *next_pass_ <= at)
        return;
    pass_timer_.arm(at);
    next_pass_ = at;
}

void Engine::report(std::vector<std::string> problems) {
    for (const std::string& problem : problems)
        if (std::find(problems_.begin(), problems_.end(), problem) == problems_.end())
            log::warning(problem);
    problems_ = std::move(problems);
}

// Each is told once, as long as it is there. It is a notice, and none of it may get in the way.
void Engine::look_for_foreign() {
    try {
        std::set<std::string> seen;
        for (const std::string& program : foreign())
            seen.insert(program);
        for (const std::string& program : seen)
            if (!told_foreign_.contains(program))
                log::notice("there is a program of others: " + program,
                            {.id = log::id::kForeignProgram});
        told_foreign_ = std::move(seen);
    } catch (const std::system_error& error) {
        log::warning(std::string("cannot look for other programs: ") + error.what());
    }
}

Listing Engine::stop(std::chrono::milliseconds patience) {
    tree_source_ = {};
    event_source_ = {};
    pass_timer_.disarm();
    limit_timer_.disarm();
    next_pass_.reset();

    const Instant deadline = now() + patience;
    datapath_.set_membership({});
    datapath_.drain(kAllRules, SA_REASON_STOPPED);
    while (datapath_.pass(Datapath::Pass::all).pairs > 0) {
        if (now() >= deadline)
            return datapath_.connections(Datapath::Which::in_table, kMostRemaining, std::nullopt);
        std::this_thread::sleep_for(kStopInterval);
    }
    return {};
}

// By cgroup, in the order of cgroups_.selected().
std::vector<RuleMask> Engine::named() const {
    return naming(tables_, cgroups_.selected(), units_);
}

std::string Engine::why_waiting(const Rule& rule) const {
    if (rule.units.empty())
        return "no cgroup that it names exists at the moment";
    const std::string units = units_.problem.empty()
                                  ? "none of its units runs at the moment"
                                  : "its units are not followed: " + units_.problem;
    return rule.cgroups.empty() ? units : "no cgroup that it names exists, and " + units;
}

RuleStatus Engine::status_of(const Rule& rule, const std::vector<RuleMask>& named) const {
    RuleStatus status;
    status.rule = rule;
    const auto planned =
        std::find_if(tables_.rules.begin(), tables_.rules.end(),
                     [&](const PlannedRule& it) { return it.rule.name == rule.name; });
    if (planned == tables_.rules.end()) {
        status.state = RuleState::refused;
        status.why = refusal_of(rule);
        return status;
    }
    status.id = planned->id;
    for (std::size_t i = 0; i < named.size(); ++i)
        if (named[i] & mask_of(planned->id))
            status.cgroups.push_back(cgroups_.selected()[i].path);
    status.state = status.cgroups.empty() ? RuleState::waiting : RuleState::active;
    if (status.state == RuleState::waiting)
        status.why = why_waiting(rule);
    if (paused_.has(rule.name)) {
        status.state = RuleState::paused;
        status.why = "everything goes by TCP until it is resumed";
    } else if (!is_tested() && rule.action == Action::accelerate) {
        status.state = RuleState::testing;
        status.why = "the kernel is being tested: nothing is enrolled before the result is there";
    }
    return status;
}

std::vector<RuleStatus> Engine::rules() const {
    const std::vector<RuleMask> named_now = named();
    std::vector<RuleStatus> statuses;
    for (const Rule& rule : policy_.rules)
        statuses.push_back(status_of(rule, named_now));
    return statuses;
}

std::optional<RuleStatus> Engine::rule_of(RuleId id) const {
    for (const PlannedRule& planned : tables_.rules)
        if (planned.id == id)
            return status_of(planned.rule, named());
    return std::nullopt;
}

RuleCounters Engine::counters(const RuleStatus& rule) {
    return rule.id ? datapath_.counters(*rule.id) : RuleCounters{};
}

void Engine::listen(std::function<void(const ConnectionEvent&)> listener) {
    listener_ = std::move(listener);
    datapath_.want_events(static_cast<bool>(listener_));
}

}  // namespace sockaccel
