// SPDX-License-Identifier: GPL-2.0-or-later
#include "unit_pattern.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace sockaccel {
namespace {

bool matches(const std::string& pattern, const std::string& unit) {
    return UnitPattern::parse(pattern).matches(unit);
}

TEST(UnitPattern, TakesEachTypeThatHasACgroup) {
    for (const char* text : {"a.service", "a.socket", "a.slice", "-.slice", "a.scope", "a.mount",
                             "a.swap", "a.b.service", "dev-x\\x2dy.swap", "a*.*", "_a:b.service"})
        EXPECT_EQ(UnitPattern::parse(text).text(), text);
    for (const char* text : {"a.target", "a.timer", "a.path", "a.device", "a.automount", "a",
                             "a.Service", "*", "a b.service", "a/b.service", "\u00e9.service"})
        EXPECT_THROW(static_cast<void>(UnitPattern::parse(text)), std::invalid_argument) << text;
}

TEST(UnitPattern, MatchesAsSystemdDoes) {
    EXPECT_TRUE(matches("web@*.service", "web@1.service"));
    EXPECT_TRUE(matches("web@[1-3].service", "web@2.service"));
    EXPECT_FALSE(matches("web@[1-3].service", "web@4.service"));
    EXPECT_FALSE(matches("web@*.service", "web.service"));
    EXPECT_FALSE(matches("web.service", "web-service"));
    EXPECT_TRUE(matches("a\\x2db*.service", "a\\x2dbc.service")) << "a backslash is one";
}

TEST(UnitPattern, MeansAllInstancesByATemplate) {
    const UnitPattern pattern = UnitPattern::parse("web@.service");
    EXPECT_EQ(pattern.text(), "web@.service");
    EXPECT_EQ(pattern.pattern(), "web@*.service");
    EXPECT_TRUE(pattern.is_glob());
    EXPECT_TRUE(pattern.matches("web@1.service"));
    EXPECT_FALSE(UnitPattern::parse("web@1.service").is_glob());
}

// The expected paths are those that systemd 252 makes.
TEST(ExpectedCgroup, IsWhereSystemdPutsIt) {
    EXPECT_EQ(expected_cgroup("redis.service"), "system.slice/redis.service");
    EXPECT_EQ(expected_cgroup("web@1.service"), "system.slice/system-web.slice/web@1.service");
    EXPECT_EQ(expected_cgroup("my-web@1.service"),
              "system.slice/system-my\\x2dweb.slice/my-web@1.service");
    EXPECT_EQ(expected_cgroup("redis.service", "db-fast.slice"),
              "db.slice/db-fast.slice/redis.service");
    EXPECT_EQ(expected_cgroup("redis.service", "-.slice"), "redis.service");
    EXPECT_EQ(expected_cgroup("_x.service"), "system.slice/__x.service");
    EXPECT_EQ(expected_cgroup("a-b-c.slice"), "a.slice/a-b.slice/a-b-c.slice");
    EXPECT_EQ(expected_cgroup("a.slice", "b.slice"), "a.slice");
    EXPECT_EQ(expected_cgroup("-.slice"), "");
}

}  // namespace
}  // namespace sockaccel
