// SPDX-License-Identifier: GPL-2.0-or-later
#include "instance_lock.hpp"

#include <gtest/gtest.h>

#include <optional>

#include "temporary_directory.hpp"

namespace sockaccel {
namespace {

TEST(InstanceLock, ASecondOneIsToldWhatHoldsIt) {
    const TemporaryDirectory directory;
    const std::filesystem::path state = directory.path() / "state";
    std::optional<InstanceLock> first;
    first.emplace(state);
    try {
        const InstanceLock second(state);
        FAIL() << "two have it";
    } catch (const std::runtime_error& error) {
        EXPECT_EQ(error.what(), "another sockacceld runs, and holds " + (state / "lock").string() +
                                    ": stop that one, or give this one another --state");
    }
    first.reset();
    const InstanceLock third(state);
}

}  // namespace
}  // namespace sockaccel
