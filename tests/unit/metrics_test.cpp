// SPDX-License-Identifier: GPL-2.0-or-later
#include "metrics.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "fake_datapath.hpp"
#include "temporary_directory.hpp"

namespace sockaccel {
namespace {

bool has_line(const std::string& text, const std::string& line) {
    return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

class MetricsTest : public testing::Test {
  protected:
    std::string text(TextFormat format = TextFormat::openmetrics) { return metrics.text(format); }

    void apply_rule_web() {
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
        const auto add = [this](ConnectionState state, Reason reason, std::uint64_t count) {
            datapath.known_census[{RuleId{0}, state, reason}] = count;
        };
        add(ConnectionState::enrolled, SA_REASON_NONE, 5);
        add(ConnectionState::paired, SA_REASON_BLOCKING, 4);
        add(ConnectionState::paired, SA_REASON_PATTERN, 2);
        add(ConnectionState::draining, SA_REASON_PATTERN, 1);
        datapath.known_census[{RuleId{9}, ConnectionState::enrolled, SA_REASON_NONE}] = 100;
    }

    TemporaryDirectory root;
    EventLoop loop;
    FakeDatapath datapath;
    CgroupTree cgroups{root.path()};
    Engine engine{loop, datapath, cgroups};
    Reloads reloads;
    Metrics metrics{loop, engine, reloads, "1.2", "6.1\"x\\y"};
};

TEST_F(MetricsTest, WithoutARuleEveryFamilyIsThereAndTheTextEnds) {
    const std::string all = text();
    EXPECT_TRUE(has_line(all, R"(sockaccel_build_info{version="1.2",kernel="6.1\"x\\y"} 1)"))
        << all;
    EXPECT_TRUE(has_line(all, "# TYPE sockaccel_payload_bytes counter"));
    EXPECT_TRUE(has_line(all, "# UNIT sockaccel_payload_bytes bytes"));
    EXPECT_TRUE(has_line(all, "sockaccel_pairs_limit 65536"));
    EXPECT_TRUE(has_line(all, R"(sockaccel_kernel_state{sockaccel_kernel_state="testing"} 1)"));
    EXPECT_TRUE(all.ends_with("\n# EOF\n"));
}

TEST_F(MetricsTest, ARuleHasItsCountersAndOneStateOfFive) {
    apply_rule_web();
    const std::string all = text();
    EXPECT_TRUE(has_line(all, R"(sockaccel_rule_paired_total{rule="web"} 3)")) << all;
    EXPECT_TRUE(
        has_line(all, R"(sockaccel_payload_bytes_total{rule="web",path="redirected"} 1000)"));
    EXPECT_TRUE(has_line(all, R"(sockaccel_payload_bytes_total{rule="web",path="tcp"} 10)"));
    EXPECT_TRUE(has_line(all, R"(sockaccel_left_to_tcp_total{rule="web",reason="order"} 7)"));
    EXPECT_TRUE(
        has_line(all, R"(sockaccel_rule_state{rule="web",sockaccel_rule_state="testing"} 1)"));
    EXPECT_TRUE(
        has_line(all, R"(sockaccel_rule_state{rule="web",sockaccel_rule_state="active"} 0)"));
}

TEST_F(MetricsTest, ConnectionsAreCountedByStateAndByWhatStandsAgainstThem) {
    apply_rule_web();
    const std::string all = text();
    EXPECT_TRUE(has_line(all, R"(sockaccel_rule_connections{rule="web",state="enrolled"} 5)"))
        << all;
    EXPECT_TRUE(has_line(all, R"(sockaccel_rule_connections{rule="web",state="paired"} 6)"));
    EXPECT_TRUE(has_line(all, R"(sockaccel_rule_connections{rule="web",state="opening"} 0)"));
    EXPECT_TRUE(has_line(all, R"(sockaccel_rule_not_enrolled{rule="web",reason="blocking"} 4)"));
    EXPECT_TRUE(has_line(all, R"(sockaccel_rule_not_enrolled{rule="web",reason="pattern"} 3)"));
    EXPECT_EQ(all.find(R"(reason="none")"), std::string::npos);
}

TEST_F(MetricsTest, ReloadsAreCountedByWhatBecameOfThem) {
    EXPECT_EQ(reloads.count([] { return 5; }), 5);
    EXPECT_THROW(reloads.count([]() -> int { throw std::runtime_error("no"); }),
                 std::runtime_error);
    EXPECT_THROW(reloads.count([]() -> int { throw std::runtime_error("no"); }),
                 std::runtime_error);
    const std::string all = text();
    EXPECT_TRUE(has_line(all, R"(sockaccel_reloads_total{result="applied"} 1)")) << all;
    EXPECT_TRUE(has_line(all, R"(sockaccel_reloads_total{result="refused"} 2)"));
    EXPECT_TRUE(has_line(all, "sockaccel_reload_duration_seconds_count 1"));
    EXPECT_TRUE(has_line(text(), "sockaccel_scrape_duration_seconds_count 1"));
}

TEST_F(MetricsTest, ConnectionsAreCountedAfterAnAnswerForTheNextOne) {
    apply_rule_web();
    static_cast<void>(text());
    datapath.known_census.clear();
    EXPECT_TRUE(has_line(text(), R"(sockaccel_rule_connections{rule="web",state="enrolled"} 5)"));
    std::this_thread::sleep_for(std::chrono::milliseconds(200));  // counting has its share of time
    EXPECT_TRUE(has_line(text(), R"(sockaccel_rule_connections{rule="web",state="enrolled"} 5)"));
    std::string next;
    Timer later = loop.timer([&] {
        next = text();
        loop.exit(0);
    });
    later.arm(now() + std::chrono::milliseconds(100));
    loop.run();
    EXPECT_TRUE(has_line(next, R"(sockaccel_rule_connections{rule="web",state="enrolled"} 0)"));
}

// promtool is Prometheus's own checker: it parses the text, and finds fault with names and units.
TEST_F(MetricsTest, PromtoolFindsNoFault) {
    if (std::system("command -v promtool >/dev/null") != 0)
        GTEST_SKIP() << "promtool is not installed";
    apply_rule_web();
    const std::filesystem::path file = root.write("metrics", text(TextFormat::prometheus));
    const std::filesystem::path found = root.path() / "found";
    const std::string command =
        "promtool check metrics <" + file.string() + " >" + found.string() + " 2>&1";
    const int status = std::system(command.c_str());
    std::ifstream stream(found);
    const std::string told{std::istreambuf_iterator<char>(stream), {}};
    EXPECT_EQ(status, 0) << told;
    EXPECT_EQ(told, "");
}

}  // namespace
}  // namespace sockaccel
