// SPDX-License-Identifier: GPL-2.0-or-later
#include "rates.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sockaccel::ctl {
namespace {

Snapshot snapshot(std::chrono::seconds at, std::uint64_t redirected, std::uint64_t tcp) {
    Snapshot result{std::chrono::steady_clock::time_point(at), {}};
    RuleReport& rule = result.status.rules.emplace_back();
    rule.name = "redis";
    rule.state = "active";
    rule.redirected_bytes = redirected;
    rule.tcp_bytes = tcp;
    rule.reasons = {{"queue", tcp}, {"order", 1}};
    return result;
}

using namespace std::chrono_literals;

TEST(Rates, ArePerSecond) {
    const RatesReport report = rates(snapshot(10s, 100, 0), snapshot(12s, 4100, 1000));
    ASSERT_EQ(report.rules.size(), 1u);
    EXPECT_DOUBLE_EQ(report.rules[0].redirected_bytes, 2000);
    EXPECT_DOUBLE_EQ(report.rules[0].tcp_bytes, 500);
    EXPECT_DOUBLE_EQ(report.rules[0].redirected_share(), 0.8);
    EXPECT_EQ(report.rules[0].reason, "queue");
}

TEST(Rates, OfARuleWhoseCountersBeganAgainAreNotNegative) {
    const RatesReport report = rates(snapshot(10s, 1000, 0), snapshot(11s, 10, 0));
    EXPECT_DOUBLE_EQ(report.rules[0].redirected_bytes, 10);
}

TEST(Rates, FitEightyColumns) {
    const RatesReport report = rates(snapshot(10s, 0, 0), snapshot(11s, 1ULL << 40, 1ULL << 38));
    const std::string text = rates_screen(report, {80, false});
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text.find('\n', at);
        EXPECT_LE(width_of(text.substr(at, end - at)), 80u) << text;
        at = end + 1;
    }
    EXPECT_NE(text.find("queue"), std::string::npos) << text;
}

TEST(Rates, AsJsonAreOneLineALook) {
    const std::string text = rates_json(rates(snapshot(10s, 0, 0), snapshot(12s, 8, 0)));
    EXPECT_EQ(text.find('\n'), text.size() - 1);
    EXPECT_EQ(nlohmann::json::parse(text)["rules"][0]["redirected_bytes_per_second"], 4.0);
}

}  // namespace
}  // namespace sockaccel::ctl
