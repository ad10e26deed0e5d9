// SPDX-License-Identifier: GPL-2.0-or-later
#include "run_rules.hpp"

#include <gtest/gtest.h>

#include "policy.hpp"

namespace sockaccel::ctl {
namespace {

RuleReport report(const std::string& name, const std::string& state = "active",
                  const std::string& action = "accelerate") {
    RuleReport rule;
    rule.name = name;
    rule.state = state;
    rule.action = action;
    rule.units = {name + ".service"};
    rule.cgroups = {"/its.slice"};
    rule.ports = {"6379", "7000-7100"};
    rule.networks = {"10.0.0.0/8"};
    rule.tolerate = {"fionread", "splice"};
    return rule;
}

std::string mistake(const RunOptions& options, const std::vector<RuleReport>& rules) {
    try {
        static_cast<void>(run_rules("run-1", "x", options, rules));
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "";
}

TEST(RunRules, CoverTheCommandAndItsConnectionsWithEachRulesPrograms) {
    RunOptions options;
    options.ports = {"80"};
    options.tolerate = {"splice", "waitall"};
    const Policy policy = parse_policy(
        run_rules("run-1", "system.slice/run-1.scope", options,
                  {report("redis"), report("bad", "refused"), report("seen", "active", "observe")}),
        "hold");
    ASSERT_EQ(policy.rules.size(), 2u);
    const Rule& inside = policy.rules[0];
    EXPECT_EQ(inside.name, "run-1");
    EXPECT_EQ(inside.cgroups, std::vector{CgroupGlob::parse("/system.slice/run-1.scope")});
    EXPECT_TRUE(inside.units.empty());
    EXPECT_TRUE(inside.ports.covers(80) && !inside.ports.covers(6379));
    EXPECT_EQ(inside.tolerate, (std::set{Hazard::splice, Hazard::waitall}));
    EXPECT_EQ(inside.prove.count(), 0);

    const Rule& joined = policy.rules[1];
    EXPECT_EQ(joined.name, "run-1.redis");
    EXPECT_EQ(joined.units, std::vector{UnitPattern::parse("redis.service")});
    EXPECT_EQ(joined.cgroups, (std::vector{CgroupGlob::parse("/its.slice"),
                                           CgroupGlob::parse("/system.slice/run-1.scope")}));
    EXPECT_TRUE(joined.ports.covers(7050) && !joined.ports.covers(80));
    EXPECT_EQ(joined.networks, std::vector{Network::parse("10.0.0.0/8")});
    EXPECT_EQ(joined.tolerate, std::set{Hazard::splice}) << "the rule vouches for its programs, "
                                                            "the user for the command";
    Rule least;
    least.priority = -2147483647;
    EXPECT_TRUE(decides_before(least, inside) && decides_before(least, joined))
        << "what was covered before stays with its own rule";
}

TEST(RunRules, JoinTheNamedRulesOnly) {
    RunOptions options;
    options.joined = {"web"};
    const Policy policy =
        parse_policy(run_rules("run-1", "x", options, {report("redis"), report("web")}), "hold");
    ASSERT_EQ(policy.rules.size(), 2u);
    EXPECT_EQ(policy.rules[1].name, "run-1.web");
}

TEST(RunRules, SayWhyARuleCannotBeJoined) {
    RunOptions options;
    options.joined = {"redsi"};
    EXPECT_EQ(mistake(options, {report("redis")}), "there is no rule redsi: did you mean redis?");
    options.joined = {"redis"};
    RuleReport refused = report("redis", "refused");
    refused.why = "of the kernel";
    EXPECT_EQ(mistake(options, {refused}), "rule redis is refused: of the kernel");
    EXPECT_EQ(mistake(options, {report("redis", "active", "bypass")}),
              "rule redis does not accelerate: its action is bypass");
}

}  // namespace
}  // namespace sockaccel::ctl
