// SPDX-License-Identifier: GPL-2.0-or-later
#include "eligibility.hpp"

#include <gtest/gtest.h>

namespace sockaccel {
namespace {

TEST(Refusal, NamesWhatIsMissingAndTheLineToAdd) {
    Rule rule;
    EXPECT_EQ(refusal(rule, false),
              "redirect cannot honour FIONREAD, splice(2) and MSG_WAITALL, and nothing watches for "
              "their use where the kernel does not let the witness load; if none of its programs "
              "uses them, add: "
              "tolerate = [\"fionread\", \"splice\", \"waitall\"]");
    rule.tolerate = {Hazard::fionread, Hazard::waitall, Hazard::stall};
    EXPECT_EQ(refusal(rule, false),
              "redirect cannot honour splice(2), and nothing watches for its use where the "
              "kernel does not let the witness load; if none of its programs uses it, write: "
              "tolerate = [\"fionread\", \"splice\", \"waitall\", \"stall\"]");
    rule.tolerate = {Hazard::fionread, Hazard::splice, Hazard::waitall};
    EXPECT_EQ(refusal(rule, false), "");
}

TEST(Refusal, NeedsNoToleranceWhereTheWitnessWatches) {
    EXPECT_EQ(refusal(Rule{}, true), "");
}

TEST(Refusal, SparesRulesThatAccelerateNothing) {
    Rule rule;
    rule.action = Action::bypass;
    EXPECT_EQ(refusal(rule, false), "");
    rule.action = Action::observe;
    EXPECT_EQ(refusal(rule, false), "");
}

}  // namespace
}  // namespace sockaccel
