// SPDX-License-Identifier: GPL-2.0-or-later
#include "idle_exit.hpp"

#include <gtest/gtest.h>

namespace sockaccel {
namespace {

using namespace std::chrono_literals;

struct Loop {
    EventLoop loop;
    std::chrono::nanoseconds start = now();

    void end_at(std::chrono::milliseconds time) {
        end = std::make_unique<Timer>(loop.timer([this] { loop.exit(0); }));
        end->arm(start + time);
    }
    std::unique_ptr<Timer> end;
};

TEST(IdleExit, LeavesAfterItsPatience) {
    Loop at;
    std::chrono::nanoseconds left_after{};
    IdleExit idle(
        at.loop, 50ms, [] { return false; },
        [&] {
            left_after = now() - at.start;
            at.loop.exit(0);
        });
    idle.notice();
    at.end_at(10s);
    at.loop.run();
    EXPECT_GE(left_after, 50ms);
}

TEST(IdleExit, ARequestStartsTheTimeAgain) {
    Loop at;
    int left = 0;
    IdleExit idle(
        at.loop, 200ms, [] { return false; },
        [&] {
            left++;
            at.loop.exit(0);
        });
    idle.notice();
    Timer request = at.loop.timer([&] { idle.notice(); });
    request.arm(at.start + 150ms);
    at.end_at(10s);
    at.loop.run();
    EXPECT_EQ(left, 1);
    EXPECT_GE(now() - at.start, 350ms);
}

TEST(IdleExit, WhoIsNeededStays) {
    Loop at;
    int left = 0;
    bool is_needed = true;
    IdleExit idle(
        at.loop, 20ms, [&] { return is_needed; }, [&] { left++; });
    idle.notice();
    at.end_at(100ms);
    at.loop.run();
    EXPECT_EQ(left, 0);
}

}  // namespace
}  // namespace sockaccel
