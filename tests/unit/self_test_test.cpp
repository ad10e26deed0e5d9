// SPDX-License-Identifier: GPL-2.0-or-later
#include "self_test.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "fd.hpp"

namespace sockaccel {
namespace {

using namespace std::chrono_literals;
using Tell = std::function<void(const Observation&)>;

class SelfTestTest : public testing::Test {
  protected:
    // The verdict of a test that measures so, and that the loop went on meanwhile.
    KernelVerdict run(const SelfTest::Measure& measure, std::chrono::milliseconds patience = 5s) {
        KernelVerdict result;
        SelfTest test(
            loop, measure,
            [&](const KernelVerdict& verdict, std::chrono::nanoseconds) {
                result = verdict;
                ++verdicts;
                loop.exit(0);
            },
            patience);
        test.start();
        test.start();  // one at a time
        loop.run();
        return result;
    }

    EventLoop loop;
    int verdicts = 0;
};

void tell_all_right(const Tell& tell) {
    for (int i = 0; i < kCheckCount; ++i)
        tell({static_cast<Check>(i), true, "right"});
}

TEST_F(SelfTestTest, GivesTheVerdictOfWhatWasMeasured) {
    const KernelVerdict verdict = run(tell_all_right);
    EXPECT_EQ(verdict.state, KernelVerdict::State::usable);
    EXPECT_EQ(verdict.findings.size(), static_cast<std::size_t>(kCheckCount));
    EXPECT_EQ(verdicts, 1);
}

TEST_F(SelfTestTest, ACrashIsAFindingOfTheCheckThatItHappensIn) {
    const KernelVerdict verdict = run([](const Tell& tell) {
        tell({Check::types, true, "all there"});
        ::raise(SIGKILL);
    });
    EXPECT_EQ(verdict.state, KernelVerdict::State::unusable);
    EXPECT_EQ(verdict.findings[0].result, "all there");
    EXPECT_EQ(verdict.findings[1].result, "here the test was killed by signal 9 (Killed)");
    EXPECT_EQ(verdict.findings[2].result, "not tried");
}

// As on a host that was short of memory when the daemon started.
TEST_F(SelfTestTest, AKernelThatFailsIsTestedAgain) {
    std::vector<KernelVerdict::State> states;
    const auto is_well = [&] { return states.size() >= 2; };
    SelfTest test(
        loop, [&](const Tell& tell) { is_well() ? tell_all_right(tell) : void(); },
        [&](const KernelVerdict& verdict, std::chrono::nanoseconds) {
            states.push_back(verdict.state);
            if (states.size() == 3)
                loop.exit(0);
        },
        5s, 10ms);
    test.start();
    loop.run();
    using State = KernelVerdict::State;
    EXPECT_EQ(states, (std::vector<State>{State::unusable, State::unusable, State::usable}));
}

TEST_F(SelfTestTest, AHangIsAFindingAndEnds) {
    const KernelVerdict verdict = run(
        [](const Tell& tell) {
            tell({Check::types, true, "all there"});
            for (;;)
                ::pause();
        },
        50ms);
    EXPECT_EQ(verdict.findings[1].result, "here the test took more than 50 ms");
    EXPECT_EQ(verdict.state, KernelVerdict::State::unusable);
    // Without SIGKILL this would wait for ever.
    const pid_t child = ::waitpid(-1, nullptr, 0);
    EXPECT_TRUE(child > 0 || errno == ECHILD);
}

TEST_F(SelfTestTest, HoldsNoDescriptorOfTheDaemon) {
    std::array<int, 2> ends{};
    check(::pipe2(ends.data(), O_CLOEXEC), "pipe");
    const Fd out(ends[0]), in(ends[1]);
    const int inherited = in.get();
    const KernelVerdict verdict = run([inherited](const Tell& tell) {
        const bool is_closed = ::fcntl(inherited, F_GETFD) < 0 && errno == EBADF;
        tell({Check::types, is_closed, is_closed ? "closed" : "open"});
    });
    EXPECT_EQ(verdict.findings[0].result, "closed");
}

TEST_F(SelfTestTest, AnExceptionIsAFailure) {
    const KernelVerdict verdict = run([](const Tell&) { throw std::runtime_error("no"); });
    EXPECT_EQ(verdict.flaw.find("types: here the test failed"), 0u) << verdict.flaw;
}

TEST_F(SelfTestTest, CanBeRunAgain) {
    int count = 0;
    SelfTest test(loop, tell_all_right,
                  [&](const KernelVerdict& verdict, std::chrono::nanoseconds) {
                      EXPECT_EQ(verdict.state, KernelVerdict::State::usable);
                      if (++count == 3)
                          loop.exit(0);
                      else
                          test.start();
                  });
    test.start();
    loop.run();
    EXPECT_EQ(count, 3);
}

}  // namespace
}  // namespace sockaccel
