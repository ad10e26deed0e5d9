// SPDX-License-Identifier: GPL-2.0-or-later
#include "connection.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string_view>

namespace sockaccel {
namespace {

TEST(Reason, HasANameAndAText) {
    EXPECT_EQ(name_of(SA_REASON_NONE), "none");
    EXPECT_EQ(name_of(SA_REASON_NOT_ACCEPTED), "not-accepted");
    EXPECT_EQ(name_of(SA_REASON_STOPPED), "stopped");
    EXPECT_EQ(text_of(SA_REASON_STOPPED), "the service is stopping");
}

TEST(Reason, HasANameOfItsOwn) {
    std::set<std::string_view> names;
    for (int reason = 0; reason < SA_REASON_COUNT; ++reason)
        names.insert(name_of(static_cast<Reason>(reason)));
    EXPECT_EQ(names.size(), static_cast<std::size_t>(SA_REASON_COUNT));
}

TEST(Reason, OfANewerVersionIsUnknown) {
    EXPECT_EQ(name_of(static_cast<Reason>(SA_REASON_COUNT)), "unknown");
}

TEST(ConnectionState, IsNamedAsInTheDocumentation) {
    EXPECT_EQ(to_string(ConnectionState::unpaired), "unpaired");
    EXPECT_EQ(to_string(ConnectionState::paired), "paired");
    EXPECT_EQ(to_string(ConnectionState::opening), "opening");
    EXPECT_EQ(to_string(ConnectionState::enrolled), "enrolled");
    EXPECT_EQ(to_string(ConnectionState::draining), "draining");
}

TEST(EventKind, IsNamedAsInTheDocumentation) {
    EXPECT_EQ(to_string(EventKind::paired), "paired");
    EXPECT_EQ(to_string(EventKind::enrolled), "enrolled");
    EXPECT_EQ(to_string(EventKind::left), "left");
}

}  // namespace
}  // namespace sockaccel
