// SPDX-License-Identifier: GPL-2.0-or-later
#include "cgroup_glob.hpp"

#include <stdexcept>

#include <gtest/gtest.h>

namespace sockaccel {
namespace {

bool matches(std::string_view glob, std::string_view path) {
    return CgroupGlob::parse(glob).matches(path);
}

bool may_match_below(std::string_view glob, std::string_view path) {
    return CgroupGlob::parse(glob).may_match_below(path);
}

std::string refusal(std::string_view text) {
    try {
        return "accepted as " + CgroupGlob::parse(text).text();
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
}

TEST(CgroupGlob, MatchesAPlainPathAndNothingElse) {
    EXPECT_TRUE(matches("system.slice/redis.service", "system.slice/redis.service"));
    EXPECT_FALSE(matches("system.slice/redis.service", "system.slice"));
    EXPECT_FALSE(matches("system.slice/redis.service", "system.slice/redis.service/sub"));
    EXPECT_FALSE(matches("system.slice/redis.service", "system.slice/redisXservice"));
    EXPECT_FALSE(matches("system.slice/redis.service", ""));
}

TEST(CgroupGlob, IgnoresASlashInFrontOrAtTheEnd) {
    EXPECT_TRUE(matches("/a.slice/b", "a.slice/b"));
    EXPECT_TRUE(matches("a.slice/b/", "a.slice/b"));
}

TEST(CgroupGlob, ReadsASingleSlashAsTheRoot) {
    EXPECT_TRUE(matches("/", ""));
    EXPECT_FALSE(matches("/", "a"));
    EXPECT_FALSE(may_match_below("/", ""));
}

TEST(CgroupGlob, MatchesPatternsWithinOneComponent) {
    EXPECT_TRUE(matches("a.slice/web@*.service", "a.slice/web@1.service"));
    EXPECT_FALSE(matches("a.slice/web@*.service", "a.slice/web@1.service/x.service"));
    EXPECT_TRUE(matches("a?c", "abc"));
    EXPECT_TRUE(matches("[ab]x", "bx"));
    EXPECT_FALSE(matches("[!ab]x", "bx"));
    EXPECT_TRUE(matches("[]]x", "]x"));
    EXPECT_TRUE(matches("*", ".hidden"));
    EXPECT_FALSE(matches("*", ""));
    EXPECT_FALSE(matches("*", "a/b"));
}

TEST(CgroupGlob, TakesABackslashLiterallyAsUnitNamesHaveThem) {
    EXPECT_TRUE(matches(R"(system-foo\x2dbar.slice)", R"(system-foo\x2dbar.slice)"));
    EXPECT_FALSE(matches(R"(a\*)", "a*"));
}

TEST(CgroupGlob, MatchesAnyNumberOfComponentsWithTwoStars) {
    EXPECT_TRUE(matches("**/x", "x"));
    EXPECT_TRUE(matches("**/x", "a/x"));
    EXPECT_TRUE(matches("**/x", "a/b/c/x"));
    EXPECT_TRUE(matches("**/x", "x/x"));
    EXPECT_FALSE(matches("**/x", "a/b/y"));
    EXPECT_TRUE(matches("a/**/x", "a/x"));
    EXPECT_TRUE(matches("a/**/x", "a/b/c/x"));
    EXPECT_FALSE(matches("a/**/x", "b/x"));
    EXPECT_TRUE(matches("a/**/**/x", "a/x"));
    EXPECT_TRUE(matches("a/**/b/**/c", "a/b/x/b/c"));
    EXPECT_FALSE(matches("a/**/b/**/c", "a/x/c"));
}

TEST(CgroupGlob, ReadsTwoStarsAtTheEndAsEachChild) {
    EXPECT_TRUE(matches("kubepods.slice/**", "kubepods.slice/pod1"));
    EXPECT_FALSE(matches("kubepods.slice/**", "kubepods.slice"));
    EXPECT_FALSE(matches("kubepods.slice/**", "kubepods.slice/pod1/container"));
    EXPECT_TRUE(matches("**", "system.slice"));
    EXPECT_FALSE(matches("**", ""));
    EXPECT_FALSE(matches("**", "system.slice/a"));
    EXPECT_TRUE(matches("**/a/**", "x/a/b"));
    EXPECT_FALSE(may_match_below("kubepods.slice/**", "kubepods.slice/pod1"));
}

TEST(CgroupGlob, KnowsWhereAMatchMayStillAppear) {
    EXPECT_TRUE(may_match_below("a/b*/c", ""));
    EXPECT_TRUE(may_match_below("a/b*/c", "a"));
    EXPECT_TRUE(may_match_below("a/b*/c", "a/bx"));
    EXPECT_FALSE(may_match_below("a/b*/c", "a/bx/c"));
    EXPECT_FALSE(may_match_below("a/b*/c", "b"));
    EXPECT_FALSE(may_match_below("a/b*/c", "a/c"));
    EXPECT_TRUE(may_match_below("**/x", "any/where"));
    EXPECT_TRUE(may_match_below("**/x", "any/x"));
    EXPECT_TRUE(may_match_below("a/**/x", "a/b/c"));
    EXPECT_FALSE(may_match_below("a/**/x", "b"));
}

TEST(CgroupGlob, IsQuickOnManyStars) {
    std::string glob, path;
    for (int i = 0; i < 200; ++i) {
        glob += "**/a/";
        path += "a/";
    }
    EXPECT_FALSE(matches(glob + "b", path + "c"));
    EXPECT_TRUE(matches(glob + "b", path + "b"));
}

TEST(CgroupGlob, KeepsTheTextOfItsUser) {
    EXPECT_EQ(CgroupGlob::parse("/a/**/").text(), "/a/**/");
    EXPECT_EQ(CgroupGlob::parse("a"), CgroupGlob::parse("a"));
    EXPECT_NE(CgroupGlob::parse("a"), CgroupGlob::parse("b"));
}

TEST(CgroupGlob, SaysWhatIsWrong) {
    EXPECT_EQ(refusal(""), "empty: name a cgroup, such as \"system.slice/redis.service\"");
    for (const std::string_view text : {"//", "a//b", "//a", "a//"})
        EXPECT_EQ(refusal(text), "\"//\": a component is empty") << text;
    for (const std::string_view text : {"..", "a/../b", "../a", ".", "a/./b"})
        EXPECT_EQ(refusal(text), "\".\" and \"..\" cannot be used") << text;
    for (const std::string_view text : {"[", "a[b", "a[b/c]", "[]", "[!", "[!]", "[^]x", "[ab]["})
        EXPECT_EQ(refusal(text), "'[' is not closed") << text;
    for (const std::string_view text : {"a**", "**b/c", "***"})
        EXPECT_EQ(refusal(text), "\"**\" must stand alone between slashes") << text;
    EXPECT_EQ(refusal(std::string_view("a\0b", 3)), "holds a NUL character");
    EXPECT_EQ(refusal(std::string(4096, 'a')), "longer than 4095 bytes");
}

}  // namespace
}  // namespace sockaccel
