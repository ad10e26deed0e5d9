// SPDX-License-Identifier: GPL-2.0-or-later
// What systemd keeps of one daemon for the next, and when: connections stay redirected over a
// restart, a crash and an upgrade, and a stop leaves nothing.
#include <csignal>

#include "system_test.hpp"

namespace sockaccel::test {
namespace {

constexpr const char* kRule = "pair";

class HandoverBySystemd : public SystemTest {
  protected:
    HandoverBySystemd() {
        start_unit("client.service");
        start_unit("server.service");
        write_policy(rule(kRule, {"system.slice/client.service", "system.slice/server.service"}));
    }

    void start_with_traffic() {
        systemctl({"start", kService});
        pairs_.push_back(connect());
        warm_up(pairs_.back());
        traffic_ = std::make_unique<BackgroundTraffic>(pairs_);
    }

    [[nodiscard]] static TcpPair connect() {
        return connect_pair(
            {.client = place_of("client.service"), .server = place_of("server.service")});
    }

    [[nodiscard]] static std::uint64_t count(const char* what) {
        for (const nlohmann::json& one : ask("rules").at("rules"))
            if (one.at("name") == kRule)
                return one.at(what);
        throw std::runtime_error("the rule is not there");
    }

    // By another process than `before`, the connection goes on as if nothing had been.
    void expect_carried_on(pid_t before) {
        ASSERT_TRUE(wait_until([&] {
            const std::string pid = property(kService, "MainPID");
            return pid != "0" && pid != std::to_string(before) &&
                   property(kService, "ActiveState") == "active";
        }));
        const std::uint64_t bytes = count("redirected_bytes");
        EXPECT_TRUE(wait_until([&] { return count("redirected_bytes") > bytes + 100000; }));
        traffic_->stop();
        EXPECT_EQ(count("enrolled"), 1U) << journal();
        EXPECT_EQ(count("left"), 0U) << journal();
        exchange_bytes(pairs_[0], {.to_server = 1U << 20U, .to_client = 1U << 20U});
    }

    // And nothing is left of it, though connections and traffic go on.
    void expect_taken_out(const BpfObjects& objects) {
        EXPECT_TRUE(wait_until([&] { return objects.remaining().empty(); }))
            << objects.remaining().programs.size() << " programs, "
            << objects.remaining().links.size() << " links, " << objects.remaining().maps.size()
            << " maps; " << journal();
        traffic_->stop();
        exchange_bytes(pairs_[0], {.to_server = 1U << 20U, .to_client = 1U << 20U});
    }

    std::vector<TcpPair> pairs_;
    std::unique_ptr<BackgroundTraffic> traffic_;
};

class HandoverByJob : public HandoverBySystemd,
                      public ::testing::WithParamInterface<const char*> {};

TEST_P(HandoverByJob, LeavesConnectionsRedirected) {
    write_drop_in(kService, "[Service]\nExecReload=\n");  // else reload-or-restart is a reload
    start_with_traffic();
    const pid_t before = main_pid();
    systemctl({GetParam(), kService});
    expect_carried_on(before);
    EXPECT_NE(journal().find("restarting: connections stay as they are"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(, HandoverByJob,
                         ::testing::Values("restart", "try-restart", "reload-or-restart",
                                           "try-reload-or-restart"),
                         [](const auto& test) {
                             std::string name = test.param;
                             std::erase(name, '-');
                             return name;
                         });

TEST_F(HandoverBySystemd, ACrashLeavesConnectionsRedirected) {
    start_with_traffic();
    const pid_t before = main_pid();
    systemctl({"kill", "--kill-whom=main", "--signal=KILL", kService});
    expect_carried_on(before);
}

TEST_F(HandoverBySystemd, AnUpgradeLeavesConnectionsRedirected) {
    start_with_traffic();
    const pid_t before = main_pid();
    // Another build: as dpkg does it, a new file takes the old one's name.
    succeed({"objcopy", "--strip-debug", "/usr/sbin/sockacceld", "/usr/sbin/sockacceld.dpkg-new"});
    std::filesystem::rename("/usr/sbin/sockacceld.dpkg-new", "/usr/sbin/sockacceld");
    systemctl({"restart", kService});
    expect_carried_on(before);
}

TEST_F(HandoverBySystemd, TheStoreDoesNotGrowOverRestarts) {
    start_with_traffic();
    const std::string stored = property(kService, "NFileDescriptorStore");
    EXPECT_GT(std::stoi(stored), 10);
    for (int round = 0; round < 3; round++) {
        systemctl({"restart", kService});
        EXPECT_EQ(property(kService, "NFileDescriptorStore"), stored);
    }
    traffic_->stop();
}

TEST_F(HandoverBySystemd, AStopUnderTrafficTakesConnectionsOut) {
    start_with_traffic();
    const BpfObjects objects = BpfObjects::held_by(main_pid());
    systemctl({"stop", kService});
    EXPECT_EQ(property(kService, "Result"), "success");
    EXPECT_EQ(property(kService, "NFileDescriptorStore"), "0");
    expect_taken_out(objects);
}

// Also what an earlier daemon has loaded is gone then.
TEST_F(HandoverBySystemd, AStopAfterARestartTakesConnectionsOut) {
    start_with_traffic();
    const BpfObjects first = BpfObjects::held_by(main_pid());
    systemctl({"restart", kService});
    const BpfObjects second = BpfObjects::held_by(main_pid());
    systemctl({"stop", kService});
    expect_taken_out(first);
    EXPECT_TRUE(second.remaining().empty());
}

// As shutdown.target does it.
TEST_F(HandoverBySystemd, AStopByAConflictTakesConnectionsOut) {
    start_with_traffic();
    const BpfObjects objects = BpfObjects::held_by(main_pid());
    start_unit("end.service", {std::string("Conflicts=") + kService});
    EXPECT_TRUE(wait_until([] { return property(kService, "ActiveState") == "inactive"; }));
    expect_taken_out(objects);
}

TEST_F(HandoverBySystemd, ASignalByHandTakesConnectionsOut) {
    start_with_traffic();
    const BpfObjects objects = BpfObjects::held_by(main_pid());
    systemctl({"kill", "--kill-whom=main", "--signal=TERM", kService});
    EXPECT_TRUE(wait_until([] { return property(kService, "ActiveState") == "inactive"; }));
    expect_taken_out(objects);
}

TEST_F(HandoverBySystemd, ARestartWithoutAStoreIsAStop) {
    write_drop_in(kService, "[Service]\nFileDescriptorStoreMax=0\n");
    start_with_traffic();
    const BpfObjects objects = BpfObjects::held_by(main_pid());
    systemctl({"restart", kService});
    EXPECT_NE(journal().find("this restart is a stop"), std::string::npos) << journal();
    expect_taken_out(objects);
}

TEST_F(HandoverBySystemd, ARestartWithAnInvalidPolicyTakesConnectionsOut) {
    start_with_traffic();
    const BpfObjects objects = BpfObjects::held_by(main_pid());
    write_policy("[[rule]]\n");
    static_cast<void>(run_program({"systemctl", "restart", kService}));
    systemctl({"stop", kService});  // it would be tried again
    expect_taken_out(objects);
}

}  // namespace
}  // namespace sockaccel::test
