// SPDX-License-Identifier: GPL-2.0-or-later
#include "port_set.hpp"

#include <bitset>
#include <random>
#include <stdexcept>

#include <gtest/gtest.h>

namespace sockaccel {
namespace {

using Ranges = std::vector<PortRange>;

Ranges ranges_of(const Ranges& added) {
    PortSet set;
    for (const PortRange range : added)
        set.add(range);
    return set.ranges();
}

std::string refusal(std::string_view text) {
    try {
        return "accepted as " + PortRange::parse(text).text();
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
}

TEST(PortRange, ReadsAPortOrARange) {
    EXPECT_EQ(PortRange::parse("6379"), (PortRange{6379, 6379}));
    EXPECT_EQ(PortRange::parse("7000-7100"), (PortRange{7000, 7100}));
    EXPECT_EQ(PortRange::parse("1-65535"), (PortRange{1, 65535}));
    EXPECT_EQ(PortRange::parse("80-80"), (PortRange{80, 80}));
}

TEST(PortRange, WritesWhatItReads) {
    EXPECT_EQ(PortRange::parse("6379").text(), "6379");
    EXPECT_EQ(PortRange::parse("7000-7100").text(), "7000-7100");
    EXPECT_EQ(PortRange::parse("80-80").text(), "80");
}

TEST(PortRange, SaysWhatIsWrong) {
    EXPECT_EQ(refusal("0"), "port 0 is below 1");
    EXPECT_EQ(refusal("0-10"), "port 0 is below 1");
    EXPECT_EQ(refusal("70000"), "port 70000 is above 65535");
    EXPECT_EQ(refusal("1-65536"), "port 65536 is above 65535");
    EXPECT_EQ(refusal("99999999999999999999"), "port 99999999999999999999 is above 65535");
    EXPECT_EQ(refusal("7100-7000"), "port range 7100-7000 is reversed: did you mean 7000-7100?");
    for (const std::string text :
         {"", "-", "80-", "-80", "http", "80 ", " 80", "80 - 90", "0x50", "+80", "1-2-3", "8o"})
        EXPECT_EQ(refusal(text), "\"" + text +
                                     "\" is neither a port nor a range of ports: write 6379 or "
                                     "\"7000-7100\"");
}

TEST(PortSet, IsEveryPortWhenEmpty) {
    const PortSet set;
    EXPECT_TRUE(set.empty());
    EXPECT_TRUE(set.covers(1));
    EXPECT_TRUE(set.covers(65535));
}

TEST(PortSet, CoversItsRangesAndNothingElse) {
    PortSet set;
    set.add({100, 200});
    set.add({300, 300});
    EXPECT_FALSE(set.covers(99));
    EXPECT_TRUE(set.covers(100));
    EXPECT_TRUE(set.covers(200));
    EXPECT_FALSE(set.covers(201));
    EXPECT_TRUE(set.covers(300));
    EXPECT_FALSE(set.covers(301));
}

TEST(PortSet, KeepsSeparateRangesSorted) {
    EXPECT_EQ(ranges_of({{300, 400}, {1, 10}, {100, 200}}),
              (Ranges{{1, 10}, {100, 200}, {300, 400}}));
}

TEST(PortSet, MergesWhatOverlapsOrTouches) {
    EXPECT_EQ(ranges_of({{10, 20}, {10, 20}}), (Ranges{{10, 20}}));
    EXPECT_EQ(ranges_of({{10, 20}, {15, 30}}), (Ranges{{10, 30}}));
    EXPECT_EQ(ranges_of({{10, 20}, {21, 30}}), (Ranges{{10, 30}}));
    EXPECT_EQ(ranges_of({{21, 30}, {10, 20}}), (Ranges{{10, 30}}));
    EXPECT_EQ(ranges_of({{10, 20}, {22, 30}}), (Ranges{{10, 20}, {22, 30}}));
    EXPECT_EQ(ranges_of({{10, 20}, {22, 30}, {21, 21}}), (Ranges{{10, 30}}));
    EXPECT_EQ(ranges_of({{10, 20}, {30, 40}, {50, 60}, {15, 55}}), (Ranges{{10, 60}}));
    EXPECT_EQ(ranges_of({{65535, 65535}, {1, 65534}}), (Ranges{{1, 65535}}));
}

TEST(PortSet, IsTheSameHoweverItWasMade) {
    PortSet a, b;
    a.add({1, 10});
    b.add({6, 10});
    b.add({1, 5});
    EXPECT_EQ(a, b);
}

TEST(PortSet, AgreesWithABitmapAfterAnyAdditions) {
    std::mt19937 random(1);
    std::uniform_int_distribution<int> port(1, 300), length(0, 12);
    for (int round = 0; round < 200; ++round) {
        PortSet set;
        std::bitset<400> bitmap;
        for (int i = 0; i < 30; ++i) {
            const int first = port(random), last = first + length(random);
            set.add({static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(last)});
            for (int p = first; p <= last; ++p)
                bitmap.set(static_cast<std::size_t>(p));
            for (std::size_t p = 1; p < bitmap.size(); ++p)
                ASSERT_EQ(set.covers(static_cast<std::uint16_t>(p)), bitmap.test(p));
        }
        for (std::size_t i = 1; i < set.ranges().size(); ++i)
            ASSERT_GT(set.ranges()[i].first, set.ranges()[i - 1].last + 1);
    }
}

}  // namespace
}  // namespace sockaccel
