// SPDX-License-Identifier: GPL-2.0-or-later
// What the benchmarks tell of their results. The measuring itself is looked at in the suite bus.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "against.hpp"
#include "chart.hpp"
#include "goals.hpp"
#include "report.hpp"
#include "results.hpp"

namespace sockaccel::bench {
namespace {

using std::chrono::seconds;

std::vector<Sample> samples(const std::vector<std::uint64_t>& rates) {
    std::vector<Sample> samples;
    for (const std::uint64_t rate : rates)
        samples.push_back({rate, seconds(1), seconds(0), seconds(0), seconds(0)});
    return samples;
}

// Against plain TCP's 100.
Row row(const std::string& group, const std::string& name,
        const std::vector<std::uint64_t>& accelerated) {
    Row row;
    row.group = group;
    row.name = name;
    row.unit = "transactions";
    row.state = "enrolled";
    row.enrolled = 1;
    row.samples[Way::plain] = samples(std::vector<std::uint64_t>(accelerated.size(), 100));
    row.samples[Way::accelerated] = samples(accelerated);
    return row;
}

Results results_of_rows(const std::vector<Row>& rows) {
    Results results;
    results.host = {"1.2", "6.1", "a machine", "2026-01-01T00:00:00Z", 2};
    results.rows = rows;
    for (const Row& one : rows)
        results.dates[one.group] = "2026-01-01T00:00:00Z";
    return results;
}

const Goal& goal(const std::string& text) {
    for (const Goal& one : goals())
        if (one.text == text)
            return one;
    throw std::runtime_error("no goal " + text);
}

TEST(BenchResults, AreTheSameWhenTheyAreReadAgain) {
    Results results = results_of_rows({row("requests", "loopback, poll, 64B", {120, 130})});
    results.rows[0].failures[Way::tutorial] = "hangs";
    results.rows[0].redirected = 0.5;
    results.curves = {{"scale", "a pass", "s", "connections", {{"1 rule", {{1000, {0.5, 0.25}}}}}}};
    results.figures = {{"idle", "memory", "bytes", 12}};
    results.omissions = {{"witness", "all", "why"}};
    const std::string json = json_of(results);
    EXPECT_EQ(json_of(results_of(json)), json);
    const Results read = results_of(json);
    EXPECT_EQ(read.rows[0].ratio(Way::accelerated).median, 1.25);
    EXPECT_EQ(read.rows[0].failures.at(Way::tutorial), "hangs");
    EXPECT_EQ(read.curves[0].series[0].points[0].values, (std::vector<double>{0.5, 0.25}));
    EXPECT_THROW(static_cast<void>(results_of("{}")), std::runtime_error);
}

TEST(BenchResults, AGroupThatIsMeasuredAgainReplacesTheFormerOne) {
    Results all = results_of_rows({row("requests", "old", {120}), row("redis", "kept", {120})});
    all.merge(results_of_rows({row("requests", "new", {140})}));
    EXPECT_EQ(all.find("requests", "old"), nullptr);
    EXPECT_NE(all.find("requests", "new"), nullptr);
    EXPECT_NE(all.find("redis", "kept"), nullptr);
}

TEST(BenchResults, OfAnotherKernelAreNotMixed) {
    Results all = results_of_rows({row("requests", "a", {120})});
    Results other = all;
    other.host.kernel = "6.2";
    EXPECT_THROW(all.merge(other), std::runtime_error);
}

TEST(BenchGoals, AreJudgedByTheWorstRow) {
    const Goal& small = goal("request/response of 1 B to 4 KiB");
    const Results results =
        results_of_rows({row("requests", "loopback, poll, 64B", {130, 140, 150}),
                         row("requests", "loopback, poll, 1KiB", {125, 125, 125}),
                         row("requests", "loopback, poll, 64KiB", {100, 100, 100})});
    const Judgement met = judge(small, results);
    EXPECT_EQ(met.outcome, Outcome::met);
    EXPECT_EQ(met.worst->name, "loopback, poll, 1KiB");
    const auto outcome = [&](const std::vector<std::uint64_t>& rates) {
        return judge(small, results_of_rows({row("requests", "loopback, poll, 64B", rates)}))
            .outcome;
    };
    EXPECT_EQ(outcome({110, 115, 120}), Outcome::missed);
    EXPECT_EQ(outcome({110, 130, 140}), Outcome::unsure);
    EXPECT_EQ(judge(small, results_of_rows({})).outcome, Outcome::unmeasured);
}

TEST(BenchGoals, TheWorstOfEverythingLeavesOutBlockingEnds) {
    const Results results = results_of_rows(
        {row("requests", "loopback, blocking, 64B", {50, 50, 50}),
         row("streams", "loopback, 1KiB", {90, 90, 90}), row("redis", "set", {150, 150, 150})});
    const Judgement judgement = judge(goal("the worst of everything"), results);
    EXPECT_EQ(judgement.worst->name, "loopback, 1KiB");
    EXPECT_EQ(judgement.outcome, Outcome::missed);
}

// Each goal is of something that is measured: a name that nothing has would never be missed.
TEST(BenchGoals, NameGroupsThatThereAre) {
    for (const Goal& one : goals()) {
        const bool is_known =
            one.group == "*" || std::ranges::any_of(groups(), [&](const Group& group) {
                return group.name == one.group;
            });
        EXPECT_TRUE(is_known) << one.text;
    }
}

TEST(BenchAgainst, OnlyWhatIsBeyondTheSpreadIsTold) {
    const Results before = results_of_rows(
        {row("requests", "slower", {130, 132, 134}), row("requests", "noisy", {100, 130, 160}),
         row("requests", "same", {130, 132, 134}), row("redis", "faster", {130, 132, 134})});
    const Results after = results_of_rows(
        {row("requests", "slower", {118, 120, 122}), row("requests", "noisy", {90, 115, 150}),
         row("requests", "same", {131, 132, 133}), row("redis", "faster", {150, 152, 154})});
    const std::vector<Change> told = changes(before, after);
    ASSERT_EQ(told.size(), 2U) << text_of(told);
    EXPECT_EQ(told[0].what, "requests: slower");
    EXPECT_TRUE(told[0].is_worse);
    EXPECT_EQ(told[1].what, "redis: faster");
    EXPECT_FALSE(told[1].is_worse);
    EXPECT_EQ(text_of(changes(before, before)), "Nothing differs beyond the spread.\n");
}

TEST(BenchDocument, TheGeneratedPartsAreMadeAnewAndTheRestStays) {
    std::string document =
        "Before.\n<!-- host -->\nold\n<!-- end -->\n<!-- goals -->\n<!-- end -->\n";
    for (const Group& group : groups())
        document += "<!-- " + group.name + " -->\n<!-- end -->\n";
    document += "After.\n";
    const Results results = results_of_rows({row("requests", "loopback, poll, 64B", {130, 130})});
    const std::string filled_once = filled(document, results);
    EXPECT_TRUE(filled_once.starts_with("Before.\n<!-- host -->\nsockaccel 1.2, Linux 6.1"))
        << filled_once;
    EXPECT_EQ(filled_once.find("old"), std::string::npos);
    EXPECT_NE(filled_once.find("| loopback, poll, 64B | 100/s | 1.30 (1.30-1.30) |"),
              std::string::npos)
        << filled_once;
    EXPECT_TRUE(filled_once.ends_with("After.\n"));
    EXPECT_EQ(filled(filled_once, results), filled_once);
    EXPECT_THROW(static_cast<void>(filled("nothing", results)), std::runtime_error);
}

TEST(BenchDocument, ThereIsAPlaceForEachGroup) {
    std::ifstream file(PERFORMANCE_MD);
    std::stringstream document;
    document << file.rdbuf();
    EXPECT_NO_THROW(static_cast<void>(filled(document.str(), results_of_rows({}))));
}

TEST(BenchChart, NamesRowsAndNumbers) {
    const Row one = row("requests", "a & b", {130, 130});
    const std::string svg = ratios_chart({&one}, "Requests");
    for (const char* part : {"a &amp; b", ">accelerated<", "</svg>"})
        EXPECT_NE(svg.find(part), std::string::npos) << part;
    const Curve curve{
        "scale", "a pass", "s", "connections", {{"1 rule", {{1000, {0.001}}, {10000, {0.01}}}}}};
    const std::string drawn = curve_chart(curve);
    for (const char* part : {">a pass<", ">1 rule<", ">10.0k<", ">1 ms<", "</svg>"})
        EXPECT_NE(drawn.find(part), std::string::npos) << part << drawn;
}

}  // namespace
}  // namespace sockaccel::bench
