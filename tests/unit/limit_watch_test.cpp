// SPDX-License-Identifier: GPL-2.0-or-later
#include "limit_watch.hpp"

#include <gtest/gtest.h>

namespace sockaccel {
namespace {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

Totals totals_with(Limit limit, std::uint64_t hits) {
    Totals totals;
    totals.max_pairs = 8192;
    totals.budget_bytes = 1ULL << 28;
    totals.limit_hits[limit] = hits;
    return totals;
}

TEST(LimitWatch, SaysNothingWhileNothingIsMet) {
    LimitWatch watch;
    EXPECT_EQ(watch.look(Totals{}, 1s), Lines{});
    EXPECT_EQ(watch.next(), std::nullopt) << "nobody is woken for it";
    EXPECT_EQ(watch.problems(), Lines{});
}

TEST(LimitWatch, TellsEachLimitOnceAMinuteWithWhatCameSince) {
    const auto line = [](const std::string& connections) {
        return "the limit of 8192 accelerated connections is reached: " + connections +
               " left in plain TCP; raise limits.connections and restart sockacceld";
    };
    LimitWatch watch;
    EXPECT_EQ(watch.look(totals_with(SA_LIMIT_CONNECTIONS, 1), 100s), Lines{line("1 connection")});
    EXPECT_EQ(watch.look(totals_with(SA_LIMIT_CONNECTIONS, 500), 101s), Lines{});
    EXPECT_EQ(watch.look(totals_with(SA_LIMIT_CONNECTIONS, 1001), 159s), Lines{});
    EXPECT_EQ(watch.next(), std::optional<Instant>(160s));
    EXPECT_EQ(watch.look(totals_with(SA_LIMIT_CONNECTIONS, 1001), 160s),
              Lines{line("1000 connections")});
    EXPECT_EQ(watch.problems(), Lines{line("1000 connections")});
}

TEST(LimitWatch, IsNoProblemAnyMoreAfterAMinuteWithoutIt) {
    LimitWatch watch;
    EXPECT_EQ(watch.look(totals_with(SA_LIMIT_MEMORY, 7), 100s),
              Lines{"limits.memory, 256MiB, is used up by queued data: 7 messages left to TCP; "
                    "raise it, or lower the rules' queue"});
    EXPECT_EQ(watch.problems().size(), 1u);
    EXPECT_EQ(watch.look(totals_with(SA_LIMIT_MEMORY, 7), 160s), Lines{});
    EXPECT_EQ(watch.problems(), Lines{});
    EXPECT_EQ(watch.next(), std::nullopt);
    EXPECT_EQ(watch.look(totals_with(SA_LIMIT_MEMORY, 8), 161s).size(), 1u) << "told at once";
}

TEST(LimitWatch, HoldsBackNoOtherLimit) {
    LimitWatch watch;
    EXPECT_EQ(watch.look(totals_with(SA_LIMIT_TCP_MEMORY, 1), 100s).size(), 1u);
    Totals both = totals_with(SA_LIMIT_TCP_MEMORY, 5);
    both.limit_hits[SA_LIMIT_CGROUP_MEMORY] = 2;
    both.limit_hits[SA_LIMIT_HALVES] = 3;
    EXPECT_EQ(watch.look(both, 101s),
              (Lines{"the table of halves was too small: 3 ends forgotten; raise "
                     "limits.connections and restart sockacceld",
                     "the memory cgroup of a receiver is short of memory: 2 messages left to TCP; "
                     "raise its memory.max"}));
    EXPECT_EQ(watch.next(), std::optional<Instant>(160s)) << "the first one's minute";
}

}  // namespace
}  // namespace sockaccel
