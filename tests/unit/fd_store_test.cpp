// SPDX-License-Identifier: GPL-2.0-or-later
#include "fd_store.hpp"

#include <gtest/gtest.h>

namespace sockaccel {
namespace {

TEST(StoredName, TellsAbiAndName) {
    const StoredName name{12, "map.pairs"};
    EXPECT_EQ(name.text(), "sockaccel.12.map.pairs");
    EXPECT_EQ(StoredName::parse("sockaccel.12.map.pairs"), name);
}

TEST(StoredName, OfOthersIsNone) {
    for (const char* other :
         {"", "stored", "connection", "sockaccel.socket", "sockaccel.", "sockaccel.2",
          "sockaccel.2.", "sockaccel.-1.leave", "sockaccel.2x.leave", "sockaccel.99999999999.leave",
          "Sockaccel.2.leave"})
        EXPECT_EQ(StoredName::parse(other), std::nullopt) << other;
}

}  // namespace
}  // namespace sockaccel
