// SPDX-License-Identifier: GPL-2.0-or-later
// The service as systemd runs it: start, status, stop.
#include "system_test.hpp"

namespace sockaccel::test {
namespace {

class Service : public SystemTest {
  protected:
    // In its status line, soon: a rule becomes active when the kernel has been tested.
    static bool says(const std::string& text) {
        return wait_until(
            [&] { return property(kService, "StatusText").find(text) != std::string::npos; });
    }
};

TEST_F(Service, EnabledItAcceleratesWhatThePolicySaysAndStoppedNothingIsLeft) {
    start_unit("client.service");
    start_unit("server.service");
    write_policy(rule("pair", {"system.slice/client.service", "system.slice/server.service"}));
    systemctl({"enable", "--now", "--quiet", kService});
    EXPECT_EQ(property(kService, "ActiveState"), "active");

    TcpPair pair =
        connect_pair({.client = place_of("client.service"), .server = place_of("server.service")});
    warm_up(pair);
    exchange_bytes(pair, {.to_server = 1U << 20U, .to_client = 1U << 20U});
    EXPECT_GT(redirected_bytes("pair"), 0U);
    const std::string status = systemctl({"status", kService});
    EXPECT_NE(status.find("Status: \"1 of 1 rules active"), std::string::npos) << status;

    const BpfObjects objects = BpfObjects::held_by(main_pid());
    EXPECT_FALSE(objects.programs.empty());
    EXPECT_FALSE(objects.links.empty());
    EXPECT_FALSE(objects.maps.empty());
    systemctl({"stop", kService});
    EXPECT_EQ(property(kService, "Result"), "success");
    // The kernel frees maps some time after the last reference went.
    EXPECT_TRUE(wait_until([&] { return objects.remaining().empty(); }));
    converse(pair, {});
}

// Pools of a database are opened once a day.
TEST_F(Service, WhatWasOpenBeforeItIsStartedIsAcceleratedToo) {
    start_unit("client.service");
    start_unit("server.service");
    TcpPair pair =
        connect_pair({.client = place_of("client.service"), .server = place_of("server.service")});
    converse(pair, {.turns = 10});
    write_policy(rule("pair", {"system.slice/client.service", "system.slice/server.service"}));
    systemctl({"start", kService});
    warm_up(pair);
    exchange_bytes(pair, {.to_server = 1U << 20U, .to_client = 1U << 20U});
    EXPECT_GT(redirected_bytes("pair"), 0U);
}

TEST_F(Service, ReloadPutsAChangedPolicyInForce) {
    systemctl({"start", kService});
    EXPECT_TRUE(says("0 of 0 rules"));
    start_unit("client.service");
    write_policy(rule("pair", {"system.slice/client.service"}));
    systemctl({"reload", kService});
    EXPECT_TRUE(says("1 of 1 rules"));

    write_policy("[[rule]]\nname = \"bad\"\nports = [70000]\n");
    const Outcome outcome = run_program({"systemctl", "reload", kService});
    EXPECT_NE(outcome.status, 0);
    EXPECT_NE(journal().find("sockaccel.toml:3:10: port 70000 is above 65535"), std::string::npos)
        << journal();
    EXPECT_EQ(property(kService, "ActiveState"), "active");
}

TEST_F(Service, ACallOnTheBusStartsIt) {
    succeed({"busctl", "get-property", "org.sockaccel1", "/org/sockaccel1",
             "org.sockaccel1.Manager", "Version"});
    EXPECT_EQ(property(kService, "ActiveState"), "active");
}

}  // namespace
}  // namespace sockaccel::test
