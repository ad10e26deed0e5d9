// SPDX-License-Identifier: GPL-2.0-or-later
#include "holds.hpp"

#include <gtest/gtest.h>

namespace sockaccel {
namespace {

std::string rule(const std::string& name, const std::string& more = {}) {
    return "[[rule]]\nname = \"" + name + "\"\ncgroups = [\"a\"]\n" + more;
}

std::vector<std::string> names_of(const Policy& policy) {
    std::vector<std::string> names;
    for (const Rule& one : policy.rules)
        names.push_back(one.name);
    return names;
}

template <typename Act>
std::string refusal_of(Act act) {
    try {
        static_cast<void>(act());
    } catch (const PolicyError& error) {
        return error.what();
    }
    return "";
}

using Names = std::vector<std::string>;

TEST(Holds, AreAddedInDecidingOrderAndGoWithTheirHolder) {
    const Policy files = parse_policy(rule("b") + rule("d"), "p.toml");
    Holds holds;
    EXPECT_EQ(holds.add(":1.1", rule("c") + rule("last", "priority = -1\n")), (Names{"c", "last"}));
    EXPECT_EQ(holds.add(":1.2", rule("a")), Names{"a"});
    EXPECT_EQ(names_of(holds.added_to(files)), (Names{"a", "b", "c", "d", "last"}));
    EXPECT_EQ(holds.holder_of("last"), ":1.1");
    EXPECT_EQ(holds.holder_of("b"), "");
    EXPECT_TRUE(holds.release(":1.1"));
    EXPECT_FALSE(holds.release(":1.1"));
    EXPECT_EQ(names_of(holds.added_to(files)), (Names{"a", "b", "d"}));
}

TEST(Holds, RefuseANameThatIsTaken) {
    Holds holds;
    holds.add(":1.1", rule("a"));
    EXPECT_EQ(refusal_of([&] { return holds.add(":1.2", rule("x") + rule("a")); }),
              "hold: rule a is held already, by :1.1");
    EXPECT_EQ(holds.holder_of("x"), "");
    const Policy files = parse_policy(rule("a"), "p.toml");
    EXPECT_EQ(refusal_of([&] { return holds.added_to(files); }),
              "rule a is in the policy's files, and held by :1.1: one of them has to have another "
              "name");
}

TEST(Holds, TakeRulesAndNothingElse) {
    Holds holds;
    EXPECT_EQ(
        refusal_of([&] { return holds.add(":1.1", "[[rule]]\nname = \"a\"\n"); }).substr(0, 8),
        "hold:1:1");
    EXPECT_EQ(refusal_of([&] { return holds.add(":1.1", "[limits]\nconnections = 7\n"); }),
              "hold: limits are the host's: a hold has rules alone");
    EXPECT_EQ(refusal_of([&] { return holds.add(":1.1", ""); }), "hold: there is no rule in it");
    EXPECT_EQ(refusal_of([&] {
                  return holds.add(":1.1", rule("a") + "#" + std::string(kMaxHoldBytes, ' '));
              }),
              "hold: its text is longer than 1MiB");
    EXPECT_FALSE(holds.release(":1.1"));
}

}  // namespace
}  // namespace sockaccel
