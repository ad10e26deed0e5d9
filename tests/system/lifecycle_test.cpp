// SPDX-License-Identifier: GPL-2.0-or-later
// When the service comes, and when it goes by itself.
#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include "system_test.hpp"

namespace sockaccel::test {
namespace {

class Lifecycle : public SystemTest {
  protected:
    void shorten_idle_time() {
        // systemd refuses the sixth start in ten seconds, which the usual idle time never asks for.
        write_drop_in(kService,
                      "[Unit]\nStartLimitIntervalSec=0\n"
                      "[Service]\nExecStart=\nExecStart=/usr/sbin/sockacceld --idle-timeout 1\n");
    }

    static bool is_active() { return property(kService, "ActiveState") == "active"; }
    static bool ends() {
        return wait_until([] { return property(kService, "ActiveState") == "inactive"; });
    }
    // A call on the bus.
    static std::string get(const std::string& name) {
        return succeed({"busctl", "get-property", "org.sockaccel1", "/org/sockaccel1",
                        "org.sockaccel1.Manager", name});
    }
    static bool stays() {
        std::this_thread::sleep_for(std::chrono::seconds(4));
        return is_active();
    }
};

TEST_F(Lifecycle, WithoutARuleItEndsAndComesBackWhenCalled) {
    shorten_idle_time();
    systemctl({"start", kSocketUnit, kService});
    EXPECT_TRUE(ends());
    EXPECT_EQ(property(kService, "Result"), "success");

    succeed({"curl", "--silent", "--fail", "--unix-socket", "/run/sockaccel-metrics.sock",
             "http://localhost/metrics"});
    EXPECT_TRUE(is_active());
    EXPECT_TRUE(ends());

    // To look is no reason to start it.
    EXPECT_EQ(run_program({"sockaccelctl", "status"}).status, 3);
    EXPECT_EQ(get("Rules"), "as 0\n");
    EXPECT_TRUE(is_active());
    EXPECT_TRUE(ends());

    // A rule that a call brings keeps it.
    start_unit("client.service");
    write_policy(rule("pair", {"system.slice/client.service"}));
    succeed({"sockaccelctl", "reload"});
    EXPECT_TRUE(stays());
    EXPECT_EQ(property(kService, "NRestarts"), "0");
}

TEST_F(Lifecycle, RequestsAndSubscribersKeepIt) {
    shorten_idle_time();
    systemctl({"start", kService});
    {
        const Process monitor(
            {.arguments = {"sockaccelctl", "monitor"}, .environment = {}, .user = {}});
        EXPECT_TRUE(stays());
    }
    EXPECT_TRUE(ends());
}

TEST_F(Lifecycle, CallsAtTheMomentItEndsAreAnswered) {
    shorten_idle_time();
    systemctl({"start", kService});
    for (int turn = 0; turn < 12; turn++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(980 + 5 * turn));
        EXPECT_EQ(get("Version"), "s \"" SOCKACCEL_VERSION "\"\n");
    }
    EXPECT_NE(property(kService, "Result"), "exit-code");
}

TEST_F(Lifecycle, WhatIsPausedStaysSoOverAnIdleEnd) {
    shorten_idle_time();
    systemctl({"start", kService});
    succeed({"sockaccelctl", "pause"});
    EXPECT_TRUE(ends());
    EXPECT_EQ(get("Paused"), "as 1 \"\"\n");
    succeed({"sockaccelctl", "resume"});
}

// However long it takes to write the policy.
TEST_F(Lifecycle, AReloadFindsItWhenThePolicyHasChanged) {
    shorten_idle_time();
    start_unit("client.service");
    write_policy("");
    for (int turn = 0; turn < 5; turn++) {
        systemctl({"start", kService});
        ASSERT_TRUE(ends());
        write_policy(rule("pair", {"system.slice/client.service"}));
        systemctl({"reload", kService});
        EXPECT_EQ(get("Rules"), "as 1 \"pair\"\n");
        write_policy("");
        systemctl({"reload", kService});
    }
    // Changed while it runs, it waits for the reload.
    systemctl({"restart", kService});
    write_policy(rule("pair", {"system.slice/client.service"}));
    EXPECT_TRUE(stays());
    EXPECT_EQ(get("Rules"), "as 0\n");
    systemctl({"reload", kService});
    EXPECT_EQ(get("Rules"), "as 1 \"pair\"\n");
}

TEST_F(Lifecycle, ADropInBringsItBack) {
    shorten_idle_time();
    systemctl({"start", kService});
    ASSERT_TRUE(ends());
    write_file("/etc/sockaccel.d/50-pair.toml", rule("pair", {"system.slice/client.service"}));
    EXPECT_TRUE(wait_until(is_active));
    EXPECT_EQ(get("Rules"), "as 1 \"pair\"\n");
}

TEST_F(Lifecycle, StoppedByHandItDoesNotCareForThePolicy) {
    shorten_idle_time();
    write_policy("");
    systemctl({"start", kService});
    ASSERT_TRUE(ends());
    systemctl({"stop", kService});
    write_policy(rule("pair", {"system.slice/client.service"}));
    std::this_thread::sleep_for(std::chrono::seconds(2));
    EXPECT_EQ(property(kService, "ActiveState"), "inactive");
}

TEST_F(Lifecycle, ASecondDaemonSaysWhyAndChangesNothing) {
    systemctl({"start", kService});
    const Outcome outcome = run_program({"sockacceld"});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_NE(outcome.error.find("another sockacceld runs"), std::string::npos) << outcome.error;
    EXPECT_TRUE(is_active());
    EXPECT_EQ(ask("status").at("problems").size(), 0U);
}

TEST_F(Lifecycle, APresetEnablesServiceAndSocket) {
    systemctl({"preset", "--quiet", kService, kSocketUnit});
    EXPECT_EQ(property(kService, "UnitFileState"), "enabled");
    EXPECT_EQ(property(kSocketUnit, "UnitFileState"), "enabled");
}

}  // namespace
}  // namespace sockaccel::test
