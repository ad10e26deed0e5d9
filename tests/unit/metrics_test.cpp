// SPDX-License-Identifier: GPL-2.0-or-later
#include "metrics.hpp"

#include <gtest/gtest.h>

#include "fake_datapath.hpp"
#include "temporary_directory.hpp"

namespace sockaccel {
namespace {

bool has_line(const std::string& text, const std::string& line) {
    return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

class Metrics : public testing::Test {
  protected:
    std::string text() { return open_metrics(engine, "1.2", "6.1\"x\\y"); }

    TemporaryDirectory root;
    EventLoop loop;
    FakeDatapath datapath;
    CgroupTree cgroups{root.path()};
    Engine engine{loop, datapath, cgroups};
};

TEST_F(Metrics, WithoutARuleEveryFamilyIsThereAndTheTextEnds) {
    const std::string metrics = text();
    EXPECT_TRUE(has_line(metrics, R"(sockaccel_build_info{version="1.2",kernel="6.1\"x\\y"} 1)"))
        << metrics;
    EXPECT_TRUE(has_line(metrics, "# TYPE sockaccel_payload_bytes counter"));
    EXPECT_TRUE(has_line(metrics, "# UNIT sockaccel_payload_bytes bytes"));
    EXPECT_TRUE(has_line(metrics, "sockaccel_pairs_limit 65536"));
    EXPECT_TRUE(has_line(metrics, R"(sockaccel_kernel_state{sockaccel_kernel_state="testing"} 1)"));
    EXPECT_TRUE(metrics.ends_with("\n# EOF\n"));
}

TEST_F(Metrics, ARuleHasItsCountersAndOneStateOfFive) {
    root.make("a.slice");
    Policy policy;
    Rule& rule = policy.rules.emplace_back();
    rule.name = "web";
    rule.cgroups = {CgroupGlob::parse("a.slice")};
    rule.networks = {Network::parse("127.0.0.0/8")};
    engine.apply(policy);
    RuleCounters counters;
    counters.paired = 3;
    counters.enrolled = 2;
    counters.traffic.redirected_bytes = 1000;
    counters.traffic.tcp_bytes = 10;
    counters.traffic.reasons[SA_REASON_ORDER] = 7;
    datapath.known_counters[RuleId{0}] = counters;
    const std::string metrics = text();
    EXPECT_TRUE(has_line(metrics, R"(sockaccel_rule_paired_total{rule="web"} 3)")) << metrics;
    EXPECT_TRUE(
        has_line(metrics, R"(sockaccel_payload_bytes_total{rule="web",path="redirected"} 1000)"));
    EXPECT_TRUE(has_line(metrics, R"(sockaccel_payload_bytes_total{rule="web",path="tcp"} 10)"));
    EXPECT_TRUE(has_line(metrics, R"(sockaccel_left_to_tcp_total{rule="web",reason="order"} 7)"));
    EXPECT_TRUE(
        has_line(metrics, R"(sockaccel_rule_state{rule="web",sockaccel_rule_state="testing"} 1)"));
    EXPECT_TRUE(
        has_line(metrics, R"(sockaccel_rule_state{rule="web",sockaccel_rule_state="active"} 0)"));
}

}  // namespace
}  // namespace sockaccel
