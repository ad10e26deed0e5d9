// SPDX-License-Identifier: GPL-2.0-or-later
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

int main(int argc, char** argv) {
    constexpr int kSkipped = 77;  // what meson test takes for it
    ::testing::InitGoogleTest(&argc, argv);
    if (geteuid() != 0) {
        std::fputs("skipped: the bus suite needs root, as the daemon loads BPF programs\n", stderr);
        return kSkipped;
    }
    return RUN_ALL_TESTS();
}
