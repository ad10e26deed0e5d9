// SPDX-License-Identifier: GPL-2.0-or-later
#include "explanation.hpp"

#include <gtest/gtest.h>

#include "advice.hpp"

namespace sockaccel::ctl {
namespace {

RuleReport redis() {
    RuleReport rule;
    rule.name = "redis";
    rule.state = "active";
    rule.action = "accelerate";
    rule.ports = {"6379"};
    rule.networks = {"127.0.0.0/8"};
    rule.selected_cgroups = {"system.slice/redis.service"};
    rule.selected_count = 1;
    return rule;
}

PlainConnection plain() {
    return {Endpoint::parse("127.0.0.1:40000"), Endpoint::parse("127.0.0.1:6379"),
            "system.slice/redis.service/client", "system.slice/redis.service"};
}

std::vector<std::string> criteria(const PlainConnection& connection, const RuleReport& rule) {
    std::vector<std::string> result;
    const std::vector<RuleVerdict> verdicts = judge(connection, {rule});
    for (const Obstacle& obstacle : verdicts.front().obstacles)
        result.push_back(obstacle.criterion);
    return result;
}

using Names = std::vector<std::string>;

TEST(Coverage, ACgroupCoversWhatIsBelow) {
    EXPECT_EQ(criteria(plain(), redis()), Names{});
    PlainConnection connection = plain();
    connection.client_cgroup = "system.slice/redis.service2";
    EXPECT_EQ(criteria(connection, redis()), Names{"cgroup"});
}

TEST(Coverage, TellsEachCriterionThatFails) {
    PlainConnection connection = plain();
    connection.server = Endpoint::parse("[2001:db8::1]:80");
    connection.client_cgroup.reset();
    EXPECT_EQ(criteria(connection, redis()), (Names{"end", "port", "network"}));
    RuleReport refused = redis();
    refused.state = "refused";
    EXPECT_EQ(criteria(plain(), refused), Names{"state"});
}

TEST(Coverage, SaysWhatWouldChangeTheNearestRule) {
    PlainConnection connection = plain();
    connection.client_cgroup = "system.slice/web.service";
    RuleReport far = redis();
    far.name = "far";
    far.ports = {"80"};
    EXPECT_EQ(conclusion(judge(connection, {far, redis()})),
              "In the rule redis: add \"web.service\" to its `units`; then `sockaccelctl reload`, "
              "and reconnect if it stays in TCP.");
    EXPECT_EQ(conclusion({}), "Write a rule that covers it, see sockaccel.toml(5).");
}

TEST(Coverage, SaysOfOneThatMatchesWhyItIsNotListed) {
    const auto verdicts = judge(plain(), {redis()});
    EXPECT_EQ(conclusion(verdicts, 3),
              "redis matches: the connection is looked at from its segment 8 with data on; until "
              "now it has carried 3.");
    for (const std::optional<std::uint64_t> segments :
         {std::optional<std::uint64_t>(8), std::optional<std::uint64_t>()})
        EXPECT_EQ(conclusion(verdicts, segments),
                  "redis matches: the connection was opened before the rule was in force, or its "
                  "other end is not of this host. Reconnect.");
}

TEST(Coverage, RefusesWhatIsNoEnd) {
    for (const char* text : {"", "6379", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "x:1"})
        EXPECT_THROW(static_cast<void>(Endpoint::parse(text)), std::invalid_argument) << text;
    EXPECT_EQ(Endpoint::parse("[::1]:80").text(), "[::1]:80");
}

TEST(Explanation, AnEnrolledConnectionIsAdvisedByItsMainReason) {
    ConnectionReport connection;
    connection.rule = "redis";
    connection.state = "enrolled";
    connection.reason = "none";
    EXPECT_EQ(explain(connection, {}).advice, advice_of("none"));
    connection.client.reasons = {{"queue", 9}, {"order", 1}};
    connection.server.reasons = {{"order", 2}};
    EXPECT_EQ(explain(connection, {}).advice, "queue: " + std::string(advice_of("queue")));
    const std::string text = explanations_text({explain(connection, {})});
    EXPECT_NE(text.find("  accelerated by the rule redis\n"), std::string::npos) << text;
    EXPECT_NE(text.find("    3 order\n    9 queue\n"), std::string::npos) << text;
}

TEST(Explanation, SaysWhetherToTolerateBlockingWouldBeEnough) {
    ConnectionReport connection;
    connection.rule = "redis";
    connection.state = "paired";
    connection.reason = "blocking";
    RuleReport rule = redis();
    const auto advice = [&] { return explain(connection, {rule}).advice; };
    EXPECT_NE(advice().find("add \"blocking\" to the rule's `tolerate`"), std::string::npos)
        << advice();
    connection.besides = "splice";
    EXPECT_NE(advice().find("would not be enough: splice"), std::string::npos) << advice();
    rule.tolerate = {"blocking"};
    EXPECT_NE(advice().find("connect again"), std::string::npos) << advice();
}

TEST(Explanation, LinesFitTheTerminal) {
    ConnectionReport connection;
    connection.state = "paired";
    connection.reason = "splice";
    connection.reason_text = "its program reads with splice(2), which redirect cannot honour";
    const std::string text = explanations_text({explain(connection, {})}, {60, false});
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text.find('\n', at);
        EXPECT_LE(width_of(text.substr(at, end - at)), 60u) << text;
        at = end + 1;
    }
}

}  // namespace
}  // namespace sockaccel::ctl
