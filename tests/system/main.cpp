// SPDX-License-Identifier: GPL-2.0-or-later
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "fd.hpp"
#include "system_test.hpp"

namespace sockaccel::test {
namespace {

// Tests write to /etc and /usr: only where that vanishes.
bool is_throw_away() {
    struct statfs root {};
    check(::statfs("/", &root), "look at the root file system");
    return root.f_type == OVERLAYFS_SUPER_MAGIC && std::filesystem::exists("/run/systemd/system") &&
           std::getenv(kBuildVariable) != nullptr;
}

class Installed : public ::testing::Environment {
  public:
    void SetUp() override {
        if (!package().empty()) {
            // Else each install makes an index of all manual pages of the host.
            std::filesystem::remove("/var/lib/man-db/auto-update");
            return install(package());
        }
        succeed({"meson", "install", "-C", from_environment(kBuildVariable), "--no-rebuild",
                 "--quiet"});
        ASSERT_TRUE(std::filesystem::exists("/usr/lib/systemd/system/sockaccel.service"))
            << "the build is not configured for --prefix=/usr";
        succeed({"systemd-sysusers"});
        succeed({"journalctl", "--update-catalog"});
        succeed({"systemctl", "daemon-reload"});
        succeed({"systemctl", "reload", "dbus.service"});
    }
};

}  // namespace
}  // namespace sockaccel::test

int main(int argc, char** argv) {
    ::testing::InitGoogleTest(&argc, argv);
    if (!::testing::GTEST_FLAG(list_tests)) {
        if (!sockaccel::test::is_throw_away()) {
            std::fputs("run it with tests/system/run: it writes to /etc and /usr\n", stderr);
            return EXIT_FAILURE;
        }
        ::testing::AddGlobalTestEnvironment(new sockaccel::test::Installed);
    }
    return RUN_ALL_TESTS();
}
