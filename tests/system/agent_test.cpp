// SPDX-License-Identifier: GPL-2.0-or-later
// A user who is asked for an administrator's password, by polkit's own agent, in a terminal.
#include <pwd.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <cstdio>

#include "system_test.hpp"
#include "terminal.hpp"

namespace sockaccel::test {
namespace {

constexpr const char* kUser = "sockaccel-user";
constexpr const char* kAdministrator = "sockaccel-admin";
constexpr const char* kPassword = "korrekt-pferd";
constexpr const char* kQuestion = "Password: ";

class Agent : public SystemTest {
  protected:
    static void SetUpTestSuite() {
        for (const char* name : {kUser, kAdministrator})
            succeed({"useradd", "--no-create-home", name});
        succeed(
            {"sh", "-c", std::string("echo ") + kAdministrator + ":" + kPassword + " | chpasswd"});
        // A user must not do with its own password what is the administrator's.
        succeed({"sh", "-c", std::string("echo ") + kUser + ":its-own | chpasswd"});
    }
    static void TearDownTestSuite() {
        for (const char* name : {kUser, kAdministrator})
            succeed({"userdel", name});
    }

    void SetUp() override {
        write_file("/etc/polkit-1/rules.d/10-sockaccel-test.rules",
                   std::string("polkit.addAdminRule(function() { return ['unix-user:") +
                       kAdministrator + "']; });\n");
        systemctl({"restart", "polkit.service"});
        systemctl({"start", kService});
        write_policy(rule("redis", {"redis.slice"}));
    }

    static Arguments as_user(Arguments command) {
        const std::string user = kUser;
        command.insert(command.begin(),
                       {"setpriv", "--reuid=" + user, "--regid=" + user, "--init-groups"});
        return command;
    }
    static bool is_reloaded() { return !ask("rules").at("rules").empty(); }
};

TEST_F(Agent, AnAdministratorsPasswordAllowsAReload) {
    Terminal terminal(as_user({"sockaccelctl", "reload"}));
    ASSERT_TRUE(
        terminal.shows("Authentication is required to change how connections of this host "
                       "are accelerated."))
        << terminal.output();
    ASSERT_TRUE(terminal.shows(kQuestion)) << terminal.output();
    EXPECT_FALSE(is_reloaded()) << "before the answer";
    terminal.type_password(kPassword);
    EXPECT_TRUE(terminal.shows("added redis")) << terminal.output();
    EXPECT_EQ(terminal.wait(), 0);
    EXPECT_TRUE(is_reloaded());
    EXPECT_EQ(terminal.output().find(kPassword), std::string::npos) << "it is not shown";
}

TEST_F(Agent, AnotherPasswordDoesNot) {
    for (const char* wrong : {"", "its-own", "korrekt-pferd "}) {
        Terminal terminal(as_user({"sockaccelctl", "reload"}));
        ASSERT_TRUE(terminal.shows(kQuestion)) << terminal.output();
        terminal.type_password(wrong);
        EXPECT_TRUE(
            terminal.shows("sockaccelctl: reload: permission denied: "
                           "org.sockaccel1.manage was not authorized: the password was "
                           "not the administrator's"))
            << terminal.output();
        EXPECT_EQ(terminal.wait(), 1);
        EXPECT_FALSE(is_reloaded());
    }
}

// Nobody is asked where nobody could answer.
TEST_F(Agent, WithoutATerminalItIsRefused) {
    Process reload({.arguments = as_user({"sh", "-c", "sockaccelctl reload </dev/null"}),
                    .environment = {},
                    .user = {}});
    EXPECT_EQ(reload.wait(), 1);
    EXPECT_NE(reload.standard_error().find("org.sockaccel1.manage needs an administrator's "
                                           "password, and there is nothing to ask for it"),
              std::string::npos)
        << reload.standard_error();
    EXPECT_FALSE(is_reloaded());
}

// Reloads on each line that it reads, all by one connection to the bus.
int reload_on_request() {
    sd_bus* bus = nullptr;
    if (sd_bus_open_system(&bus) < 0 || sd_bus_set_allow_interactive_authorization(bus, 1) < 0 ||
        sd_bus_set_method_call_timeout(bus, 60'000'000) < 0)
        return 1;
    const auto reload = [bus] {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        const int result =
            sd_bus_call_method(bus, "org.sockaccel1", "/org/sockaccel1", "org.sockaccel1.Manager",
                               "Reload", &error, nullptr, nullptr);
        std::printf("it says: %s\n", result < 0 ? error.message : "done");
        std::fflush(stdout);
        sd_bus_error_free(&error);
    };
    std::puts("ready");
    std::fflush(stdout);
    for (int typed = 0; (typed = std::getchar()) != EOF;)
        if (typed == '\n')
            reload();
    return 0;
}

// auth_admin_keep: polkit 122 keeps it for the process that was asked for, with an agent that was
// started for it in another terminal.
TEST_F(Agent, AnAnswerIsKeptForTheNextCall) {
    Terminal caller([] {
        const passwd* user = ::getpwnam(kUser);
        if (user == nullptr || ::setgid(user->pw_gid) != 0 || ::setuid(user->pw_uid) != 0)
            return 1;
        return reload_on_request();
    });
    ASSERT_TRUE(caller.shows("ready")) << caller.output();
    caller.type("");
    ASSERT_TRUE(caller.shows("it says: org.sockaccel1.manage needs an administrator's password"))
        << caller.output();

    Terminal agent(as_user({"pkttyagent", "--process", std::to_string(caller.pid())}));
    const std::string registered =
        "Registered Authentication Agent for unix-process:" + std::to_string(caller.pid());
    ASSERT_TRUE(wait_until([&] {
        return succeed({"journalctl", "--unit=polkit.service", "--output=cat"}).find(registered) !=
               std::string::npos;
    })) << agent.output();

    caller.type("");
    ASSERT_TRUE(agent.shows(kQuestion)) << agent.output();
    agent.type_password(kPassword);
    ASSERT_TRUE(caller.shows("it says: done")) << caller.output();
    EXPECT_TRUE(is_reloaded());

    const std::size_t asked = agent.output().size();
    caller.type("");
    EXPECT_TRUE(caller.shows("it says: done")) << caller.output();
    EXPECT_EQ(agent.output().find(kQuestion, asked), std::string::npos);

    // Not for another process of the same user.
    Terminal other(as_user({"sockaccelctl", "reload"}));
    EXPECT_TRUE(other.shows(kQuestion)) << other.output();
}

}  // namespace
}  // namespace sockaccel::test
