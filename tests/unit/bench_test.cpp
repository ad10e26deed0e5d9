// SPDX-License-Identifier: GPL-2.0-or-later
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <tuple>

#include "case.hpp"
#include "compare.hpp"
#include "station.hpp"

namespace sockaccel::bench {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

// A turn's rates, in each way.
struct Rates {
    std::uint64_t plain, accelerated, unix_socket;
};

CaseComparison compared(const Case& what, const std::vector<Rates>& turns) {
    CaseComparison comparison;
    comparison.what = what;
    comparison.state = "enrolled";
    const auto sample = [](std::uint64_t rate) {
        Sample one;
        one.count = rate;
        one.elapsed = std::chrono::seconds(1);
        one.cpu = std::chrono::milliseconds(500);
        one.p50 = std::chrono::microseconds(20);
        one.p99 = std::chrono::microseconds(90);
        return one;
    };
    for (const Rates& rates : turns) {
        comparison.samples[Way::plain].push_back(sample(rates.plain));
        comparison.samples[Way::accelerated].push_back(sample(rates.accelerated));
        comparison.samples[Way::unix_socket].push_back(sample(rates.unix_socket));
    }
    return comparison;
}

constexpr Case kRequest{Pattern::request_response, 64}, kStream{Pattern::stream, 1024};

Result result_of_three() {
    Result result;
    result.host = {"1.2", "6.1", "a & <b>", "2026-01-01T00:00:00Z", 2};
    result.repeat = 3;
    result.sample = milliseconds(100);
    result.comparisons = {
        compared(kRequest, {{10000, 15000, 12000}, {10000, 14000, 12000}, {20000, 28000, 24000}}),
        compared(kStream,
                 {{1000000, 500000, 900000}, {1000000, 550000, 900000}, {1000000, 600000, 900000}}),
        compared({Pattern::stream, 4096},
                 {{1000, 1000, 900}, {1000, 1000, 900}, {1000, 1010, 900}})};
    result.comparisons[2].state = "paired";
    result.comparisons[2].reason = "pattern";
    result.comparisons[2].reason_text = "small writes";
    return result;
}

TEST(BenchCase, SizesAreReadAsPeopleWriteThem) {
    EXPECT_EQ(cases_of_sizes("4KiB,64,64"), (std::vector<Case>{{Pattern::request_response, 64},
                                                               {Pattern::request_response, 4096},
                                                               {Pattern::stream, 64},
                                                               {Pattern::stream, 4096}}));
    for (const char* wrong : {"", "0", "64,", "x", "17MiB",
                              "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,"
                              "16,17"})
        EXPECT_THROW(static_cast<void>(cases_of_sizes(wrong)), std::invalid_argument) << wrong;
}

TEST(BenchCompare, TheSpreadIsTheMedianAndTheQuartiles) {
    const Spread spread = spread_of({5, 1, 2, 4, 3});
    EXPECT_EQ(spread.median, 3);
    EXPECT_EQ(spread.low, 2);
    EXPECT_EQ(spread.high, 4);
}

// The machine became twice as fast between the turns: that says nothing.
TEST(BenchCompare, RatiosAreThoseWithinATurn) {
    const CaseComparison comparison = compared(kRequest, {{100, 150, 50}, {200, 300, 100}});
    EXPECT_EQ(comparison.ratio(Way::accelerated).low, 1.5);
    EXPECT_EQ(comparison.ratio(Way::accelerated).high, 1.5);
    EXPECT_EQ(comparison.ratio(Way::unix_socket).median, 0.5);
}

TEST(BenchCompare, EachWayHasItsTurnToBeTheFirst) {
    Comparison comparison;
    std::string order;
    const auto noted = [&](char name) {
        return [&order, name] {
            order += name;
            return Sample{};
        };
    };
    for (std::size_t turn = 0; turn < 3; ++turn)
        take_turn(
            comparison, turn,
            {{Way::plain, noted('p')}, {Way::accelerated, noted('a')}, {Way::pipes, noted('i')}});
    EXPECT_EQ(order, "paiaipipa");
    EXPECT_EQ(comparison.of(Way::pipes).size(), 3U);
    EXPECT_TRUE(comparison.of(Way::tutorial).empty());
}

TEST(BenchCompare, TheVerdictTakesMoreThanOneGoodTurn) {
    const auto verdict = [](const std::vector<std::uint64_t>& accelerated) {
        std::vector<Rates> turns;
        for (const std::uint64_t rate : accelerated)
            turns.push_back({100, rate, 100});
        return compared(kRequest, turns).verdict();
    };
    EXPECT_EQ(verdict({120, 130, 125}), Verdict::gain);
    EXPECT_EQ(verdict({101, 100, 100}), Verdict::none);
    EXPECT_EQ(verdict({80, 90, 95}), Verdict::loss);
    EXPECT_EQ(verdict({300, 60, 60, 300}), Verdict::unsure);
    EXPECT_EQ(verdict({150, 150}), Verdict::unsure);
}

TEST(BenchReport, SaysInWordsWhereThereIsAGainAndWhereThereIsNone) {
    const std::string text = text_of(result_of_three(), kNoLimit);
    EXPECT_NE(text.find("\nfaster:  request/response of 64B: 1.40 times plain TCP\n"),
              std::string::npos)
        << text;
    EXPECT_NE(text.find("\nSLOWER:  streams in writes of 1KiB: 0.55 times plain TCP\n"),
              std::string::npos);
    EXPECT_NE(text.find("\nno gain: streams in writes of 4KiB: "), std::string::npos);
    EXPECT_NE(text.find("\nIn TCP for the reason pattern: small writes.\n"), std::string::npos);
}

TEST(BenchReport, ANarrowTerminalSeesWhatMattersMost) {
    const std::string wide = text_of(result_of_three(), kNoLimit);
    EXPECT_NE(wide.find("CPU EACH"), std::string::npos);
    const std::string narrow = text_of(result_of_three(), 80);
    EXPECT_EQ(narrow.find("CPU EACH"), std::string::npos) << narrow;
    EXPECT_NE(narrow.find("ACCELERATED/PLAIN"), std::string::npos);
    const std::size_t table = narrow.find("SIZE");
    EXPECT_LE(narrow.find('\n', table) - table, 80U) << narrow;
}

TEST(BenchReport, TheJsonHasEachSample) {
    const auto json = nlohmann::json::parse(json_of(result_of_three()));
    ASSERT_EQ(json["cases"].size(), 3U);
    const auto& one = json["cases"][0];
    EXPECT_EQ(one["pattern"], "request_response");
    EXPECT_EQ(one["bytes"], 64);
    EXPECT_EQ(one["verdict"], "gain");
    EXPECT_EQ(one["accelerated"]["samples_per_second"].size(), 3U);
    EXPECT_EQ(one["accelerated"]["ratio_to_plain"]["median"], 1.4);
    EXPECT_EQ(one["plain"]["p50_seconds"], 20e-6);
    EXPECT_EQ(json["cases"][2]["reason"], "pattern");
}

TEST(BenchReport, ThePictureNamesSizesRatiosAndTheMachine) {
    const std::string svg = svg_of(result_of_three());
    for (const char* part : {">64B<", ">1.40<", ">SLOWER<", ">stays in TCP<", "a &amp; &lt;b>",
                             "One-way streams", "</svg>"})
        EXPECT_NE(svg.find(part), std::string::npos) << part;
}

class BenchStation : public testing::TestWithParam<std::tuple<Transport, Waiting>> {};
INSTANTIATE_TEST_SUITE_P(
    All, BenchStation,
    testing::Combine(testing::Values(Transport::tcp, Transport::unix_socket, Transport::pipes),
                     testing::Values(Waiting::poll, Waiting::epoll, Waiting::blocking)));

TEST_P(BenchStation, MovesBytesInBothPatternsOnEachConnection) {
    const auto [transport, waiting] = GetParam();
    Station station({.transport = transport, .waiting = waiting});
    const auto ports = station.connect(2);
    EXPECT_EQ(ports[0] != 0, transport == Transport::tcp);
    for (std::size_t connection : {0U, 1U, 0U}) {
        const Sample asked =
            station.run(connection, {Pattern::request_response, 5000}, milliseconds(20));
        EXPECT_GT(asked.count, 0U);
        EXPECT_GE(asked.elapsed, milliseconds(20));
        EXPECT_GT(asked.p50.count(), 0);
        EXPECT_GE(asked.p99, asked.p50);
        EXPECT_GT(asked.cpu.count(), 0);
        const Sample streamed = station.run(connection, {Pattern::stream, 3000}, milliseconds(20));
        EXPECT_GT(streamed.count, 3000U);
        EXPECT_GE(streamed.elapsed, milliseconds(20));
    }
}

TEST(BenchStation, ASlowReaderTakesANanosecondForAByte) {
    Station station({.transport = Transport::unix_socket});
    static_cast<void>(station.connect(1));
    const Sample sample = station.run(0, {Pattern::stream, 65536, Reader::slow}, milliseconds(50));
    EXPECT_LT(sample.per_second(), 1.05e9);
}

TEST(BenchStation, TellsWhenItsProcessHasEnded) {
    Station station({.transport = Transport::unix_socket});
    static_cast<void>(station.connect(1));
    ::kill(station.pid(), SIGKILL);
    EXPECT_THROW(static_cast<void>(station.run(0, kRequest, milliseconds(20))), StationError);
}

}  // namespace
}  // namespace sockaccel::bench
