// SPDX-License-Identifier: GPL-2.0-or-later
// Start and end of sockacceld, and what it says when it cannot.
#include <sys/stat.h>

#include <csignal>
#include <filesystem>

#include "bus_test.hpp"

namespace sockaccel::test {
namespace {

Outcome run_daemon(const Names& arguments) {
    Command command{{from_environment("SOCKACCELD")}, {}, {}};
    command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
    return run(command);
}

TEST(SockAccelD, EndsWithSuccessOnSigterm) {
    const TestCgroup cgroup;
    Daemon daemon(rule("redis", cgroup.path()));
    EXPECT_EQ(daemon.stop(), 0) << daemon.output();
    EXPECT_EQ(run_ctl(daemon.bus(), {"status"}).status, 3);
}

TEST(SockAccelD, EndsWithSuccessOnSigint) {
    Daemon daemon("");
    daemon.process().signal(SIGINT);
    EXPECT_EQ(daemon.process().wait(), 0) << daemon.output();
}

TEST(SockAccelD, RefusesToRunTwiceOnOneBus) {
    Daemon daemon("");
    const Outcome second =
        run_daemon({"--bus", daemon.bus().address(), "--policy", daemon.policy_file()});
    EXPECT_EQ(second.status, 1);
    EXPECT_NE(second.error.find("org.sockaccel1: it is taken: another sockacceld runs"),
              std::string::npos)
        << second.error;
    EXPECT_EQ(daemon.manager().Generation(), 1u);
}

TEST(SockAccelD, AnEmptyPolicyIsHealthy) {
    Daemon daemon("");
    EXPECT_EQ(daemon.manager().Rules(), Names{});
    EXPECT_EQ(daemon.manager().Problems(), Names{});
    EXPECT_EQ(run_ctl(daemon.bus(), {"status"}).status, 0);
}

TEST(SockAccelD, NoPolicyAtTheDefaultPathIsHealthy) {
    if (std::filesystem::exists("/etc/sockaccel.toml"))
        GTEST_SKIP() << "this host has a policy";
    const PrivateBus bus;
    Process daemon({{from_environment("SOCKACCELD"), "--bus", bus.address()}, {}, {}});
    ASSERT_TRUE(wait_until([&] { return run_ctl(bus, {"status"}).status == 0 || !daemon.runs(); }));
    EXPECT_TRUE(daemon.runs()) << daemon.standard_error();
    daemon.signal(SIGTERM);
    EXPECT_EQ(daemon.wait(), 0);
}

TEST(SockAccelD, AMissingPolicyThatWasNamedIsAnError) {
    const PrivateBus bus;
    const Outcome outcome = run_daemon({"--bus", bus.address(), "--policy", "/nonexistent.toml"});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_NE(outcome.error.find("/nonexistent.toml"), std::string::npos) << outcome.error;
}

TEST(SockAccelD, DoesNotStartWithAnInvalidPolicy) {
    const PrivateBus bus;
    const TemporaryDirectory directory;
    const std::string file = directory.write("p.toml", bad_policy());
    const Outcome outcome = run_daemon({"--bus", bus.address(), "--policy", file});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_NE(outcome.error.find(file + ":3:10: "), std::string::npos) << outcome.error;
}

TEST(SockAccelD, RefusesAPolicyThatOthersMayWrite) {
    const PrivateBus bus;
    const TemporaryDirectory directory;
    const std::string file = directory.write("p.toml", "");
    check(chmod(file.c_str(), 0666), "chmod");
    const Outcome outcome = run_daemon({"--bus", bus.address(), "--policy", file});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_NE(outcome.error.find(file), std::string::npos) << outcome.error;
}

TEST(SockAccelD, SaysWhichBusItCannotReach) {
    const TemporaryDirectory directory;
    const std::string file = directory.write("p.toml", "");
    check(chmod(file.c_str(), 0644), "chmod");
    const Outcome unreachable = run_daemon({"--bus", "unix:path=/nonexistent", "--policy", file});
    EXPECT_EQ(unreachable.status, 1);
    EXPECT_NE(unreachable.error.find("connect to the unix:path=/nonexistent bus"),
              std::string::npos)
        << unreachable.error;
    const Outcome unknown = run_daemon({"--bus", "sytsem", "--policy", file});
    EXPECT_EQ(unknown.status, 1);
    EXPECT_NE(unknown.error.find("'sytsem' is no bus"), std::string::npos) << unknown.error;
}

TEST(SockAccelD, EndsWithFailureWhenTheBusGoesAway) {
    const TestCgroup cgroup;
    Daemon daemon(rule("redis", cgroup.path()));
    daemon.bus().end();
    EXPECT_EQ(daemon.process().wait(), 1);
    EXPECT_NE(daemon.output().find("the connection to the bus is lost"), std::string::npos)
        << daemon.output();
}

TEST(SockAccelD, RunsWithoutABus) {
    const TestCgroup cgroup;
    const TemporaryDirectory directory;
    const std::string file = directory.write("p.toml", rule("redis", cgroup.path()));
    check(chmod(file.c_str(), 0644), "chmod");
    Process daemon({{from_environment("SOCKACCELD"), "--bus", "none", "--policy", file}, {}, {}});
    ASSERT_TRUE(wait_until([&] {
        return daemon.standard_error().find("rule redis: active") != std::string::npos ||
               !daemon.runs();
    }));
    check(chmod(file.c_str(), 0666), "chmod");
    daemon.signal(SIGHUP);
    EXPECT_TRUE(wait_until([&] {
        return daemon.standard_error().find("stays in force") != std::string::npos;
    })) << daemon.standard_error();
    daemon.signal(SIGTERM);
    EXPECT_EQ(daemon.wait(), 0) << daemon.standard_error();
}

}  // namespace
}  // namespace sockaccel::test
