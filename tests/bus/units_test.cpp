// SPDX-License-Identifier: GPL-2.0-or-later
// `units` of the policy, with a systemd that the test commands. Its units have real cgroups.
#include <memory>
#include <thread>
#include <utility>

#include "bus_test.hpp"
#include "fake_systemd.hpp"

namespace sockaccel::test {
namespace {

constexpr const char* kNobody =
    "the policy's units are not followed: systemd is not on the system bus";

std::string rule_for(const std::string& name, const std::string& units) {
    return "[[rule]]\nname = \"" + name + "\"\nunits = [" + units +
           "]\ntolerate = [\"fionread\", \"splice\", \"waitall\"]\n";
}

class UnitsTest : public ::testing::Test {
  protected:
    // The cgroups that the rule selects become these, soon and without a reload.
    [[nodiscard]] testing::AssertionResult selects(Daemon& daemon, const std::string& rule,
                                                   const std::vector<const TestCgroup*>& cgroups) {
        Names expected;
        for (const TestCgroup* cgroup : cgroups)
            expected.push_back(cgroup->path());
        std::sort(expected.begin(), expected.end());
        const auto proxy = daemon.rule(rule);
        if (wait_until([&] { return proxy->SelectedCgroups() == expected; }))
            return testing::AssertionSuccess();
        auto failure = testing::AssertionFailure() << "it selects:";
        for (const std::string& path : proxy->SelectedCgroups())
            failure << " " << path;
        return failure << "\n" << proxy->Why() << "\n" << daemon.output();
    }

    [[nodiscard]] static FakeSystemd::Unit running_in(const TestCgroup& cgroup) {
        return {.cgroup = "/" + cgroup.path()};
    }

    TestCgroup a_, b_, c_;
};

TEST_F(UnitsTest, WaitForSystemdAndOutliveIt) {
    Daemon daemon(rule_for("r", "\"a.service\""));
    EXPECT_EQ(daemon.manager().Problems(), Names{kNobody});
    EXPECT_EQ(daemon.rule("r")->State(), "waiting");
    EXPECT_EQ(daemon.rule("r")->Why(),
              "its units are not followed: systemd is not on the system bus");
    EXPECT_EQ(daemon.rule("r")->Units(), Names{"a.service"});
    for (int i = 0; i < 2; ++i) {
        const FakeSystemd systemd(daemon.bus(), {{"a.service", running_in(a_)}});
        EXPECT_TRUE(selects(daemon, "r", {&a_}));
        EXPECT_TRUE(wait_until([&] { return daemon.manager().Problems().empty(); }));
        EXPECT_EQ(daemon.rule("r")->State(), "active");
    }
    EXPECT_TRUE(wait_until([&] { return daemon.manager().Problems() == Names{kNobody}; }));
    EXPECT_TRUE(selects(daemon, "r", {&a_})) << "the unit runs on, without its manager";
}

TEST_F(UnitsTest, AreFoundByNameByAliasByGlobAndByTemplate) {
    Daemon daemon(rule_for("name", "\"a.service\"") + rule_for("alias", "\"other.service\"") +
                  rule_for("glob", "\"b*.service\"") + rule_for("template", "\"b@.service\"") +
                  rule_for("scope", "\"c.scope\", \"none.service\""));
    const FakeSystemd systemd(
        daemon.bus(), {{"a.service", {.cgroup = "/" + a_.path(), .aliases = {"other.service"}}},
                       {"b@1.service", running_in(b_)},
                       {"c.scope", running_in(c_)}});
    EXPECT_TRUE(selects(daemon, "name", {&a_}));
    EXPECT_TRUE(selects(daemon, "alias", {&a_}));
    EXPECT_TRUE(selects(daemon, "glob", {&b_}));
    EXPECT_TRUE(selects(daemon, "template", {&b_}));
    EXPECT_TRUE(selects(daemon, "scope", {&c_}));
}

TEST_F(UnitsTest, BringTheSocketsThatTriggerThem) {
    Daemon daemon(rule_for("r", "\"a.service\""));
    FakeSystemd systemd(
        daemon.bus(),
        {{"a.service", {.cgroup = "/" + a_.path(), .triggered_by = {"b.socket", "a.timer"}}},
         {"b.socket", running_in(b_)}});
    EXPECT_TRUE(selects(daemon, "r", {&a_, &b_}));
    systemd.run("a.service", "");
    a_.remove();
    EXPECT_TRUE(selects(daemon, "r", {&b_})) << "a connection is what starts the service";
}

TEST_F(UnitsTest, BringASocketThatIsLoadedSomeTimeBeforeItListens) {
    Daemon daemon(rule_for("r", "\"a.service\""));
    FakeSystemd systemd(daemon.bus());
    EXPECT_TRUE(wait_until([&] { return daemon.manager().Problems().empty(); }));
    const unsigned before = systemd.calls();
    systemd.load("a.service", {.triggered_by = {"b.socket"}});
    systemd.load("b.socket", {});
    EXPECT_TRUE(wait_until([&] { return systemd.calls() > before; }))
        << "it is looked at, too early";
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    systemd.run("b.socket", "/" + b_.path());
    EXPECT_TRUE(selects(daemon, "r", {&b_}));
}

TEST_F(UnitsTest, AreFollowedAsTheyComeAndGo) {
    Daemon daemon(rule_for("glob", "\"b@*.service\"") + rule_for("name", "\"a.service\""));
    FakeSystemd systemd(daemon.bus());
    EXPECT_TRUE(wait_until([&] { return daemon.manager().Problems().empty(); }));
    EXPECT_EQ(daemon.rule("glob")->Why(), "none of its units runs at the moment");

    systemd.load("b@1.service", running_in(b_));  // it runs before anyone is told
    EXPECT_TRUE(selects(daemon, "glob", {&b_}));
    systemd.load("b@2.service", {});
    systemd.run("b@2.service", "/" + c_.path());
    EXPECT_TRUE(selects(daemon, "glob", {&b_, &c_}));
    systemd.unload("b@1.service");
    EXPECT_TRUE(selects(daemon, "glob", {&c_})) << "though its cgroup may still exist";

    systemd.load("a.service", {});
    systemd.run("a.service", "/" + a_.path());
    EXPECT_TRUE(selects(daemon, "name", {&a_}));
    a_.remove();
    EXPECT_TRUE(selects(daemon, "name", {}));
    a_.make();
    EXPECT_TRUE(selects(daemon, "name", {&a_})) << "a restart, without a word from systemd";
    systemd.run("a.service", "/" + b_.path());
    EXPECT_TRUE(selects(daemon, "name", {&b_})) << "another slice";
}

TEST_F(UnitsTest, AreLookedAtAgainWhenSystemdHasReloaded) {
    Daemon daemon(rule_for("r", "\"a.service\""));
    FakeSystemd systemd(daemon.bus(), {{"a.service", running_in(a_)}});
    EXPECT_TRUE(selects(daemon, "r", {&a_}));
    systemd.reload({{"new.service", {.cgroup = "/" + b_.path(), .aliases = {"a.service"}}}});
    EXPECT_TRUE(selects(daemon, "r", {&b_}));
}

TEST_F(UnitsTest, AreThereWhenAReloadOfThePolicyReturns) {
    Daemon daemon(rule("old", c_.path()));
    EXPECT_EQ(daemon.manager().Problems(), Names{}) << "no rule asks for systemd";
    const FakeSystemd systemd(daemon.bus(),
                              {{"a.service", running_in(a_)}, {"b.service", running_in(b_)}});
    daemon.write_policy(rule_for("r", "\"a.service\""));
    daemon.manager().Reload();
    EXPECT_EQ(daemon.rule("r")->SelectedCgroups(), Names{a_.path()});
    daemon.write_policy(rule_for("r", "\"a.service\"") + rule_for("s", "\"b.service\""));
    daemon.manager().Reload();
    EXPECT_EQ(daemon.rule("r")->SelectedCgroups(), Names{a_.path()});
    EXPECT_EQ(daemon.rule("s")->SelectedCgroups(), Names{b_.path()});
}

TEST_F(UnitsTest, AreAskedForAgainWhenSystemdRefusesAtFirst) {
    Daemon daemon(rule_for("r", "\"a.service\", \"b*.service\""));
    FakeSystemd systemd(daemon.bus(), {{"a.service", running_in(a_)}});
    systemd.set_failing(true);
    systemd.reload({{"a.service", running_in(a_)}, {"b1.service", running_in(b_)}});
    const Names expected{"the policy's units are not followed: systemd: not for you"};
    EXPECT_TRUE(wait_until([&] { return daemon.manager().Problems() == expected; }));
    systemd.set_failing(false);
    EXPECT_TRUE(selects(daemon, "r", {&a_, &b_}));
    EXPECT_TRUE(wait_until([&] { return daemon.manager().Problems().empty(); }));
}

// systemd loads a unit to answer for it, and tells everyone: that must not make us ask again.
TEST_F(UnitsTest, AreNotAskedForWithoutEnd) {
    Daemon daemon(rule_for("r", "\"none.service\", \"idle.service\", \"idle*.service\""));
    FakeSystemd systemd(daemon.bus(), {{"idle.service", {.is_loaded = false}}});
    EXPECT_TRUE(wait_until([&] { return daemon.manager().Problems().empty(); }));
    unsigned before = 0;
    EXPECT_TRUE(wait_until([&] { return std::exchange(before, systemd.calls()) == before; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    before = systemd.calls();
    std::this_thread::sleep_for(std::chrono::seconds(1));
    EXPECT_EQ(systemd.calls(), before);
}

// More than a connection may have unanswered calls, or match rules.
TEST_F(UnitsTest, MayBeAThousand) {
    std::map<std::string, FakeSystemd::Unit> units;
    std::vector<std::unique_ptr<TestCgroup>> cgroups;
    std::vector<const TestCgroup*> expected;
    for (int i = 0; i < 1000; ++i) {
        cgroups.push_back(std::make_unique<TestCgroup>(a_, "u" + std::to_string(i)));
        units["u@" + std::to_string(i) + ".service"] = running_in(*cgroups.back());
        expected.push_back(cgroups.back().get());
    }
    Daemon daemon(rule_for("r", "\"u@.service\""));
    const FakeSystemd systemd(daemon.bus(), units);
    EXPECT_TRUE(selects(daemon, "r", expected));
}

}  // namespace
}  // namespace sockaccel::test
