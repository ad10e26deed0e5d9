// SPDX-License-Identifier: GPL-2.0-or-later
#include "suggestion.hpp"

#include <gtest/gtest.h>

#include "policy.hpp"

namespace sockaccel::ctl {
namespace {

// Half an hour of requests and answers, 500 a second.
ConversationReport conversation() {
    ConversationReport it;
    it.rule = "all";
    it.port = 6379;
    it.connections = 4;
    it.age = std::chrono::minutes(30);
    it.looks = it.eligible = 20;
    it.client.cgroup = "system.slice/web.service";
    it.server.cgroup = "system.slice/redis-server.service";
    for (SideReport* side : {&it.client, &it.server}) {
        side->messages = side->turns = 900'000;
        side->bytes = 90'000'000;
        side->sizes.assign(32, 0);
        side->sizes[6] = 900'000;
    }
    return it;
}

ConversationsReport watched(ConversationReport it) {
    ConversationsReport report;
    report.is_watched = true;
    report.unhonoured = {{"fionread", "FIONREAD (class A)"}, {"splice", "splice(2)"}};
    report.conversations = {std::move(it)};
    return report;
}

std::string refusal(ConversationReport it) {
    const ConversationsReport report = watched(std::move(it));
    return judge(report.conversations[0], report).refusal;
}

std::vector<RuleReport> observing() {
    RuleReport rule;
    rule.name = "all";
    rule.action = "observe";
    rule.networks = {"127.0.0.0/8", "172.17.0.0/16"};
    return {rule};
}

Policy suggested(const ConversationsReport& report, const std::string& prove = "") {
    return parse_policy(suggestion_toml(report, observing(), prove), "s.toml");
}

TEST(Suggestion, IsOneRuleForAServersPort) {
    ConversationsReport report = watched(conversation());
    report.conversations.push_back(conversation());
    report.conversations[1].client.cgroup = "kubepods.slice/pod1/x";
    report.conversations.push_back(conversation());
    report.conversations[2].port = 80;
    const Policy policy = suggested(report, "10s");
    ASSERT_EQ(policy.rules.size(), 2U);
    const Rule& rule = policy.rules[0];
    EXPECT_EQ(rule.name, "redis-server-6379");
    EXPECT_EQ(rule.units, (std::vector{UnitPattern::parse("redis-server.service"),
                                       UnitPattern::parse("web.service")}));
    EXPECT_EQ(rule.cgroups, std::vector{CgroupGlob::parse("/kubepods.slice/pod1/x")});
    EXPECT_TRUE(rule.ports.covers(6379) && !rule.ports.covers(80));
    EXPECT_EQ(rule.networks,
              (std::vector{Network::parse("127.0.0.0/8"), Network::parse("172.17.0.0/16")}));
    EXPECT_EQ(rule.action, Action::accelerate);
    EXPECT_EQ(rule.prove, std::chrono::seconds(10));
    EXPECT_TRUE(rule.tolerate.empty()) << "the witness watches";
    EXPECT_EQ(policy.rules[1].name, "redis-server-80");
}

TEST(Suggestion, IsRefusedWithoutAWitnessUntilSomebodyVouches) {
    ConversationsReport report = watched(conversation());
    report.is_watched = false;
    EXPECT_TRUE(suggested(report).rules.at(0).tolerate.empty());
    const std::string text = suggestion_toml(report, observing(), "");
    EXPECT_NE(text.find("NOT SEEN"), std::string::npos);
    EXPECT_NE(text.find("FIONREAD (class A): strace"), std::string::npos) << text;
    EXPECT_NE(text.find("\n# tolerate = [\"fionread\", \"splice\"]\n"), std::string::npos) << text;
}

TEST(Suggestion, HasNoRuleForWhoSplicesOnAnyKernel) {
    ConversationReport it = conversation();
    it.client.hazards = {"splice"};
    EXPECT_NE(refusal(it).find("the client reads with splice(2)"), std::string::npos);
    ConversationsReport report = watched(it);
    report.unhonoured.clear();
    EXPECT_EQ(suggested(report).rules.size(), 0U);
    it = conversation();
    it.server.hazards = {"oob"};
    EXPECT_NE(refusal(it), "");
}

TEST(Suggestion, ToleratesWhatTheKernelDoesRight) {
    ConversationReport it = conversation();
    it.client.hazards = {"fionread"};
    EXPECT_NE(refusal(it).find("FIONREAD (class A), which this kernel gets wrong"),
              std::string::npos);
    ConversationsReport report = watched(it);
    report.unhonoured.erase("fionread");
    EXPECT_EQ(suggested(report).rules.at(0).tolerate, std::set{Hazard::fionread});
    EXPECT_NE(suggestion_toml(report, observing(), "").find("# tolerate fionread: the witness saw"),
              std::string::npos);
}

TEST(Suggestion, ToleratesEndsThatMayHoldUpEachOther) {
    ConversationReport it = conversation();
    it.eligible = 0;
    it.client.obstacles = {"user-namespace"};
    EXPECT_EQ(suggested(watched(it)).rules.at(0).tolerate, std::set{Hazard::stall});
}

TEST(Suggestion, HasNoRuleForEndsThatBlock) {
    ConversationReport it = conversation();
    it.eligible = 0;
    it.server.obstacles = {"blocking"};
    EXPECT_NE(refusal(it).find("the server blocks"), std::string::npos);
    it.eligible = 1;
    EXPECT_EQ(refusal(it), "") << "some of its connections do not";
    it.eligible = 0;
    it.server.obstacles = {"state", "ulp"};
    EXPECT_EQ(refusal(it), "the server's socket cannot be enrolled: ulp");
}

TEST(Suggestion, HasNoRuleForWhatWouldNotGain) {
    ConversationReport it = conversation();
    it.server.messages = it.server.bytes = 0;
    EXPECT_NE(refusal(it).find("one-way traffic in small writes (64B-128B)"), std::string::npos)
        << refusal(it);
    it.client.bytes = it.client.messages * 40000;
    EXPECT_NE(refusal(it), "") << "nor do these yet";
    it.client.bytes = it.client.messages * 50000;
    EXPECT_EQ(refusal(it), "") << "large writes do";
    it.client.messages = it.client.bytes = 0;
    EXPECT_EQ(refusal(it), "there was no traffic");
    it = conversation();
    it.client.messages = it.server.messages = 900;
    it.client.bytes = it.server.bytes = 90'000;
    EXPECT_NE(refusal(it).find("hardly any traffic: 1.0 messages a second"), std::string::npos)
        << refusal(it);
}

// Health checks are many, and nothing beside the connections that last.
TEST(Suggestion, HasNoRuleForBriefConnectionsIfTheyHaveTheTraffic) {
    ConversationReport it = conversation();
    it.connections = 1000;
    it.closed = it.brief = 996;
    it.brief_bytes = 1'000'000;
    EXPECT_EQ(refusal(it), "");
    it.brief_bytes = 100'000'000;
    EXPECT_NE(refusal(it).find("too short: 996 of 1000"), std::string::npos) << refusal(it);
}

TEST(Suggestion, SaysWhatItDoesNotKnow) {
    ConversationReport it = conversation();
    it.client.cgroup = "";
    EXPECT_NE(refusal(it).find("gone"), std::string::npos);
    it = conversation();
    it.looks = it.eligible = 0;
    EXPECT_NE(refusal(it).find("observe it for longer"), std::string::npos);
    ConversationsReport report;
    report.lost = 2;
    const std::string text = suggestion_toml(report, observing(), "");
    EXPECT_NE(text.find("No traffic was seen"), std::string::npos) << text;
    EXPECT_NE(text.find("2 connections found the table of observations full"), std::string::npos);
}

TEST(Suggestion, NamesCgroupsThatHoldAnything) {
    ConversationReport it = conversation();
    it.server.cgroup = "user.slice/user@1000.service/app.slice/\"x\\\n.service";
    EXPECT_EQ(place_name(it.server.cgroup), "/" + it.server.cgroup);
    const Policy policy = suggested(watched(it));
    EXPECT_EQ(policy.rules.at(0).cgroups.at(0).text(), "/" + it.server.cgroup);
}

}  // namespace
}  // namespace sockaccel::ctl
