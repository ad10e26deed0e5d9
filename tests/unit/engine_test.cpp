// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "fake_datapath.hpp"
#include "temporary_directory.hpp"

namespace sockaccel {
namespace {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

KernelVerdict usable(std::vector<Unhonoured> unhonoured) {
    KernelVerdict verdict;
    verdict.state = KernelVerdict::State::usable;
    verdict.unhonoured = std::move(unhonoured);
    return verdict;
}

KernelVerdict unusable() {
    KernelVerdict verdict;
    verdict.state = KernelVerdict::State::unusable;
    verdict.flaw = "order: another one";
    return verdict;
}

const KernelVerdict kClassB = usable({{Hazard::fionread, "FIONREAD (class B)"},
                                      {Hazard::splice, "splice(2)"},
                                      {Hazard::waitall, "MSG_WAITALL"}});

const std::set<Hazard> kAll = {Hazard::fionread, Hazard::splice, Hazard::waitall};

Rule make_rule(const std::string& name, const std::string& glob) {
    Rule rule;
    rule.name = name;
    rule.cgroups = {CgroupGlob::parse(glob)};
    rule.networks = {Network::parse("127.0.0.0/8")};
    rule.tolerate = kAll;
    return rule;
}

Rule on_port(Rule rule, std::uint16_t port) {
    rule.ports.add({port, port});
    return rule;
}

ConnectionEvent event_of(EventKind kind) {
    ConnectionEvent event;
    event.kind = kind;
    return event;
}

// Of a kernel that has not been tested yet.
class Untested : public testing::Test {
  protected:
    void run_for(std::chrono::milliseconds time) {
        EXPECT_EQ(is_run_, false) << "a loop runs once";
        is_run_ = true;
        Timer end = loop.timer([&] { loop.exit(0); });
        end.arm(now() + time);
        loop.run();
    }

    TemporaryDirectory root;
    EventLoop loop;
    FakeDatapath datapath;
    CgroupTree cgroups{root.path()};
    Engine engine{loop, datapath, cgroups};

  private:
    bool is_run_ = false;
};

class EngineTest : public Untested {
  protected:
    EngineTest() {
        engine.take_verdict(kClassB);
        datapath.take_calls();
    }
};

// --- what the daemon before left ---

// Its rule "r" has the id 5, and pairs of the id 9 are on their way out.
class Inherited : public testing::Test {
  protected:
    Engine& start(const std::vector<Rule>& rules) {
        for (const char* cgroup : {"a", "b"})
            root.make(cgroup);
        Rule rule = make_rule("r", "a");
        rule.queue_bytes = 1;
        datapath.inherited = Inheritance{{{{RuleId{5}, 0, rule}}, kClassB}, 1 << 9, 1 << 5};
        engine.emplace(loop, datapath, cgroups);
        engine->apply({{}, rules});
        return *engine;
    }

    TemporaryDirectory root;
    EventLoop loop;
    FakeDatapath datapath;
    CgroupTree cgroups{root.path()};
    std::optional<Engine> engine;
};

TEST_F(Inherited, RulesKeepTheirIds) {
    start({make_rule("new", "b"), make_rule("r", "a")});
    EXPECT_EQ(datapath.take_calls(),
              (Lines{"tables new=6 r=5", "drain 0x200 policy", "membership a b", "pause 0x0"}));
    EXPECT_EQ(datapath.verdict, kClassB);
}

TEST_F(Inherited, RulesThatAreGoneOrMatchDifferentlyLeave) {
    start({on_port(make_rule("r", "a"), 80)});
    EXPECT_EQ(datapath.take_calls(),
              (Lines{"tables r=6", "drain 0x220 policy", "membership a", "pause 0x0"}));
}

TEST_F(Inherited, UntilTheVerdictThoseBeforeAreLookedAfterAndNoneIsEnrolled) {
    start({make_rule("r", "a")});
    datapath.take_calls();
    EXPECT_EQ(engine->rules()[0].state, RuleState::testing);
    Timer end = loop.timer([&] { loop.exit(0); });
    end.arm(now() + 50ms);
    Timer verdict = loop.timer([&] { engine->take_verdict(kClassB); });
    verdict.arm(now() + 20ms);
    loop.run();
    ASSERT_FALSE(datapath.calls.empty());
    EXPECT_EQ(datapath.calls[0], "pass over pairs");
    EXPECT_EQ(std::count(datapath.calls.begin(), datapath.calls.end(), "pass"), 0);
}

TEST_F(Inherited, UntilTheVerdictRulesAreRefusedByTheOneBefore) {
    Rule bare = make_rule("bare", "a");
    bare.tolerate = {};
    bare.priority = 5;
    start({bare, make_rule("r", "a")});
    EXPECT_EQ(datapath.take_calls()[0], "tables r=5");
    EXPECT_EQ(engine->rules()[0].state, RuleState::refused);
    EXPECT_EQ(engine->rules()[0].why, refusal(bare, kClassB));
    engine->take_verdict(usable({}));
    EXPECT_EQ(engine->rules()[0].state, RuleState::active);
}

TEST_F(Inherited, AVerdictThatRefusesTakesThemOut) {
    start({make_rule("r", "a")});
    datapath.take_calls();
    engine->take_verdict(unusable());
    EXPECT_EQ(datapath.take_calls(), (Lines{"tables", "drain 0x220 policy", "membership"}));
}

// --- the verdict ---

TEST_F(Untested, AttachesAndPairsButRunsNoPass) {
    root.make("a");
    const Rule bare = [] {
        Rule rule = make_rule("bare", "a");
        rule.tolerate = {};
        return rule;
    }();
    Rule bypass = make_rule("bypass", "a");
    bypass.action = Action::bypass;
    engine.apply({{}, {bare, bypass, make_rule("r", "b")}});
    EXPECT_EQ(datapath.membership.links, Lines{"a"});
    datapath.want_pass();
    run_for(150ms);
    EXPECT_EQ(datapath.passes.size(), 0u);
    const std::vector<RuleStatus> rules = engine.rules();
    EXPECT_EQ(rules[0].state, RuleState::testing);
    EXPECT_EQ(rules[0].why,
              "the kernel is being tested: nothing is enrolled before the result is there");
    EXPECT_EQ(rules[1].state, RuleState::active);
    EXPECT_EQ(rules[2].state, RuleState::testing);
    EXPECT_EQ(engine.problems(), Lines{});
}

TEST_F(Untested, TheVerdictLetsRulesRunOrRefusesThem) {
    root.make("a");
    Rule bare = make_rule("bare", "a");
    bare.tolerate = {};
    engine.apply({{}, {bare, make_rule("r", "a")}});
    datapath.take_calls();
    int changes = 0;
    engine.on_change([&] { ++changes; });
    EXPECT_EQ(engine.take_verdict(kClassB), Lines{"refused bare: " + refusal(bare, kClassB)});
    EXPECT_EQ(changes, 1);
    EXPECT_EQ(datapath.take_calls(), (Lines{"tables r=1", "drain 0x1 policy", "membership a"}));
    EXPECT_EQ(engine.rules()[0].state, RuleState::refused);
    EXPECT_EQ(engine.rules()[1].state, RuleState::active);
    run_for(50ms);
    EXPECT_EQ(datapath.passes.size(), 1u) << "what was paired meanwhile is looked at";
}

TEST_F(EngineTest, AnotherVerdictIsAnotherRefusal) {
    root.make("a");
    Rule rule = make_rule("r", "a");
    rule.tolerate = {};
    const KernelVerdict right = usable({});
    engine.apply({{}, {rule}});
    EXPECT_EQ(engine.rules()[0].state, RuleState::refused);
    EXPECT_EQ(engine.take_verdict(right), Lines{});
    EXPECT_EQ(engine.rules()[0].state, RuleState::active);
    EXPECT_EQ(datapath.membership.links, Lines{"a"});
    EXPECT_EQ(engine.take_verdict(kClassB), Lines{"refused r: " + refusal(rule, kClassB)});
    EXPECT_EQ(engine.rules()[0].state, RuleState::refused);
    EXPECT_EQ(datapath.membership.links, Lines{});
}

TEST_F(EngineTest, AnUnusableKernelAcceleratesNothingAndIsAProblem) {
    root.make("a");
    engine.apply({{}, {make_rule("r", "a")}});
    engine.take_verdict(unusable());
    EXPECT_EQ(engine.rules()[0].state, RuleState::refused);
    EXPECT_EQ(engine.rules()[0].why, refusal(make_rule("r", "a"), unusable()));
    EXPECT_EQ(datapath.membership, Membership{});
    EXPECT_EQ(engine.problems(),
              Lines{"nothing is accelerated: the kernel fails the self-test: order: another one"});
    engine.take_verdict(kClassB);
    EXPECT_EQ(engine.rules()[0].state, RuleState::active);
    EXPECT_EQ(engine.problems(), Lines{});
}

TEST_F(EngineTest, KeepsTheOldVerdictIfTheNewOneCannotBeEnforced) {
    root.make("a");
    engine.apply({{}, {make_rule("r", "a")}});
    datapath.failing = "membership";
    EXPECT_THROW(engine.take_verdict(unusable()), std::system_error);
    EXPECT_EQ(engine.verdict(), kClassB);
    EXPECT_EQ(engine.rules()[0].state, RuleState::active);
    EXPECT_EQ(datapath.membership.links, Lines{"a"});
}

// --- apply ---

TEST_F(EngineTest, PutsAPolicyInForce) {
    root.make("a/b");
    Policy policy{{}, {make_rule("r", "a/*")}};
    policy.limits.connections = 5;
    EXPECT_EQ(engine.apply(policy), (Lines{"added r", "changed limits: connections 65536 → 5"}));
    EXPECT_EQ(datapath.take_calls(), (Lines{"tables r=0", "drain 0x0 policy", "membership a/b"}));
    EXPECT_EQ(datapath.limits, policy.limits);
    EXPECT_EQ(datapath.membership, (Membership{{{root.id_of("a/b"), 1}}, {"a/b"}}));
    EXPECT_EQ(engine.policy(), policy);
}

TEST_F(EngineTest, DiffSaysWhatApplyWouldAndChangesNothing) {
    Rule refused = make_rule("bad", "a");
    refused.tolerate = {};
    engine.apply({{}, {make_rule("old", "a")}});
    const Tables before = datapath.tables;
    const Policy next{{}, {refused, make_rule("new", "a")}};
    const Lines changes = engine.diff(next);
    EXPECT_EQ(datapath.tables, before);
    EXPECT_EQ(engine.policy(), (Policy{{}, {make_rule("old", "a")}}));
    EXPECT_EQ(changes, engine.apply(next));
    EXPECT_EQ(changes.size(), 4U) << "two added, one removed, one refused";
    EXPECT_EQ(engine.diff(next), Lines{});
}

TEST_F(EngineTest, RefusesARuleAndKeepsTheOthers) {
    root.make("a");
    Rule refused = make_rule("bad", "a");
    refused.tolerate = {};
    const Policy policy{{}, {refused, make_rule("good", "a"), make_rule("late", "b")}};
    const Lines changes = engine.apply(policy);
    EXPECT_EQ(changes, (Lines{"added bad", "added good", "added late",
                              "refused bad: " + refusal(refused, kClassB)}));
    EXPECT_EQ(datapath.calls[0], "tables good=0 late=1");

    const std::vector<RuleStatus> rules = engine.rules();
    ASSERT_EQ(rules.size(), 3u);
    EXPECT_EQ(rules[0].state, RuleState::refused);
    EXPECT_EQ(rules[0].why, refusal(refused, kClassB));
    EXPECT_EQ(rules[0].id, std::nullopt);
    EXPECT_EQ(rules[1].state, RuleState::active);
    EXPECT_EQ(rules[1].why, "");
    EXPECT_EQ(rules[1].id, RuleId{0});
    EXPECT_EQ(rules[1].cgroups, Lines{"a"});
    EXPECT_EQ(rules[2].state, RuleState::waiting);
    EXPECT_EQ(rules[2].why, "no cgroup that it names exists at the moment");
    EXPECT_EQ(engine.rule_of(RuleId{1})->rule.name, "late");
    EXPECT_FALSE(engine.rule_of(RuleId{2}));
    EXPECT_EQ(engine.apply(policy), Lines{}) << "said once";
}

TEST_F(EngineTest, RunsARuleThatToleratesNothingWhereTheWitnessWatches) {
    root.make("a");
    datapath.is_watching = true;
    Rule rule = make_rule("r", "a");
    rule.tolerate = {};
    EXPECT_EQ(engine.apply({{}, {rule}}), Lines{"added r"});
    EXPECT_EQ(engine.rules()[0].state, RuleState::active);
}

TEST_F(EngineTest, DoesNotAskForTheWitnessWithoutARule) {
    engine.apply({});
    EXPECT_EQ(datapath.asked_for_witness, 0);
}

TEST_F(EngineTest, DrainsTheOldIdOfAChangedRuleUntilItIsUsedAgain) {
    engine.apply({{}, {make_rule("r", "a"), make_rule("s", "a")}});
    datapath.take_calls();
    EXPECT_EQ(engine.apply({{}, {on_port(make_rule("r", "a"), 80), make_rule("s", "a")}}),
              Lines{"changed r: ports"});
    EXPECT_EQ(datapath.take_calls(), (Lines{"tables r=2 s=1", "drain 0x1 policy", "membership"}));
    engine.apply({{}, {make_rule("s", "a")}});
    EXPECT_EQ(datapath.take_calls(), (Lines{"tables s=1", "drain 0x5 policy", "membership"}));
    engine.apply({{}, {make_rule("s", "a"), make_rule("t", "a")}});
    EXPECT_EQ(datapath.take_calls(), (Lines{"tables s=1 t=2", "drain 0x1 policy", "membership"}));
}

TEST_F(EngineTest, LeavesThePairsOfUnchangedRulesAlone) {
    Rule rule = make_rule("r", "a");
    engine.apply({{}, {rule}});
    datapath.take_calls();
    rule.queue_bytes = 4096;
    EXPECT_EQ(engine.apply({{}, {rule}}), Lines{"changed r: queue"});
    EXPECT_EQ(datapath.take_calls(), (Lines{"tables r=0", "drain 0x0 policy", "membership"}));
    EXPECT_EQ(datapath.tables.rules, (std::vector<PlannedRule>{{RuleId{0}, 0, rule}}));
}

TEST_F(EngineTest, FreesAnIdBeforeAnotherRuleHasIt) {
    root.make("a");
    std::vector<Rule> rules, others;
    for (int i = 0; i < 64; ++i)
        rules.push_back(make_rule("r" + std::to_string(100 + i), "a"));
    others = rules;
    others[3] = make_rule("r103", "b");
    engine.apply({{}, rules});
    datapath.take_calls();
    engine.apply({{}, others});
    const Lines calls = datapath.take_calls();
    ASSERT_EQ(calls.size(), 6u);
    EXPECT_EQ(Lines(calls.begin(), calls.begin() + 3),
              (Lines{"membership a", "drain 0x8 policy", "pass"}));
    EXPECT_EQ(calls[3].substr(0, 6), "tables");
    EXPECT_EQ(calls[4], "drain 0x0 policy");
    EXPECT_EQ(datapath.membership.rules_of,
              (std::map<std::uint64_t, RuleMask>{{root.id_of("a"), ~RuleMask{8}}}));
}

TEST_F(EngineTest, ChangesNothingForAPolicyThatCannotBe) {
    root.make("a");
    const Policy good{{}, {make_rule("r", "a")}};
    engine.apply(good);
    datapath.take_calls();
    Policy bad;
    for (int i = 0; i < 65; ++i)
        bad.rules.push_back(make_rule("r" + std::to_string(i), "a"));
    EXPECT_THROW(engine.apply(bad), PolicyError);
    EXPECT_EQ(datapath.take_calls(), Lines{});
    EXPECT_EQ(engine.policy(), good);
}

TEST_F(EngineTest, PutsTheOldPolicyBackWhenTheKernelFails) {
    root.make("a");
    root.make("b");
    const Policy old{{}, {make_rule("r", "a")}};
    engine.apply(old);
    for (const char* act : {"tables", "drain", "membership"}) {
        datapath.failing = act;
        EXPECT_THROW(engine.apply({{}, {make_rule("r", "b")}}), std::system_error) << act;
        EXPECT_EQ(engine.policy(), old);
        EXPECT_EQ(datapath.tables, compile(old, nullptr));
        EXPECT_EQ(datapath.membership, (Membership{{{root.id_of("a"), 1}}, {"a"}})) << act;
        EXPECT_EQ(engine.rules()[0].cgroups, Lines{"a"});
    }
}

TEST_F(EngineTest, KeepsInMindWhereItCouldNotAttach) {
    int changes = 0;
    engine.on_change([&] { ++changes; });
    datapath.problems = {"a: Operation not permitted"};
    testing::internal::CaptureStderr();
    engine.apply({{}, {make_rule("r", "a")}});
    engine.apply({{}, {make_rule("r", "a"), make_rule("s", "a")}});
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "a: Operation not permitted\n") << "once";
    EXPECT_EQ(engine.problems(), Lines{"a: Operation not permitted"});
    datapath.problems = {};
    engine.apply({{}, {}});
    EXPECT_EQ(engine.problems(), Lines{});
    EXPECT_EQ(changes, 3);
}

TEST_F(EngineTest, LogsAForeignProgramOnceAsLongAsItIsThere) {
    const Policy policy{{}, {make_rule("r", "a/*")}};
    datapath.known_foreign = {"sock_ops program 7 (theirs) on cgroup /a"};
    testing::internal::CaptureStderr();
    engine.apply(policy);
    engine.apply(policy);
    datapath.known_foreign = {};
    engine.apply(policy);
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              "there is a program of others: "
              "sock_ops program 7 (theirs) on cgroup /a\n");
    datapath.known_foreign = {"sk_msg program 8"};
    testing::internal::CaptureStderr();
    const Source make = loop.defer([&] { root.make("a/b"); });
    run_for(50ms);
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              "there is a program of others: sk_msg program 8\n");
    EXPECT_EQ(engine.foreign(), Lines{"sk_msg program 8"});
    EXPECT_EQ(engine.problems(), Lines{});
}

// --- pausing ---

Paused paused(const std::string& rules) {
    return Paused::parse(rules);
}

// Once for each policy and each new cgroup, and not for each pass; at most once a second.
TEST_F(EngineTest, LooksOnceForConnectionsThatWereOpenBefore) {
    root.make("a");
    engine.apply({{}, {make_rule("r", "*")}});
    EXPECT_EQ(datapath.adoptions.size(), 0u) << "only once the links are there";
    std::size_t first = 0;
    Timer pass = loop.timer([&] { datapath.want_pass(); });
    pass.arm(now() + 120ms);
    Timer cgroup = loop.timer([&] {
        first = datapath.adoptions.size();
        EXPECT_GE(datapath.passes.size(), 2u);
        root.make("b");
    });
    cgroup.arm(now() + 300ms);
    run_for(1500ms);
    EXPECT_EQ(first, 1u);
    ASSERT_EQ(datapath.adoptions.size(), 2u);
    EXPECT_GE(datapath.adoptions[1] - datapath.adoptions[0], 1s);
}

TEST_F(EngineTest, GoesOnIfItCannotLookForConnectionsThatWereOpenBefore) {
    root.make("a");
    datapath.failing = "adopt";
    engine.apply({{}, {make_rule("r", "a")}});
    run_for(50ms);
    EXPECT_EQ(datapath.passes.size(), 1u);
}

TEST_F(EngineTest, PausesAtOnceAndLooksAtThePairsAtOnce) {
    root.make("a");
    engine.apply({{}, {make_rule("r", "a"), make_rule("s", "a"), make_rule("t", "b")}});
    int changes = 0;
    engine.on_change([&] { ++changes; });
    datapath.take_calls();
    engine.pause(paused("s\nt\n"));
    EXPECT_EQ(datapath.take_calls(), (Lines{"pause 0x6", "pass"}));
    EXPECT_EQ(engine.rules()[0].state, RuleState::active);
    EXPECT_EQ(engine.rules()[1].state, RuleState::paused);
    EXPECT_EQ(engine.rules()[1].why, "everything goes by TCP until it is resumed");
    EXPECT_EQ(engine.rules()[2].state, RuleState::paused);
    engine.pause(paused("t\n"));
    EXPECT_EQ(datapath.take_calls(), (Lines{"pause 0x4", "pass"}));
    EXPECT_EQ(engine.rules()[1].state, RuleState::active);
    engine.pause(paused("*\n"));
    EXPECT_EQ(datapath.take_calls(), (Lines{"pause 0x7", "pass"}));
    EXPECT_EQ(changes, 3);
}

TEST_F(EngineTest, KeepsARulePausedFromItsVeryBeginning) {
    engine.pause(paused("r\nnosuch\n"));
    EXPECT_EQ(datapath.take_calls(), Lines{});
    engine.apply({{}, {make_rule("r", "a"), make_rule("s", "a")}});
    EXPECT_EQ(datapath.take_calls(),
              (Lines{"pause 0x1", "tables r=0 s=1", "drain 0x0 policy", "membership"}));
    EXPECT_EQ(engine.paused().names(), (std::set<std::string>{"nosuch", "r"}));
}

TEST_F(EngineTest, ARuleThatChangesStaysPaused) {
    engine.apply({{}, {make_rule("r", "a"), make_rule("s", "a")}});
    engine.pause(paused("r\n"));
    datapath.take_calls();
    engine.apply({{}, {on_port(make_rule("r", "a"), 80), make_rule("s", "a")}});
    EXPECT_EQ(datapath.take_calls(), (Lines{"pause 0x5", "tables r=2 s=1", "drain 0x1 policy",
                                            "membership", "pause 0x4"}));
}

TEST_F(EngineTest, EverythingIsAlsoWhatComesLater) {
    engine.pause(paused("*\n"));
    engine.apply({{}, {make_rule("r", "a")}});
    EXPECT_EQ(engine.rules()[0].state, RuleState::paused);
    datapath.take_calls();
    engine.apply({{}, {make_rule("r", "a"), make_rule("s", "a")}});
    EXPECT_EQ(datapath.take_calls()[0], "pause 0x3");
}

TEST_F(EngineTest, ARuleThatIsNotToBePausedIsNotWhenTheKernelFails) {
    root.make("a");
    engine.apply({{}, {make_rule("r", "a")}});
    engine.pause(paused("s\n"));
    datapath.failing = "membership";
    datapath.take_calls();
    EXPECT_THROW(engine.apply({{}, {make_rule("r", "a"), make_rule("s", "a")}}), std::system_error);
    const Lines calls = datapath.take_calls();
    EXPECT_EQ(calls.front(), "pause 0x2");
    EXPECT_EQ(calls.back(), "pause 0x0");
}

// --- the tree ---

TEST_F(EngineTest, TakesInANewCgroupWithoutAReload) {
    engine.apply({{}, {make_rule("r", "a/*")}});
    datapath.take_calls();
    int changes = 0;
    engine.on_change([&] { ++changes; });
    const Source make = loop.defer([&] { root.make("a/b"); });
    run_for(50ms);
    EXPECT_EQ(datapath.membership, (Membership{{{root.id_of("a/b"), 1}}, {"a/b"}}));
    EXPECT_EQ(engine.rules()[0].state, RuleState::active);
    EXPECT_GE(changes, 1);
}

TEST_F(EngineTest, LivesOnWhenANewCgroupCannotBeTakenIn) {
    engine.apply({{}, {make_rule("r", "a/*")}});
    datapath.failing = "membership";
    testing::internal::CaptureStderr();
    const Source make = loop.defer([&] { root.make("a/b"); });
    Lines problems;
    Timer check = loop.timer([&] {
        problems = engine.problems();
        root.make("a/c");
    });
    check.arm(now() + 30ms);
    run_for(80ms);
    const Lines expected = {
        "cgroups that came or went are not taken in: fake: membership a/b: "
        "Operation not permitted"};
    EXPECT_EQ(testing::internal::GetCapturedStderr(), expected[0] + "\n");
    EXPECT_EQ(problems, expected);
    EXPECT_EQ(engine.problems(), Lines{});
    EXPECT_EQ(datapath.membership.links, (Lines{"a/b", "a/c"}));
}

// --- passes ---

TEST_F(EngineTest, RunsOnePassForAPolicyAndNoneAfterIt) {
    engine.apply({{}, {make_rule("r", "a")}});
    run_for(300ms);
    EXPECT_EQ(datapath.passes.size(), 1u);
}

TEST_F(EngineTest, RunsNoPassBeforeThereIsAPolicy) {
    run_for(150ms);
    EXPECT_EQ(datapath.calls, Lines{});
}

TEST_F(EngineTest, RunsPassesAtMostEvery100Milliseconds) {
    const auto at_once = [](Instant at) { return PassResult{at, 1, 0}; };
    datapath.pass_results = {at_once, at_once};
    datapath.want_pass();
    run_for(400ms);
    ASSERT_EQ(datapath.passes.size(), 3u);
    EXPECT_GE(datapath.passes[1] - datapath.passes[0], 100ms);
    EXPECT_GE(datapath.passes[2] - datapath.passes[1], 100ms);
}

TEST_F(EngineTest, RunsTheNextPassWhenThereIsSomethingToDo) {
    datapath.pass_results = {[](Instant at) { return PassResult{at + 200ms, 1, 0}; }};
    datapath.want_pass();
    run_for(350ms);
    ASSERT_EQ(datapath.passes.size(), 2u);
    EXPECT_GE(datapath.passes[1] - datapath.passes[0], 200ms);
}

TEST_F(EngineTest, RunsAPassEarlierWhenWorkComes) {
    datapath.pass_results = {[](Instant at) { return PassResult{at + 1h, 1, 0}; }};
    datapath.want_pass();
    Timer work = loop.timer([&] { datapath.want_pass(); });
    work.arm(now() + 50ms);
    run_for(300ms);
    ASSERT_EQ(datapath.passes.size(), 2u);
    EXPECT_GE(datapath.passes[1] - datapath.passes[0], 100ms);
}

TEST_F(EngineTest, TakesNoMoreThanOneTwentiethOfTheTime) {
    datapath.pass_results = {[](Instant at) {
        const Instant begin = cpu_time();  // a busy host may give it less than the clock says
        while (cpu_time() < begin + 10ms) {
        }
        return PassResult{at, 1, 0};
    }};
    datapath.want_pass();
    run_for(350ms);
    ASSERT_EQ(datapath.passes.size(), 2u);
    EXPECT_GE(datapath.passes[1] - datapath.passes[0], 200ms);
}

// --- events ---

TEST_F(EngineTest, TellsEventsWhileSomebodyListens) {
    std::vector<EventKind> told;
    engine.listen([&](const ConnectionEvent& event) {
        told.push_back(event.kind);
        if (event.kind == EventKind::left)
            engine.listen({});  // from within
    });
    datapath.happen(event_of(EventKind::paired));
    datapath.happen(event_of(EventKind::left));
    Timer later = loop.timer([&] { datapath.happen(event_of(EventKind::enrolled)); });
    later.arm(now() + 20ms);
    run_for(50ms);
    EXPECT_EQ(told, (std::vector<EventKind>{EventKind::paired, EventKind::left}));
    EXPECT_EQ(datapath.calls, (Lines{"events on", "events off"}));
}

TEST_F(EngineTest, CountsForRulesInForceOnly) {
    engine.apply({{}, {make_rule("r", "a")}});
    RuleCounters counters;
    counters.paired = 3;
    datapath.known_counters[RuleId{0}] = counters;
    RuleStatus status = engine.rules()[0];
    EXPECT_EQ(engine.counters(status), counters);
    status.id.reset();
    EXPECT_EQ(engine.counters(status), RuleCounters{});
}

// --- limits ---

TEST_F(EngineTest, ALimitThatAPassMetIsAProblem) {
    root.make("a");
    engine.apply({{}, {make_rule("r", "a")}});
    datapath.known_totals.max_pairs = 8;
    int changes = 0;
    engine.on_change([&] { ++changes; });
    datapath.pass_results = {[&](Instant) {
                                 datapath.known_totals.limit_hits[SA_LIMIT_CONNECTIONS] = 3;
                                 return PassResult{now() + 1ms, 8, 0};
                             },
                             [&](Instant) {
                                 datapath.known_totals.limit_hits[SA_LIMIT_CONNECTIONS] = 4;
                                 return PassResult{};
                             }};
    testing::internal::CaptureStderr();
    run_for(400ms);
    const std::string line =
        "the limit of 8 accelerated connections is reached: 3 connections left in plain TCP; "
        "raise limits.connections and restart sockacceld";
    EXPECT_EQ(testing::internal::GetCapturedStderr(), line + "\n") << "once for both passes";
    EXPECT_EQ(datapath.passes.size(), 2u);
    EXPECT_EQ(engine.problems(), Lines{line});
    EXPECT_EQ(changes, 1);
}

// --- stop ---

TEST_F(EngineTest, StopsWhenTheLastPairHasLeft) {
    const auto two = [](Instant) { return PassResult{{}, 2, 0}; };
    datapath.pass_results = {two, two};
    EXPECT_TRUE(engine.stop(10s).connections.empty());
    EXPECT_EQ(datapath.calls,
              (Lines{"membership", "drain 0xffffffffffffffff stopped", "pass", "pass", "pass"}));
    EXPECT_GE(datapath.passes[2] - datapath.passes[0], 10ms);
}

TEST_F(EngineTest, SaysWhoRemainsWhenItsPatienceIsOver) {
    for (int i = 0; i < 100; ++i)
        datapath.pass_results.emplace_back([](Instant) { return PassResult{{}, 1, 0}; });
    for (const ConnectionState state : {ConnectionState::paired, ConnectionState::draining,
                                        ConnectionState::opening, ConnectionState::enrolled}) {
        Connection connection;
        connection.state = state;
        datapath.known_connections.push_back(connection);
    }
    std::vector<ConnectionState> remaining;
    for (const Connection& connection : engine.stop(30ms).connections)
        remaining.push_back(connection.state);
    EXPECT_EQ(remaining,
              (std::vector<ConnectionState>{ConnectionState::draining, ConnectionState::enrolled}));
    EXPECT_GE(datapath.passes.size(), 2u);
    EXPECT_LT(datapath.passes.size(), 10u);
}

// --- units ---

Rule with_unit(const std::string& name, const std::string& unit) {
    Rule rule = make_rule(name, "none");
    rule.cgroups.clear();
    rule.units = {UnitPattern::parse(unit)};
    return rule;
}

UnitCgroups at(const std::string& unit, std::set<std::string> paths) {
    return {{{UnitPattern::parse(unit), std::move(paths)}}, ""};
}

TEST_F(EngineTest, AttachesWhereTheUnitsAre) {
    root.make("system.slice/a.service");
    engine.take_units(at("a.service", {"system.slice/a.service", "system.slice/a.socket"}));
    EXPECT_EQ(datapath.take_calls(), Lines{}) << "no rule names it yet";
    engine.apply({{}, {with_unit("r", "a.service")}});
    EXPECT_EQ(datapath.membership.links, Lines{"system.slice/a.service"});
    EXPECT_EQ(engine.rules()[0].cgroups, Lines{"system.slice/a.service"});
    EXPECT_EQ(engine.rules()[0].state, RuleState::active);
}

TEST_F(EngineTest, FollowsUnitsWithoutAReload) {
    engine.apply({{}, {with_unit("r", "a*.service")}});
    EXPECT_EQ(engine.rules()[0].state, RuleState::waiting);
    EXPECT_EQ(engine.rules()[0].why, "none of its units runs at the moment");
    datapath.take_calls();
    int changes = 0;
    engine.on_change([&] { ++changes; });
    root.make("x/a1.service");
    const UnitCgroups found = at("a*.service", {"x/a1.service"});
    engine.take_units(found);
    EXPECT_EQ(datapath.take_calls(), Lines{"membership x/a1.service"});
    EXPECT_EQ(engine.rules()[0].state, RuleState::active);
    EXPECT_EQ(changes, 1);
    engine.take_units(found);
    EXPECT_EQ(datapath.take_calls(), Lines{}) << "nothing has changed";
    engine.take_units(at("a*.service", {}));
    EXPECT_EQ(datapath.take_calls(), Lines{"membership"});
}

TEST_F(EngineTest, FollowsTheRestartOfAUnitByItsPath) {
    root.make("a.service");
    engine.take_units(at("a.service", {"a.service"}));
    engine.apply({{}, {with_unit("r", "a.service")}});
    const Membership before = datapath.membership;
    Timer restart = loop.timer([&] {
        root.remove("a.service");
        root.make("other");
        root.make("a.service");
    });
    restart.arm(now());
    run_for(100ms);
    EXPECT_EQ(datapath.membership.links, Lines{"a.service"});
    EXPECT_NE(datapath.membership, before);
}

TEST_F(EngineTest, SaysWhyUnitsAreNotFollowed) {
    Rule both = with_unit("both", "a.service");
    both.cgroups = {CgroupGlob::parse("c")};
    UnitCgroups nobody;
    nobody.problem = "systemd is not on the system bus";
    engine.take_units(nobody);
    engine.apply({{}, {both, with_unit("units", "a.service")}});
    EXPECT_EQ(engine.rules()[0].why,
              "no cgroup that it names exists, and its units are not followed: systemd is not on "
              "the system bus");
    EXPECT_EQ(engine.rules()[1].why,
              "its units are not followed: systemd is not on the system bus");
    EXPECT_EQ(engine.problems(),
              Lines{"the policy's units are not followed: systemd is not on the system bus"});
    engine.take_units({});
    EXPECT_EQ(engine.rules()[0].why,
              "no cgroup that it names exists, and none of its units runs at the moment");
    EXPECT_EQ(engine.problems(), Lines{});
}

}  // namespace
}  // namespace sockaccel
