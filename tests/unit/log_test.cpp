// SPDX-License-Identifier: GPL-2.0-or-later
#include "log.hpp"

#include <gtest/gtest.h>

namespace sockaccel::log {
namespace {

TEST(Log, ACgroupsUnitIsTheInnermostDirectoryThatIsNamedAsOne) {
    EXPECT_EQ(unit_of("system.slice/redis.service"), "redis.service");
    EXPECT_EQ(unit_of("system.slice/redis.service/worker"), "redis.service");
    EXPECT_EQ(unit_of("user.slice/user-0.slice/user@0.service/app.slice/x.scope"), "x.scope");
    EXPECT_EQ(unit_of("kubepods"), "");
    EXPECT_EQ(unit_of(".service"), "");
    EXPECT_EQ(unit_of(""), "");
}

}  // namespace
}  // namespace sockaccel::log
