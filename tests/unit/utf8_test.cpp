// SPDX-License-Identifier: GPL-2.0-or-later
#include "utf8.hpp"

#include <gtest/gtest.h>

namespace sockaccel {
namespace {

TEST(Utf8, KeepsWhatIsValid) {
    EXPECT_EQ(valid_utf8(""), "");
    EXPECT_EQ(valid_utf8("system.slice/a\n\x7f"), "system.slice/a\n\x7f");
    EXPECT_EQ(valid_utf8("\u00e4 \u20ac \U0001f600"), "\u00e4 \u20ac \U0001f600");
}

TEST(Utf8, WritesEachWrongByteAsHex) {
    EXPECT_EQ(valid_utf8("a\xff-b"), "a\\xff-b");
    EXPECT_EQ(valid_utf8("\x80"), "\\x80");                             // continues nothing
    EXPECT_EQ(valid_utf8("\xe2\x82"), "\\xe2\\x82");                    // cut short
    EXPECT_EQ(valid_utf8("\xe2\x82z"), "\\xe2\\x82z");                  // interrupted
    EXPECT_EQ(valid_utf8("\xc0\xaf"), "\\xc0\\xaf");                    // '/' too long
    EXPECT_EQ(valid_utf8("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // a surrogate
    EXPECT_EQ(valid_utf8("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // above U+10FFFF
    EXPECT_EQ(valid_utf8("\xef\xbf\xbe"), "\\xef\\xbf\\xbe");           // U+FFFE
}

TEST(Utf8, ShortensBetweenCharacters) {
    EXPECT_EQ(shortened("abc", 3), "abc");
    EXPECT_EQ(shortened("abcd", 3), "abc...");
    EXPECT_EQ(shortened("a\u20acb", 3), "a...");
    EXPECT_EQ(shortened("\x80\x80", 1), "...");
}

TEST(Utf8, KnowsTheLengthOfACharacter) {
    EXPECT_EQ(utf8_length(""), 0u);
    EXPECT_EQ(utf8_length("ab"), 1u);
    EXPECT_EQ(utf8_length("\u00e4b"), 2u);
    EXPECT_EQ(utf8_length("\u20acb"), 3u);
    EXPECT_EQ(utf8_length("\U0001f600b"), 4u);
    EXPECT_EQ(utf8_length("\xff"), 0u);
}

}  // namespace
}  // namespace sockaccel
