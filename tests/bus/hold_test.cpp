// SPDX-License-Identifier: GPL-2.0-or-later
// Temporary rules, and `sockaccelctl run`, which has some.
#include <csignal>

#include "bus_test.hpp"

namespace sockaccel::test {
namespace {

class Hold : public ::testing::Test {
  protected:
    [[nodiscard]] Outcome run(Daemon& daemon, const Names& more) {
        Names arguments = {"run", "--tolerate", "fionread,splice,waitall"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return run_ctl(daemon.bus(), arguments);
    }

    // As :1.N on the daemon's bus, and leaves it with its end.
    struct Client {
        explicit Client(Daemon& daemon) : connection(connect(daemon.bus())), manager(*connection) {}
        std::unique_ptr<sdbus::IConnection> connection;
        ManagerProxy manager;
    };

    TestCgroup cgroup_;
};

TEST_F(Hold, IsInForceAndSeenUntilItIsReleased) {
    Daemon daemon(rule("redis", cgroup_.path()));
    Client client(daemon);
    EXPECT_EQ(client.manager.Hold(rule("mine", cgroup_.path())), Names{"mine"});
    EXPECT_EQ(daemon.manager().Rules(), (Names{"mine", "redis"}));
    EXPECT_EQ(daemon.rule("mine")->State(), "active");
    EXPECT_EQ(daemon.rule("mine")->Holder(), client.connection->getUniqueName());
    EXPECT_EQ(daemon.rule("redis")->Holder(), "");
    EXPECT_NE(run_ctl(daemon.bus(), {"status"}).output.find("mine is temporary"),
              std::string::npos);
    client.manager.Release();
    EXPECT_EQ(daemon.manager().Rules(), Names{"redis"});
    client.manager.Release();  // has nothing to do
}

TEST_F(Hold, EndsWithItsClientAndNotWithAReload) {
    Daemon daemon(rule("redis", cgroup_.path()));
    {
        Client client(daemon);
        client.manager.Hold(rule("mine", cgroup_.path()));
        daemon.write_policy(rule("web", cgroup_.path()));
        EXPECT_EQ(daemon.manager().Diff(), (Names{"added web", "removed redis"}));
        daemon.manager().Reload();
        EXPECT_EQ(daemon.manager().Rules(), (Names{"mine", "web"}));

        daemon.write_policy(rule("mine", cgroup_.path()));
        try {
            daemon.manager().Reload();
            FAIL() << "two rules of one name";
        } catch (const sdbus::Error& error) {
            EXPECT_EQ(error.getName(), "org.sockaccel1.Error.InvalidPolicy");
        }
        EXPECT_EQ(daemon.manager().Rules(), (Names{"mine", "web"}));
    }
    EXPECT_TRUE(wait_until([&] { return daemon.manager().Rules() == Names{"web"}; }));
    daemon.manager().Reload();
    EXPECT_EQ(daemon.rule("mine")->Holder(), "");
}

TEST_F(Hold, IsRefusedWithTheParsersText) {
    Daemon daemon("");
    try {
        daemon.manager().Hold("[[rule]]\nname = \"a\"\ncgroups = [\"x\"]\nports = [70000]\n");
        FAIL() << "there is no such port";
    } catch (const sdbus::Error& error) {
        EXPECT_EQ(error.getName(), "org.sockaccel1.Error.InvalidPolicy");
        EXPECT_EQ(error.getMessage(), "hold:4:10: port 70000 is above 65535");
    }
    EXPECT_EQ(daemon.manager().Rules(), Names{});
}

TEST_F(Hold, KeepsADaemonThatHasNothingElseToDo) {
    Daemon daemon("", {"--idle-timeout", "1"});
    {
        Client client(daemon);
        client.manager.Hold(rule("mine", cgroup_.path()));
        EXPECT_FALSE(daemon.process().wait(std::chrono::milliseconds(2500)));
    }
    EXPECT_EQ(daemon.process().wait(), 0) << daemon.output();
}

// --- sockaccelctl run

TEST_F(Hold, ACommandsStatusIsItsOwn) {
    Daemon daemon("");
    EXPECT_EQ(run(daemon, {"--", "true"}).status, 0);
    EXPECT_EQ(run(daemon, {"--", "sh", "-c", "exit 7"}).status, 7);
    EXPECT_EQ(run(daemon, {"--", "sh", "-c", "kill -USR1 $$"}).status, 128 + SIGUSR1);
    EXPECT_EQ(run(daemon, {"--", "/nosuch"}).status, 127);
    EXPECT_EQ(run(daemon, {"--", "/etc/passwd"}).status, 126);
    EXPECT_EQ(run(daemon, {"--rule", "nosuch", "--", "true"}).status, 125);
    EXPECT_EQ(daemon.manager().Rules(), Names{});
}

TEST_F(Hold, ACommandIsInTheRulesCgroupFromItsFirstMoment) {
    Daemon daemon("");
    const Outcome outcome =
        run(daemon, {"--", "sh", "-c",
                     "cat /proc/self/cgroup; " + from_environment("SOCKACCELCTL") + " --bus " +
                         daemon.bus().address() + " rules --json"});
    EXPECT_EQ(outcome.status, 0) << outcome.error;
    const auto line = outcome.output.find("0::/");
    ASSERT_NE(line, std::string::npos) << outcome.output;
    const std::string cgroup =
        outcome.output.substr(line + 4, outcome.output.find('\n', line) - line - 4);
    EXPECT_NE(cgroup.find("sockaccel-run-"), std::string::npos) << cgroup;
    EXPECT_NE(outcome.output.find("\"/" + cgroup + "\""), std::string::npos) << outcome.output;
    EXPECT_NE(outcome.output.find("\"state\": \"active\""), std::string::npos) << outcome.output;
}

TEST_F(Hold, SignalsArePassedOn) {
    Daemon daemon("");
    Process ctl({{from_environment("SOCKACCELCTL"), "--bus", daemon.bus().address(), "run",
                  "--tolerate", "fionread,splice,waitall", "--", "sh", "-c",
                  "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done"},
                 {},
                 {}});
    ASSERT_TRUE(wait_until([&] { return ctl.standard_output() == "ready\n"; }))
        << ctl.standard_error();
    ctl.signal(SIGTERM);
    EXPECT_EQ(ctl.wait(), 5);
}

TEST_F(Hold, ACommandOutlivesTheDaemon) {
    Daemon daemon("");
    Process ctl(
        {{from_environment("SOCKACCELCTL"), "--bus", daemon.bus().address(), "run", "--tolerate",
          "fionread,splice,waitall", "--", "sh", "-c", "echo ready; exec sleep 30"},
         {},
         {}});
    ASSERT_TRUE(wait_until([&] { return ctl.standard_output() == "ready\n"; }))
        << ctl.standard_error();
    daemon.stop();
    EXPECT_TRUE(wait_until([&] {
        return ctl.standard_error().find("from now on the command is in plain TCP") !=
               std::string::npos;
    })) << ctl.standard_error();
    ctl.signal(SIGTERM);
    EXPECT_EQ(ctl.wait(), 128 + SIGTERM);
}

}  // namespace
}  // namespace sockaccel::test
