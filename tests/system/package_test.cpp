// SPDX-License-Identifier: GPL-2.0-or-later
// The Debian package: what it brings, and that it takes all away. Where the suite was given one
// (tools/test --package).
#include <algorithm>
#include <fstream>
#include <sstream>

#include "system_test.hpp"

namespace sockaccel::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPackage = "sockaccel";

// What is in the host's directories by this name, whoever made it.
std::vector<std::string> traces() {
    std::vector<std::string> found;
    const std::string listed =
        succeed({"find", "/etc", "/usr", "/lib/systemd", "/run", "/var/lib", "-ignore_readdir_race",
                 "-maxdepth", "5", "-name", "*sockaccel*"});
    std::istringstream lines(listed);
    for (std::string line; std::getline(lines, line);)
        found.push_back(line);
    return found;
}

class Package : public SystemTest {
  protected:
    void SetUp() override {
        if (package().empty())
            GTEST_SKIP() << "no package to test: tools/test --package";
    }

    // Whatever a test did: the package that the other tests test.
    void TearDown() override {
        SystemTest::TearDown();
        if (!package().empty() && !is_installed(version_of(package())))
            install(package());
        for (const fs::path& made : made_)
            fs::remove_all(made);
    }

    static bool is_installed(const std::string& version) {
        const Outcome outcome = run_program(
            {"dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", kPackage});
        return outcome.output == "installed " + version;
    }

    static std::string version_of(const std::string& deb) {
        std::string version = succeed({"dpkg-deb", "--field", deb, "Version"});
        version.pop_back();  // the newline
        return version;
    }

    static void purge() { succeed({"apt-get", "purge", "--quiet", "--yes", kPackage}); }

    // A later version with another daemon in it: what was built, with a section that nobody reads.
    std::string next_version() {
        const fs::path tree = "/tmp/sockaccel-next";
        const std::string deb = "/tmp/sockaccel_next.deb";
        made_ = {tree, deb};
        succeed({"dpkg-deb", "--raw-extract", package(), tree});
        succeed({"sed", "--in-place", "s/^Version: .*/&+next/", tree / "DEBIAN/control"});
        succeed({"objcopy", "--add-section", ".next=" + (tree / "DEBIAN/control").string(),
                 tree / "usr/sbin/sockacceld"});
        succeed({"dpkg-deb", "--root-owner-group", "--build", tree, deb});
        return deb;
    }

    void start_with_traffic() {
        start_unit("client.service");
        start_unit("server.service");
        write_policy(rule("pair", {"system.slice/client.service", "system.slice/server.service"}));
        systemctl({"enable", "--now", "--quiet", kService});
        pairs_.push_back(connect_pair(
            {.client = place_of("client.service"), .server = place_of("server.service")}));
        warm_up(pairs_.back());
        traffic_ = std::make_unique<BackgroundTraffic>(pairs_);
    }

    // Another daemon has the connection, which goes on being redirected.
    void expect_carried_on(pid_t before) {
        EXPECT_NE(main_pid(), before);
        EXPECT_EQ(property(kService, "ActiveState"), "active");
        const std::uint64_t bytes = redirected_bytes("pair");
        EXPECT_TRUE(wait_until([&] { return redirected_bytes("pair") > bytes + 100000; }));
        const nlohmann::json rules = ask("rules");
        EXPECT_EQ(rules.at("rules").at(0).at("enrolled"), 1U);
        EXPECT_EQ(rules.at("rules").at(0).at("left"), 0U);
    }

    // The stream is checked at both ends.
    void expect_unharmed() {
        traffic_->stop();
        exchange_bytes(pairs_[0], {.to_server = 1U << 20U, .to_client = 1U << 20U});
    }

    std::vector<fs::path> made_;
    std::vector<TcpPair> pairs_;
    std::unique_ptr<BackgroundTraffic> traffic_;
};

TEST_F(Package, InstalledItChangesNothingAndPurgedItLeavesNothing) {
    purge();
    EXPECT_EQ(traces(), std::vector<std::string>{});
    install(package());
    EXPECT_EQ(property(kService, "ActiveState"), "inactive");
    EXPECT_EQ(property(kService, "UnitFileState"), "disabled");
    EXPECT_EQ(property(kSocketUnit, "ActiveState"), "inactive");
    EXPECT_NE(succeed({"sockaccelctl", "check"}).find(": 0 rules"), std::string::npos);
    purge();
    EXPECT_EQ(traces(), std::vector<std::string>{});
}

// The whole of a user's first day, and the last one.
TEST_F(Package, AcceleratesRedisAndLeavesNoTrace) {
    purge();
    install(package());
    const Outcome outcome =
        run({.arguments = {"debian/tests/redis"}, .environment = {}, .user = {}},
            slowness() * std::chrono::seconds(120));
    EXPECT_EQ(outcome.status, 0) << outcome.output << outcome.error;
    EXPECT_NE(outcome.output.find(" enrolled "), std::string::npos) << outcome.output;

    start_with_traffic();
    succeed({"sockaccelctl", "pause", "pair"});
    succeed({"sockaccelctl", "resume", "pair"});
    const BpfObjects objects = BpfObjects::held_by(main_pid());
    EXPECT_FALSE(objects.links.empty());
    purge();
    EXPECT_TRUE(wait_until([&] { return objects.remaining().empty(); }));
    expect_unharmed();
    EXPECT_EQ(traces(), std::vector<std::string>{});
    EXPECT_EQ(property(kService, "LoadState"), "not-found");
    EXPECT_EQ(property(kSocketUnit, "LoadState"), "not-found");
}

TEST_F(Package, AnUpgradeAndADowngradeLeaveConnectionsRedirected) {
    start_with_traffic();
    const pid_t first = main_pid();
    install(next_version());
    expect_carried_on(first);
    const pid_t second = main_pid();
    install(package());
    expect_carried_on(second);
    EXPECT_EQ(property(kService, "UnitFileState"), "enabled");
    expect_unharmed();
}

TEST_F(Package, AnUpgradeStartsNothingThatDidNotRun) {
    install(next_version());
    EXPECT_EQ(property(kService, "ActiveState"), "inactive");
    EXPECT_EQ(property(kSocketUnit, "ActiveState"), "inactive");
    EXPECT_EQ(property(kService, "UnitFileState"), "disabled");
}

}  // namespace
}  // namespace sockaccel::test
