// SPDX-License-Identifier: GPL-2.0-or-later
#include "eligibility.hpp"

#include <gtest/gtest.h>

namespace sockaccel {
namespace {

using State = KernelVerdict::State;

KernelVerdict usable(std::vector<Unhonoured> unhonoured) {
    KernelVerdict verdict;
    verdict.state = State::usable;
    verdict.unhonoured = std::move(unhonoured);
    return verdict;
}

const KernelVerdict kClassB = usable({{Hazard::fionread, "FIONREAD (class B: ...)"},
                                      {Hazard::splice, "splice(2)"},
                                      {Hazard::waitall, "MSG_WAITALL"}});
const KernelVerdict kClassC =
    usable({{Hazard::splice, "splice(2)"}, {Hazard::waitall, "MSG_WAITALL"}});

Rule tolerating(std::set<Hazard> hazards) {
    Rule rule;
    rule.tolerate = std::move(hazards);
    return rule;
}

TEST(Refusal, NamesWhatIsMissingAndTheLineToAdd) {
    EXPECT_EQ(
        refusal(Rule{}, kClassB),
        "on this kernel redirect cannot honour FIONREAD (class B: ...), splice(2) and "
        "MSG_WAITALL, and the witness, which would watch for their use, does not load; if none "
        "of its programs uses them, add: tolerate = [\"fionread\", \"splice\", \"waitall\"]");
    EXPECT_EQ(
        refusal(tolerating({Hazard::fionread, Hazard::waitall, Hazard::stall}), kClassB),
        "on this kernel redirect cannot honour splice(2), and the witness, which would watch for "
        "its use, does not load; if none of its programs uses it, write: "
        "tolerate = [\"fionread\", \"splice\", \"waitall\", \"stall\"]");
    EXPECT_EQ(refusal(tolerating({Hazard::fionread, Hazard::splice, Hazard::waitall}), kClassB),
              "");
}

TEST(Refusal, AsksNobodyToTolerateWhatTheKernelDoesRight) {
    EXPECT_EQ(
        refusal(Rule{}, kClassC),
        "on this kernel redirect cannot honour splice(2) and MSG_WAITALL, and the witness, "
        "which would watch for their use, does not load; if none of its programs uses them, add: "
        "tolerate = [\"splice\", \"waitall\"]");
    EXPECT_EQ(refusal(tolerating({Hazard::splice, Hazard::waitall}), kClassC), "");
    EXPECT_NE(refusal(tolerating({Hazard::splice, Hazard::waitall}), kClassB), "");
    EXPECT_EQ(refusal(Rule{}, usable({})), "");
}

TEST(Refusal, WantsEverythingToleratedOnAKernelThatIsNotKnown) {
    EXPECT_EQ(
        refusal(Rule{}, KernelVerdict{}),
        "on most kernels redirect cannot honour FIONREAD, splice(2) and MSG_WAITALL, and "
        "not all let the witness watch for their use; if none of its programs uses them, add: "
        "tolerate = [\"fionread\", \"splice\", \"waitall\"]");
}

TEST(Refusal, OfAnUnusableKernelIsLiftedByNothing) {
    KernelVerdict unusable;
    unusable.state = State::unusable;
    unusable.flaw = "accounting: counts 0 of 1000 bytes";
    unusable.witness_watches = true;
    Rule rule = tolerating({Hazard::fionread, Hazard::splice, Hazard::waitall});
    EXPECT_EQ(refusal(rule, unusable),
              "the kernel fails the self-test, and no `tolerate` lifts that: "
              "accounting: counts 0 of 1000 bytes");
    rule.action = Action::bypass;
    EXPECT_EQ(refusal(rule, unusable), "");
}

TEST(Refusal, IsLiftedByAWitness) {
    KernelVerdict watched = kClassB;
    watched.witness_watches = true;
    EXPECT_EQ(refusal(Rule{}, watched), "");
}

TEST(Refusal, SparesRulesThatAccelerateNothing) {
    Rule rule;
    for (const Action action : {Action::bypass, Action::observe}) {
        rule.action = action;
        EXPECT_EQ(refusal(rule, kClassB), "");
        EXPECT_EQ(refusal(rule, KernelVerdict{}), "");
    }
}

}  // namespace
}  // namespace sockaccel
