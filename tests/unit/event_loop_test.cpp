// SPDX-License-Identifier: GPL-2.0-or-later
#include "event_loop.hpp"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <csignal>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "fd.hpp"

namespace sockaccel {
namespace {

using namespace std::chrono_literals;

Fd make_eventfd(unsigned count) {
    return Fd(check(::eventfd(count, EFD_NONBLOCK | EFD_CLOEXEC), "make an eventfd"));
}

TEST(EventLoop, ReturnsTheStatusOfExit) {
    EventLoop loop;
    const Source source = loop.defer([&] { loop.exit(7); });
    EXPECT_EQ(loop.run(), 7);
}

TEST(EventLoop, ThrowsOnWhatACallbackThrew) {
    EventLoop loop;
    int called = 0;
    const auto fail = [&] {
        ++called;
        throw std::runtime_error("no luck");
    };
    const Source first = loop.defer(fail);
    const Source second = loop.defer(fail);
    try {
        loop.run();
        FAIL() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "no luck");
    }
    EXPECT_EQ(called, 1);
}

TEST(EventLoop, ThrowsOnWhatWantedThrew) {
    EventLoop loop;
    const Fd fd = make_eventfd(0);
    const Source source = loop.on_io(
        fd.get(), []() -> EventLoop::Wanted { throw std::logic_error("undecided"); }, [] {});
    EXPECT_THROW(loop.run(), std::logic_error);
}

TEST(EventLoop, CallsWhenReadableUntilTheSourceIsGone) {
    EventLoop loop;
    const Fd fd = make_eventfd(1);
    int called = 0;
    std::optional<Source> source = loop.on_readable(fd.get(), [&] {
        if (++called == 3)
            source.reset();  // while it runs
    });
    Timer end = loop.timer([&] { loop.exit(0); });
    end.arm(now() + 20ms);
    loop.run();
    EXPECT_EQ(called, 3);
}

TEST(EventLoop, ForgetsASourceThatIsAssignedOver) {
    EventLoop loop;
    std::vector<std::string> calls;
    Source source = loop.defer([&] { calls.emplace_back("old"); });
    source = loop.defer([&] { calls.emplace_back("new"); });
    Timer end = loop.timer([&] { loop.exit(0); });
    end.arm(now() + 5ms);
    loop.run();
    EXPECT_EQ(calls, std::vector<std::string>{"new"});
}

TEST(EventLoop, FiresATimerOnceAndNotEarly) {
    EventLoop loop;
    const auto due = now() + 20ms;
    std::vector<std::chrono::nanoseconds> fired;
    Timer timer = loop.timer([&] { fired.push_back(now()); });
    Timer end = loop.timer([&] { loop.exit(0); });
    timer.arm(due);
    end.arm(due + 50ms);
    loop.run();
    ASSERT_EQ(fired.size(), 1u);
    EXPECT_GE(fired[0], due);
}

TEST(EventLoop, LeavesATimerAloneUntilItIsArmed) {
    EventLoop loop;
    std::vector<std::string> calls;
    Timer never = loop.timer([&] { calls.emplace_back("never armed"); });
    Timer disarmed = loop.timer([&] { calls.emplace_back("disarmed"); });
    Timer unending = loop.timer([&] { calls.emplace_back("for ever"); });
    Timer twice = loop.timer([&] {
        calls.emplace_back("twice");
        if (calls.size() == 1)
            twice.arm(now());
        else
            loop.exit(0);
    });
    disarmed.arm(now());
    disarmed.disarm();
    unending.arm(std::chrono::nanoseconds::max());
    twice.arm(now());
    loop.run();
    EXPECT_EQ(calls, (std::vector<std::string>{"twice", "twice"}));
}

TEST(EventLoop, AsksBeforeEachWaitWhatIsWanted) {
    EventLoop loop;
    const Fd fd = make_eventfd(1);
    std::uint32_t events = 0;
    int called = 0;
    const Source source = loop.on_io(
        fd.get(),
        [&] {
            return EventLoop::Wanted{events, std::chrono::nanoseconds::max()};
        },
        [&] {
            ++called;
            loop.exit(0);
        });
    Timer later = loop.timer([&] {
        EXPECT_EQ(called, 0) << "nothing was wanted";
        events = EPOLLIN;
    });
    later.arm(now() + 10ms);
    loop.run();
    EXPECT_EQ(called, 1);
}

TEST(EventLoop, CallsAtTheTimeThatIsWanted) {
    EventLoop loop;
    const Fd fd = make_eventfd(0);
    const auto due = now() + 15ms;
    std::vector<std::chrono::nanoseconds> called;
    const Source source = loop.on_io(
        fd.get(),
        [&] {
            return EventLoop::Wanted{EPOLLIN, due};
        },
        [&] {
            called.push_back(now());
            if (called.size() == 3)  // the time stays wanted, so it goes on
                loop.exit(0);
        });
    loop.run();
    ASSERT_EQ(called.size(), 3u);
    EXPECT_GE(called[0], due);
}

TEST(EventLoop, TakesSignals) {
    EventLoop loop;
    {
        const Source source = loop.on_signal(SIGUSR1, [&] { loop.exit(3); });
        ::raise(SIGUSR1);
        EXPECT_EQ(loop.run(), 3);
    }
    ::raise(SIGUSR1);  // stays blocked: it would end the process
}

TEST(EventLoop, MayBeOutlivedByItsSources) {
    std::optional<Source> source;
    {
        EventLoop loop;
        source = loop.defer([] {});
    }
    source.reset();
}

}  // namespace
}  // namespace sockaccel
