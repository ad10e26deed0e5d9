// SPDX-License-Identifier: GPL-2.0-or-later
// What traffic is enrolled, and for how long what does not gain from it has to bear it.
#include <thread>

#include "kernel_test.hpp"
#include "sockaccel.h"

namespace sockaccel::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class Pattern : public KernelTest {
  protected:
    // As fast as it goes, in writes of so many bytes; stops early if `seen` says so. Large ones are
    // read before the next comes.
    template <typename Seen>
    bool stream_until(TcpPair& pair, std::size_t write, std::chrono::milliseconds time, Seen seen) {
        for (const auto end = Clock::now() + slowness() * time; Clock::now() < end;) {
            for (const auto look = Clock::now() + 20ms; Clock::now() < look;)
                send_some(pair, write);
            read_all(pair);
            if (seen())
                return true;
        }
        return false;
    }

    // One way, a small write each millisecond.
    template <typename Seen>
    bool trickle_until(TcpPair& pair, std::chrono::milliseconds time, Seen seen) {
        for (const auto end = Clock::now() + slowness() * time; Clock::now() < end;) {
            for (int write = 0; write < 20; write++) {
                pair.client.send(1024);
                std::this_thread::sleep_for(1ms);
                pair.server.receive(1 << 20);
            }
            if (seen())
                return true;
        }
        return false;
    }

    // Large requests and small answers, with a pause after each, until `seen` says so.
    template <typename Seen>
    bool ask_until(TcpPair& pair, std::chrono::microseconds pause, std::chrono::milliseconds time,
                   Seen seen) {
        for (const auto end = Clock::now() + slowness() * time; Clock::now() < end;) {
            for (int turn = 0; turn < 100; turn++) {
                converse(pair, {.request = request_, .response = 1});
                std::this_thread::sleep_for(pause);
            }
            if (seen())
                return true;
        }
        return false;
    }

    [[nodiscard]] bool is(const TcpPair& pair, const std::string& state,
                          const std::string& reason) {
        const auto seen = find(pair);
        return seen && seen->state == state && seen->reason == reason;
    }

    void ask_until_enrolled(TcpPair& pair, std::chrono::microseconds pause) {
        EXPECT_TRUE(ask_until(pair, pause, 10s, [&] { return is(pair, "enrolled", "none"); }))
            << look(pair).text();
    }

    void ask_until_measured(TcpPair& pair, std::chrono::milliseconds time) {
        EXPECT_TRUE(ask_until(pair, 0us, time, [&] { return is(pair, "paired", "measuring"); }))
            << look(pair).text();
    }

    void ask_until_out(TcpPair& pair, std::chrono::microseconds pause) {
        EXPECT_TRUE(ask_until(pair, pause, 30s, [&] { return is(pair, "paired", "cooling"); }))
            << look(pair).text();
    }

    std::size_t request_ = 256 << 10;

  private:
    static void send_some(TcpPair& pair, std::size_t write) {
        for (std::size_t sent = 0; sent < 64 << 10; sent += write) {
            if (pair.client.send(write) < write)
                break;
        }
        while (pair.server.receive(1 << 20) != 0) {
        }
    }
};

// Slower exchanges are not compared with TCP: so it is where the kernel is emulated.
class Compared : public Pattern {
  protected:
    void SetUp() override {
        Pattern::SetUp();
        if (!is_tcp_fast_enough())
            GTEST_SKIP() << "TCP is too slow here";
    }

  private:
    bool is_tcp_fast_enough() {
        TcpPair plain = connect_pair({.client = Place(other_), .server = Place(other_)});
        constexpr unsigned kTurns = 200;
        const auto begin = Clock::now();
        converse(plain, {.request = request_, .response = 1, .turns = kTurns});
        const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
        return kTurns * request_ >
               std::uint64_t{SA_RATE_LEAST} * static_cast<std::uint64_t>(ms.count());
    }
};

TEST_F(Pattern, AOneWayStreamOfSmallWritesIsOutBeforeTheGateOpens) {
    start_daemon(usual_policy());
    const Listener listener(covered_route());
    TcpPair tried = listener.connect();
    EXPECT_TRUE(stream_until(tried, 1024, 10s, [&] { return is(tried, "paired", "cooling"); }))
        << look(tried).text();
    EXPECT_EQ(counters().at("enrolled"), 0U);

    // Whoever comes next to this port, with the like of it, is not tried for ten seconds, also on a
    // slow machine.
    TcpPair next = listener.connect();
    EXPECT_FALSE(stream_until(next, 1024, std::chrono::milliseconds(5s) / slowness(), [&] {
        const auto seen = find(next);
        return seen && seen->state != "paired";
    })) << look(next).text();
    EXPECT_EQ(look(next).reason, "pattern");

    TcpPair dialogue = listener.connect();
    warm_up(dialogue);
}

TEST_F(Pattern, AStreamOfLargeWritesIsEnrolled) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    EXPECT_TRUE(stream_until(pair, 128 << 10, 10s, [&] { return is(pair, "enrolled", "none"); }))
        << look(pair).text();
    const std::uint64_t before = look(pair).redirected_bytes();
    stream_until(pair, 128 << 10, 500ms, [] { return false; });
    EXPECT_GT(look(pair).redirected_bytes(), before);
}

TEST_F(Compared, LargeRequestsThatAreSlowerThanTheyWereInTcpAreOut) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    ask_until_enrolled(pair, 0us);
    ask_until_out(pair, 1ms);
    EXPECT_GT(look(pair).redirected_bytes(), 0U);
}

// By their segments alone they would be a stream.
TEST_F(Compared, VeryLargeRequestsThatAreSlowerThanTheyWereInTcpAreOut) {
    request_ = 1 << 20;
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    ask_until_enrolled(pair, 0us);
    ask_until_out(pair, 2ms);
    EXPECT_GT(look(pair).redirected_bytes(), 0U);
}

TEST_F(Compared, LargeRequestsAreComparedWithTcpAtItsBest) {
    request_ = 1 << 20;
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    ask_until(pair, 1600us, 110ms / slowness(), [] { return false; });  // until the first look
    ask_until_enrolled(pair, 0us);
    ask_until_out(pair, 1ms);
}

TEST_F(Pattern, LargeRequestsThatAreAsFastAsTheyWereInTcpStay) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    ask_until_enrolled(pair, 100us);
    ask_until(pair, 0us, 3s, [] { return false; });
    EXPECT_TRUE(is(pair, "enrolled", "none")) << look(pair).text();
}

TEST_F(Pattern, LargeRequestsThatAreRareHaveNothingToLose) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    ask_until_enrolled(pair, 1200us);
    ask_until(pair, 2400us, 8s, [] { return false; });
    EXPECT_TRUE(is(pair, "enrolled", "none")) << look(pair).text();
}

TEST_F(Pattern, RequestsThatAlwaysGainAreNotCompared) {
    request_ = 128 << 10;
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    ask_until_enrolled(pair, 0us);
    ask_until(pair, 1ms, 3s, [] { return false; });
    EXPECT_TRUE(is(pair, "enrolled", "none")) << look(pair).text();
}

TEST_F(Compared, LargeRequestsThatBeginOnlyLaterAreMeasuredThen) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    warm_up(pair);
    ask_until_measured(pair, 10s);
    ask_until_enrolled(pair, 0us);
    EXPECT_EQ(counters().at("enrolled"), 2U);
    EXPECT_EQ(counters().at("left"), 1U);
    ask_until_out(pair, 1ms);
}

// It may have been slow at the time.
TEST_F(Compared, TcpIsMeasuredAgain) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    ask_until_enrolled(pair, 400us);
    ask_until(pair, 0us, 10s / slowness(), [] { return false; });
    EXPECT_TRUE(is(pair, "enrolled", "none")) << look(pair).text();
    ask_until_measured(pair, 30s);
    ask_until_enrolled(pair, 0us);
    ask_until_out(pair, 1ms);
}

TEST_F(Pattern, WhatAConnectionDidBeforeItLeftIsNotItsPattern) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    for (int turn = 0; turn < 2000; turn++)
        converse(pair, {});
    warm_up(pair);
    daemon_->manager().Pause("test");
    EXPECT_TRUE(trickle_until(pair, 10s, [&] { return is(pair, "paired", "paused"); }))
        << look(pair).text();
    trickle_until(pair, 1s, [] { return false; });
    daemon_->manager().Resume("test");
    EXPECT_TRUE(trickle_until(pair, 10s, [&] { return is(pair, "paired", "pattern"); }))
        << look(pair).text();
    EXPECT_EQ(counters().at("enrolled"), 1U);
}

// What a reader needs to be woken is switched off while its connection is in TCP, and comes back
// with what it sends.
TEST_F(Pattern, AnEndThatHasSentNothingSinceIsLeftInTcpUntilItSends) {
    start_daemon(usual_policy());
    daemon_->manager().Pause("test");
    TcpPair pair = connect_pair(covered_route());
    EXPECT_TRUE(wait_until([&] {
        converse(pair, {});
        return is(pair, "paired", "paused");
    })) << look(pair).text();
    for (int turn = 0; turn < 100; turn++) {
        converse(pair, {});
        std::this_thread::sleep_for(10ms);
    }
    std::this_thread::sleep_for(500ms);  // else the last answer's delayed acknowledgement follows
    daemon_->manager().Resume("test");
    EXPECT_TRUE(stream_until(pair, 128 << 10, 20s, [&] { return is(pair, "paired", "silent"); }))
        << look(pair).text();
    EXPECT_EQ(counters().at("enrolled"), 0U);
    warm_up(pair);
}

}  // namespace
}  // namespace sockaccel::test
