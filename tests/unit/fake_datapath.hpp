// SPDX-License-Identifier: GPL-2.0-or-later
// The one fake at the seam: writes down what it is told, and answers as the test has scripted.
#pragma once

#include <sys/eventfd.h>

#include <deque>
#include <map>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "datapath.hpp"
#include "event_loop.hpp"
#include "fd.hpp"

namespace sockaccel {

class FakeDatapath : public Datapath {
  public:
    // --- what was told ---

    // "tables redis=0 db=1", "membership a.slice b.slice" (the links), "drain 0x1 policy",
    // "pause 0x1", "adopt", "pass",
    // "pass over pairs", "events on"; in order.
    std::vector<std::string> calls;
    Tables tables;
    Limits limits;
    KernelVerdict verdict;
    Membership membership;
    std::vector<Instant> passes, adoptions;  // when

    // The calls since the last time this was asked.
    std::vector<std::string> take_calls() { return std::exchange(calls, {}); }

    // --- the script ---

    // Results of the next passes; with none left, an empty one. Given the time of the pass.
    std::deque<std::function<PassResult(Instant)>> pass_results;
    std::vector<std::string> problems;  // what set_membership() returns
    std::string failing;                // the next call that begins so fails with EPERM
    std::vector<Connection> known_connections;
    Census known_census;
    std::map<RuleId, RuleCounters> known_counters;
    Totals known_totals;
    Conversations known_conversations;
    std::vector<std::string> known_foreign;
    bool is_watching = false;
    int asked_for_witness = 0;
    std::optional<Inheritance> inherited;  // has to be set before the engine is made

    void want_pass() {
        is_pass_wanted_ = true;
        wake();
    }

    void happen(const ConnectionEvent& event) {
        events_.push_back(event);
        wake();
    }

    // --- Datapath ---

    [[nodiscard]] std::optional<Inheritance> inheritance() override { return inherited; }

    void set_tables(const Tables& new_tables, const Limits& new_limits,
                    const KernelVerdict& new_verdict) override {
        std::string call = "tables";
        for (const PlannedRule& planned : new_tables.rules)
            call += " " + planned.rule.name + "=" + std::to_string(index_of(planned.id));
        note(call);
        tables = new_tables;
        limits = new_limits;
        verdict = new_verdict;
    }

    std::vector<std::string> set_membership(const Membership& new_membership) override {
        std::string call = "membership";
        for (const std::string& link : new_membership.links)
            call += " " + link;
        note(call);
        membership = new_membership;
        return problems;
    }

    void drain(RuleMask rules, Reason reason) override {
        note("drain " + hexadecimal(rules) + " " + std::string(name_of(reason)));
    }

    void pause(RuleMask rules) override { note("pause " + hexadecimal(rules)); }
    [[nodiscard]] bool witness_watches() override {
        ++asked_for_witness;
        return is_watching;
    }

    void adopt() override {
        note("adopt");
        adoptions.push_back(now());
    }

    PassResult pass(Pass kind) override {
        note(kind == Pass::all ? "pass" : "pass over pairs");
        passes.push_back(now());
        if (pass_results.empty())
            return {};
        const auto result = std::move(pass_results.front());
        pass_results.pop_front();
        return result(passes.back());
    }

    [[nodiscard]] int event_fd() const override { return event_fd_.get(); }

    bool take_events(const std::function<void(const ConnectionEvent&)>& sink) override {
        eventfd_t count = 0;
        ::eventfd_read(event_fd_.get(), &count);
        for (const ConnectionEvent& event : std::exchange(events_, {}))
            sink(event);
        return std::exchange(is_pass_wanted_, false);
    }

    void want_events(bool wanted) override { note(wanted ? "events on" : "events off"); }

    [[nodiscard]] Listing connections(Which which, std::uint32_t most,
                                      std::optional<std::uint32_t> /*viewer*/) override {
        Listing listing;
        for (const Connection& connection : known_connections) {
            if (which == Which::in_table && connection.state != ConnectionState::enrolled &&
                connection.state != ConnectionState::draining)
                continue;
            if (listing.connections.size() < most)
                listing.connections.push_back(connection);
            else
                ++listing.omitted;
        }
        return listing;
    }
    [[nodiscard]] Census census() override { return known_census; }
    [[nodiscard]] RuleCounters counters(RuleId rule) override { return known_counters[rule]; }
    [[nodiscard]] Totals totals() override { return known_totals; }
    [[nodiscard]] Conversations conversations() override { return known_conversations; }
    [[nodiscard]] std::vector<std::string> foreign(const PathOfCgroup&) override {
        return known_foreign;
    }

  private:
    static std::string hexadecimal(RuleMask rules) {
        constexpr char kDigits[] = "0123456789abcdef";
        std::string digits;
        do {
            digits.insert(digits.begin(), kDigits[rules % 16]);
            rules /= 16;
        } while (rules);
        return "0x" + digits;
    }

    void note(const std::string& call) {
        calls.push_back(call);
        if (failing.empty() || !call.starts_with(failing))
            return;
        failing.clear();
        throw std::system_error(EPERM, std::generic_category(), "fake: " + call);
    }

    void wake() { check(::eventfd_write(event_fd_.get(), 1), "wake the loop"); }

    Fd event_fd_{check(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "make an eventfd")};
    std::vector<ConnectionEvent> events_;
    bool is_pass_wanted_ = false;
};

}  // namespace sockaccel
