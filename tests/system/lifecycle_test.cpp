// SPDX-License-Identifier: GPL-2.0-or-later
// When the service comes, and when it goes by itself.
#include <poll.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "bus_names.hpp"
#include "sdbus_compat.hpp"
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

// A client that calls as soon as the name is given up: the bus then asks systemd for the service,
// which still runs.
class LastCall : public Lifecycle {
  protected:
    LastCall() {
        shorten_idle_time();
        driver_->uponSignal("NameOwnerChanged")
            .onInterface("org.freedesktop.DBus")
            .call([this](const std::string& name, const std::string& before,
                         const std::string& owner) {
                is_given_up_ =
                    is_given_up_ || (name == kBusName && !before.empty() && owner.empty());
            });
        driver_->finishRegistration();
    }

    void wait_until_the_name_is_given_up() {
        is_given_up_ = false;
        const auto end = std::chrono::steady_clock::now() + slowness() * std::chrono::seconds(20);
        while (!is_given_up_ && std::chrono::steady_clock::now() < end)
            if (!process_pending(*bus_)) {
                pollfd polled{bus_->getEventLoopPollData().fd, POLLIN, 0};
                ::poll(&polled, 1, 100);
            }
        ASSERT_TRUE(is_given_up_);
    }

    std::unique_ptr<sdbus::IConnection> bus_ = sdbus::createSystemBusConnection();
    std::unique_ptr<sdbus::IProxy> manager_ =
        sdbus::createProxy(*bus_, BusName(kBusName), sdbus::ObjectPath("/org/sockaccel1"));
    std::unique_ptr<sdbus::IProxy> driver_ = sdbus::createProxy(
        *bus_, BusName("org.freedesktop.DBus"), sdbus::ObjectPath("/org/freedesktop/DBus"));

  private:
    bool is_given_up_ = false;
};

TEST_F(LastCall, IsAnswered) {
    for (int turn = 0; turn < 8; turn++) {
        systemctl({"start", kService});
        wait_until_the_name_is_given_up();
        const sdbus::Variant version =
            manager_->getProperty("Version").onInterface("org.sockaccel1.Manager");
        EXPECT_EQ(version.get<std::string>(), SOCKACCEL_VERSION);
    }
}

TEST_F(LastCall, KeepsTheServiceIfItNeedsIt) {
    start_unit("client.service");
    for (int turn = 0; turn < 8; turn++) {
        systemctl({"start", kService});
        wait_until_the_name_is_given_up();
        write_policy(rule("pair", {"system.slice/client.service"}));
        manager_->callMethod("Reload").onInterface("org.sockaccel1.Manager");
        EXPECT_TRUE(wait_until([] { return is_active() && ask("rules").at("rules").size() == 1; }));
        EXPECT_NE(property(kService, "Result"), "exit-code");
        write_policy("");
        systemctl({"reload", kService});
    }
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
