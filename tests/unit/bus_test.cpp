// SPDX-License-Identifier: GPL-2.0-or-later
#include <gtest/gtest.h>

#include <stdexcept>

#include "bus_address.hpp"
#include "bus_names.hpp"

namespace sockaccel {
namespace {

TEST(BusAddress, ReadsTheWellKnownBuses) {
    EXPECT_EQ(BusAddress::parse("system"), (BusAddress{BusAddress::Kind::system, ""}));
    EXPECT_EQ(BusAddress::parse("session"), (BusAddress{BusAddress::Kind::session, ""}));
    EXPECT_EQ(BusAddress::parse("none"), (BusAddress{BusAddress::Kind::none, ""}));
}

TEST(BusAddress, ReadsAnAddress) {
    EXPECT_EQ(BusAddress::parse("unix:path=/run/x"),
              (BusAddress{BusAddress::Kind::address, "unix:path=/run/x"}));
}

TEST(BusAddress, IsWrittenAsItIsRead) {
    for (const char* text : {"system", "session", "none", "unix:path=/run/x"})
        EXPECT_EQ(BusAddress::parse(text).text(), text);
}

TEST(BusAddress, RefusesWhatIsNeitherNameNorAddress) {
    EXPECT_THROW(static_cast<void>(BusAddress::parse("")), std::invalid_argument);
    EXPECT_THROW(static_cast<void>(BusAddress::parse("System")), std::invalid_argument);
}

// The expected values are those of sd_bus_path_encode(3).
TEST(RulePath, EscapesWhatAnObjectPathCannotHold) {
    EXPECT_EQ(rule_path("redis"), "/org/sockaccel1/rule/redis");
    EXPECT_EQ(rule_path("web-1.x_Y"), "/org/sockaccel1/rule/web_2d1_2ex_5fY");
    EXPECT_EQ(rule_path("9"), "/org/sockaccel1/rule/_39");
    EXPECT_EQ(rule_path(""), "/org/sockaccel1/rule/_");
}

}  // namespace
}  // namespace sockaccel
