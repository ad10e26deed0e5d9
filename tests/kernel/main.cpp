// SPDX-License-Identifier: GPL-2.0-or-later
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
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

// For thousands of connections, both ends of each.
void open_many_files() {
    constexpr rlim_t kMost = 20000;
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= kMost)
        return;
    limit = {kMost, std::max(kMost, limit.rlim_max)};
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
        std::perror("raise the limit of open files");
}

}  // namespace

int main(int argc, char** argv) {
    name_report();
    ::testing::InitGoogleTest(&argc, argv);
    if (const char* what = missing(); what != nullptr) {
        std::fprintf(stderr, "skipped: the kernel suite needs %s\n", what);
        return kSkipped;
    }
    open_many_files();
    sockaccel::test::take_turns();
    return RUN_ALL_TESTS();
}
