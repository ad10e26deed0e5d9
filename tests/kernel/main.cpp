// SPDX-License-Identifier: GPL-2.0-or-later
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include "cgroup_tree.hpp"
#include "host_turn.hpp"

namespace {

constexpr int kSkipped = 77;  // what meson test takes for it

const char* missing() {
    if (::geteuid() != 0)
        return "root";
    try {
        static_cast<void>(sockaccel::find_cgroup2_root());
    } catch (const std::exception&) {
        return "a cgroup2 file system";
    }
    return nullptr;
}

// Of several processes at a time each has a report of its own, where GoogleTest would give them the
// same name.
void name_report() {
    std::string& output = ::testing::GTEST_FLAG(output);
    const char* shard = std::getenv("GTEST_SHARD_INDEX");
    if (shard != nullptr && output.ends_with("/"))
        output += std::string("kernel-test_") + shard + ".xml";
}

}  // namespace

int main(int argc, char** argv) {
    name_report();
    ::testing::InitGoogleTest(&argc, argv);
    if (const char* what = missing(); what != nullptr) {
        std::fprintf(stderr, "skipped: the kernel suite needs %s\n", what);
        return kSkipped;
    }
    sockaccel::test::take_turns();
    return RUN_ALL_TESTS();
}
