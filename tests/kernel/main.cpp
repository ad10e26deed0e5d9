// SPDX-License-Identifier: GPL-2.0-or-later
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

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

}  // namespace

int main(int argc, char** argv) {
    ::testing::InitGoogleTest(&argc, argv);
    if (const char* what = missing(); what != nullptr) {
        std::fprintf(stderr, "skipped: the kernel suite needs %s\n", what);
        return kSkipped;
    }
    sockaccel::test::take_turns();
    return RUN_ALL_TESTS();
}
