// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel_verdict.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace sockaccel {
namespace {

using State = KernelVerdict::State;

// All right, but for these.
std::vector<Observation> observed(const std::vector<Check>& wrong) {
    std::vector<Observation> observations;
    for (int i = 0; i < kCheckCount; ++i) {
        const auto check = static_cast<Check>(i);
        const bool ok = std::find(wrong.begin(), wrong.end(), check) == wrong.end();
        observations.push_back({check, ok, ok ? "as it should be" : "otherwise"});
    }
    return observations;
}

KernelVerdict verdict(const std::vector<Check>& wrong) {
    return judge(observed(wrong), "");
}

Finding finding_of(const KernelVerdict& verdict, Check check) {
    return verdict.findings.at(static_cast<std::size_t>(check));
}

TEST(KernelVerdict, OfAKernelThatDoesAllRightDoubtsNothing) {
    const KernelVerdict right = verdict({});
    EXPECT_EQ(right.state, State::usable);
    EXPECT_EQ(right.flaw, "");
    EXPECT_EQ(right.unhonoured, std::vector<Unhonoured>{});
    EXPECT_TRUE(right.has_fentry);
    ASSERT_EQ(right.findings.size(), static_cast<std::size_t>(kCheckCount));
    EXPECT_EQ(finding_of(right, Check::end_of_file),
              (Finding{"end-of-file", "as it should be", "", true}));
}

TEST(KernelVerdict, OfAnUnknownKernelDoubtsEverything) {
    const KernelVerdict unknown;
    EXPECT_EQ(unknown.state, State::untested);
    EXPECT_EQ(unknown.unhonoured.size(), 3u);
    EXPECT_FALSE(unknown.has_fentry);
    EXPECT_FALSE(unknown.witness_watches);
}

TEST(KernelVerdict, RefusesEverythingWhereWhatItStandsOnIsWrong) {
    for (const Check check : {Check::types, Check::table, Check::order, Check::accounting,
                              Check::end_of_file, Check::half_close, Check::removal}) {
        const KernelVerdict wrong = verdict({check});
        EXPECT_EQ(wrong.state, State::unusable) << to_string(check);
        EXPECT_EQ(wrong.flaw, std::string(to_string(check)) + ": otherwise");
        EXPECT_EQ(finding_of(wrong, check), (Finding{std::string(to_string(check)), "otherwise",
                                                     "nothing is accelerated", false}));
    }
    EXPECT_EQ(verdict({Check::order, Check::removal}).flaw, "order: otherwise; removal: otherwise");
}

TEST(KernelVerdict, NarrowsWhereOnlySomeProgramsWouldSuffer) {
    for (const Check check :
         {Check::fionread_redirected, Check::fionread_plain, Check::fionread_both, Check::blocking,
          Check::full_buffer, Check::splice, Check::waitall, Check::fentry})
        EXPECT_EQ(verdict({check}).state, State::usable) << to_string(check);
    EXPECT_EQ(verdict({Check::splice}).unhonoured,
              (std::vector<Unhonoured>{{Hazard::splice, "splice(2)"}}));
    EXPECT_EQ(finding_of(verdict({Check::splice}), Check::splice).consequence,
              "a rule has to tolerate \"splice\"");
    EXPECT_EQ(verdict({Check::waitall}).unhonoured,
              (std::vector<Unhonoured>{{Hazard::waitall, "MSG_WAITALL"}}));
    EXPECT_EQ(verdict({Check::blocking}).unhonoured, std::vector<Unhonoured>{});
    EXPECT_TRUE(verdict({Check::full_buffer}).drops_above_buffer);
    EXPECT_FALSE(verdict({Check::splice}).drops_above_buffer);
    EXPECT_FALSE(verdict({Check::fentry}).has_fentry);
    EXPECT_EQ(verdict({Check::fentry}).unhonoured, std::vector<Unhonoured>{});
}

TEST(KernelVerdict, TellsTheClassesOfFionreadApart) {
    const auto named = [](const std::vector<Check>& wrong) {
        return verdict(wrong).unhonoured.at(0).name;
    };
    EXPECT_EQ(named({Check::fionread_redirected, Check::fionread_both}),
              "FIONREAD (class A: redirected bytes are not counted)");
    EXPECT_EQ(named({Check::fionread_plain, Check::fionread_both}),
              "FIONREAD (class B: bytes by TCP are not counted)");
    EXPECT_EQ(named({Check::fionread_both}), "FIONREAD (of no known class)");
    EXPECT_EQ(named({Check::fionread_plain, Check::fionread_redirected, Check::fionread_both}),
              "FIONREAD (of no known class)");
    EXPECT_EQ(verdict({Check::fionread_plain, Check::fionread_both}).unhonoured.size(), 1u);
    EXPECT_EQ(finding_of(verdict({Check::fionread_plain}), Check::fionread_plain).consequence,
              "a rule has to tolerate \"fionread\" (class B: bytes by TCP are not counted)");
}

TEST(KernelVerdict, TakesWhatWasNotObservedForWrong) {
    std::vector<Observation> begun = observed({});
    begun.resize(static_cast<std::size_t>(Check::removal));
    const KernelVerdict cut = judge(begun, "the test was killed by signal 11");
    EXPECT_EQ(cut.state, State::unusable);
    EXPECT_EQ(cut.flaw, "removal: here the test was killed by signal 11");
    EXPECT_EQ(finding_of(cut, Check::splice).result, "not tried");
    EXPECT_EQ(cut.unhonoured, (std::vector<Unhonoured>{{Hazard::splice, "splice(2)"},
                                                       {Hazard::waitall, "MSG_WAITALL"}}));
    EXPECT_FALSE(cut.has_fentry);
    EXPECT_EQ(judge({}, "").state, State::unusable);
}

TEST(Observation, SurvivesThePipe) {
    const Observation seen{Check::fionread_plain, false, "counts 0 of\t1 bytes"};
    EXPECT_EQ(seen.line(), "fionread-plain\twrong\tcounts 0 of\t1 bytes");
    EXPECT_EQ(Observation::parse(seen.line()), seen);
    EXPECT_EQ((Observation{Check::types, true, "two\nlines"}).line(), "types\tright\ttwo lines");
    for (const char* line : {"", "types", "types\tright", "nothing\tright\t", "types\tmaybe\t"})
        EXPECT_EQ(Observation::parse(line), std::nullopt) << line;
}

}  // namespace
}  // namespace sockaccel
