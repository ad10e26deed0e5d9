// SPDX-License-Identifier: GPL-2.0-or-later
#include "network.hpp"

#include <stdexcept>

#include <gtest/gtest.h>

namespace sockaccel {
namespace {

Address address(std::string_view text) {
    return Address::parse(text).value();
}

std::string refusal(std::string_view text) {
    try {
        return "accepted as " + Network::parse(text).text();
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
}

TEST(Address, KeepsIpv4AsMappedIpv6) {
    const Address expected{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}};
    EXPECT_EQ(address("127.0.0.1"), expected);
    EXPECT_EQ(address("::ffff:127.0.0.1"), expected);
    EXPECT_TRUE(expected.is_ipv4());
    EXPECT_EQ(expected.text(), "127.0.0.1");
}

TEST(Address, IsIpv6OtherwiseEvenIfItEndsLikeIpv4) {
    EXPECT_FALSE(address("::1").is_ipv4());
    EXPECT_FALSE(address("::127.0.0.1").is_ipv4());
    EXPECT_FALSE(address("1::ffff:127.0.0.1").is_ipv4());
    EXPECT_EQ(address("::1").text(), "::1");
    EXPECT_EQ(address("2001:DB8:0:0::1").text(), "2001:db8::1");
}

TEST(Address, RefusesWhatIsNone) {
    for (const std::string_view text :
         {"", "localhost", "1.2.3", "1.2.3.256", "1.2.3.4.5", "1.2.3.04x", " 1.2.3.4", "1.2.3.4 ",
          "::1%lo", "[::1]", ":::", "10.0.0.0/8"})
        EXPECT_EQ(Address::parse(text), std::nullopt) << text;
    EXPECT_EQ(Address::parse(std::string_view("1.2.3.4\0", 8)), std::nullopt);
    EXPECT_EQ(Address::parse(std::string(100'000, '1')), std::nullopt);
}

TEST(Network, ReadsAndWritesPrefixes) {
    for (const std::string_view text : {"10.0.0.0/8", "0.0.0.0/0", "192.168.1.1/32", "10.128.0.0/9",
                                        "::1/128", "::/0", "fe80::/10", "2001:db8::/33"})
        EXPECT_EQ(Network::parse(text).text(), text);
}

TEST(Network, TakesABareAddressAsASingleHost) {
    EXPECT_EQ(Network::parse("172.17.0.1"), Network::parse("172.17.0.1/32"));
    EXPECT_EQ(Network::parse("::1"), Network::parse("::1/128"));
}

TEST(Network, CountsItsPrefixInMappedBits) {
    EXPECT_EQ(Network::parse("10.0.0.0/8").mapped_prefix(), 104U);
    EXPECT_EQ(Network::parse("10.0.0.0/8").address(), address("10.0.0.0"));
    EXPECT_EQ(Network::parse("::/0").mapped_prefix(), 0U);
    EXPECT_EQ(Network::parse("fe80::/10").mapped_prefix(), 10U);
}

TEST(Network, ReadsAMappedPrefixAsIpv4) {
    EXPECT_EQ(Network::parse("::ffff:10.0.0.0/104"), Network::parse("10.0.0.0/8"));
    EXPECT_EQ(Network::parse("::ffff:0:0/96"), Network::parse("0.0.0.0/0"));
    EXPECT_EQ(Network::parse("::ffff:10.0.0.1"), Network::parse("10.0.0.1"));
}

TEST(Network, ContainsItsAddresses) {
    const Network ten = Network::parse("10.128.0.0/9");
    EXPECT_TRUE(ten.contains(address("10.128.0.0")));
    EXPECT_TRUE(ten.contains(address("10.255.255.255")));
    EXPECT_FALSE(ten.contains(address("10.127.255.255")));
    EXPECT_FALSE(ten.contains(address("11.128.0.0")));
    EXPECT_TRUE(Network::parse("::1").contains(address("::1")));
    EXPECT_FALSE(Network::parse("::1").contains(address("::")));
}

TEST(Network, KeepsTheFamiliesApart) {
    EXPECT_TRUE(Network::parse("::/0").contains(address("::1")));
    EXPECT_FALSE(Network::parse("::/0").contains(address("127.0.0.1")));
    EXPECT_FALSE(Network::parse("::/80").contains(address("127.0.0.1")));
    EXPECT_TRUE(Network::parse("0.0.0.0/0").contains(address("127.0.0.1")));
    EXPECT_FALSE(Network::parse("0.0.0.0/0").contains(address("::1")));
    EXPECT_FALSE(Network::parse("::/0").contains(Network::parse("0.0.0.0/0")));
    EXPECT_FALSE(Network::parse("::/0").contains(Network::parse("10.0.0.1")));
}

TEST(Network, ContainsNarrowerNetworksAndItself) {
    const Network ten = Network::parse("10.0.0.0/8");
    EXPECT_TRUE(ten.contains(ten));
    EXPECT_TRUE(ten.contains(Network::parse("10.1.0.0/16")));
    EXPECT_FALSE(Network::parse("10.1.0.0/16").contains(ten));
    EXPECT_FALSE(ten.contains(Network::parse("11.0.0.0/16")));
    EXPECT_TRUE(Network::parse("::/0").contains(Network::parse("fe80::/10")));
}

TEST(Network, SuggestsTheNetworkIfHostBitsAreSet) {
    EXPECT_EQ(refusal("10.1.0.0/8"), "host bits are set: did you mean 10.0.0.0/8?");
    EXPECT_EQ(refusal("10.64.0.0/9"), "host bits are set: did you mean 10.0.0.0/9?");
    EXPECT_EQ(refusal("127.0.0.1/0"), "host bits are set: did you mean 0.0.0.0/0?");
    EXPECT_EQ(refusal("fe80::1/10"), "host bits are set: did you mean fe80::/10?");
    EXPECT_EQ(refusal("::ffff:10.1.0.0/104"), "host bits are set: did you mean 10.0.0.0/8?");
}

TEST(Network, SaysWhatIsWrong) {
    const std::string no_network = "not an IP address or network: write 10.0.0.0/8 or ::1/128";
    for (const std::string_view text : {"", "/", "/8", "localhost", "10.0.0/8", "10/8", "*"})
        EXPECT_EQ(refusal(text), no_network) << text;
    for (const std::string_view text :
         {"10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/ 8", "10.0.0.0/8 ", "10.0.0.0/8/8",
          "10.0.0.0/255.0.0.0", "10.0.0.0/99999999999"})
        EXPECT_EQ(refusal(text), "the prefix length must be a number from 0 to 32") << text;
    for (const std::string_view text : {"::/", "::/129", "::/x"})
        EXPECT_EQ(refusal(text), "the prefix length must be a number from 0 to 128") << text;
    for (const std::string_view text : {"::ffff:10.0.0.0/8", "::ffff:0:0/95"})
        EXPECT_EQ(refusal(text),
                  "the prefix length of a v4-mapped network must be a number from 96 to 128")
            << text;
}

}  // namespace
}  // namespace sockaccel
