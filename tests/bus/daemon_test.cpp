// SPDX-License-Identifier: GPL-2.0-or-later
// Start and end of sockacceld, and what it says when it cannot.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "bus_test.hpp"

namespace sockaccel::test {
namespace {

Outcome run_daemon(const Names& arguments) {
    Command command{{from_environment("SOCKACCELD")}, {}, {}};
    command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
    return run(command);
}

// What a service manager hears of a service with Type=notify.
class NotifySocket {
  public:
    NotifySocket()
        : socket_(check(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket")) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path().c_str(), sizeof(address.sun_path) - 1);
        check(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), "bind");
    }

    [[nodiscard]] std::string path() const { return directory_.path() / "notify"; }

    // Everything so far.
    [[nodiscard]] const std::string& heard() {
        std::array<char, 4096> message{};
        ssize_t length = 0;
        while ((length = recv(socket_.get(), message.data(), message.size(), 0)) > 0)
            heard_ += std::string(message.data(), static_cast<std::size_t>(length)) + "\n";
        return heard_;
    }
    [[nodiscard]] bool wait_for(const std::string& text) {
        return wait_until([&] { return heard().find(text) != std::string::npos; });
    }

  private:
    TemporaryDirectory directory_;
    Fd socket_;
    std::string heard_;
};

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

TEST(SockAccelD, KeepsAPauseOverARestart) {
    const TestCgroup cgroup;
    const TemporaryDirectory directory;
    const std::string state = directory.path() / "state";
    const Names arguments = {"--state", state};
    const std::string policy = rule("redis", cgroup.path()) + rule("web", cgroup.path());
    {
        Daemon daemon(policy, arguments);
        daemon.manager().Pause("web");
        EXPECT_EQ(daemon.stop(), 0);
    }
    {
        Daemon daemon(policy, arguments);
        EXPECT_EQ(daemon.manager().Paused(), Names{"web"});
        EXPECT_EQ(daemon.rule("web")->State(), "paused");
        EXPECT_EQ(daemon.rule("redis")->State(), "active");
        daemon.manager().Pause("");
        daemon.process().signal(SIGKILL);
        ASSERT_TRUE(daemon.process().wait());
    }
    {
        Daemon daemon(policy, arguments);
        EXPECT_EQ(daemon.manager().Paused(), Names{""});
        daemon.manager().Resume("");
    }
    Daemon daemon(policy, arguments);
    EXPECT_EQ(daemon.manager().Paused(), Names{});
    EXPECT_FALSE(std::filesystem::exists(state + "/paused"));
}

TEST(SockAccelD, PausesEverythingIfItDoesNotKnowWhatWasPaused) {
    const TemporaryDirectory directory;
    const std::string file = directory.write("paused", "redis\n");
    check(chmod(file.c_str(), 0666), "chmod");
    Daemon daemon(rule("web", "nosuch.slice"), {"--state", directory.path()});
    EXPECT_EQ(daemon.manager().Paused(), Names{""});
    EXPECT_NE(daemon.output().find(file + " is not a file that only this user may write"),
              std::string::npos)
        << daemon.output();
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

TEST(SockAccelD, NoPolicyAtAllIsHealthy) {
    const PrivateBus bus;
    const TemporaryDirectory root;
    Process daemon(
        {{from_environment("SOCKACCELD"), "--bus", bus.address(), "--root", root.path()}, {}, {}});
    ASSERT_TRUE(wait_until([&] { return run_ctl(bus, {"status"}).status == 0 || !daemon.runs(); }));
    EXPECT_TRUE(daemon.runs()) << daemon.standard_error();
    daemon.signal(SIGTERM);
    EXPECT_EQ(daemon.wait(), 0);
}

TEST(SockAccelD, ReadsDropInsAgainAtAReload) {
    const PrivateBus bus;
    const TemporaryDirectory root;
    for (const char* directory : {"etc/sockaccel.d", "usr/lib/sockaccel.d"})
        root.make(directory);
    const auto write = [&root](const std::string& name, const std::string& text) {
        const std::string file = root.write(name, text);
        check(chmod(file.c_str(), 0644), "chmod");
        return file;
    };
    const std::string main = write("etc/sockaccel.toml", rule("redis", "redis.slice"));
    const std::string vendor = write("usr/lib/sockaccel.d/50-web.toml", rule("web", "web.slice"));
    Process daemon(
        {{from_environment("SOCKACCELD"), "--bus", bus.address(), "--root", root.path()}, {}, {}});
    ASSERT_TRUE(wait_until([&] { return run_ctl(bus, {"status"}).status == 0 || !daemon.runs(); }))
        << daemon.standard_error();
    const auto connection = connect(bus);
    ManagerProxy manager(*connection);
    EXPECT_EQ(manager.Rules(), (Names{"redis", "web"}));
    EXPECT_EQ(manager.PolicyFiles(), (Names{main, vendor}));

    const std::string mine = write("etc/sockaccel.d/50-web.toml", rule("db", "db.slice"));
    EXPECT_EQ(run_ctl(bus, {"reload"}).output, "added db\nremoved web\n");
    EXPECT_EQ(manager.PolicyFiles(), (Names{main, mine}));

    check(chmod(mine.c_str(), 0666), "chmod");
    const Outcome refused = run_ctl(bus, {"reload"});
    EXPECT_EQ(refused.status, 1);
    EXPECT_EQ(refused.error,
              mine + ": writable by group or others (mode 0666): run chmod go-w " + mine + "\n");
    EXPECT_EQ(manager.Rules(), (Names{"db", "redis"}));
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

TEST(SockAccelD, RefusesThePolicyOfAnotherUser) {
    const TemporaryDirectory directory;
    const std::string file = directory.write("p.toml", "");
    check(chmod(file.c_str(), 0644), "chmod");
    check(chown(file.c_str(), kNobody, kNobody), "chown");
    const Outcome outcome = run_daemon({"--bus", "none", "--policy", file});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.error, file + ": owned by uid 65534: run chown root " + file + "\n");
}

TEST(SockAccelD, TakesOnePolicyOrASearchPath) {
    EXPECT_NE(run_daemon({"--policy", "/etc/p.toml", "--root", "/"}).status, 0);
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

// What it does for connections does not depend on the bus.
TEST(SockAccelD, GoesOnWithoutTheBusAndComesBackOnIt) {
    const TestCgroup cgroup;
    Daemon daemon(rule("redis", cgroup.path()));
    const Loopback pair(cgroup);
    ASSERT_TRUE(wait_until([&] { return daemon.connections().size() == 1; }));
    daemon.manager().Subscribe();
    daemon.bus().end();
    ASSERT_TRUE(wait_until([&] {
        return daemon.output().find("the connection to the bus is lost") != std::string::npos;
    }));
    daemon.write_policy(rule("redis", cgroup.path()) + rule("web", cgroup.path()));
    daemon.process().signal(SIGHUP);
    ASSERT_TRUE(wait_until([&] { return daemon.output().find("added web") != std::string::npos; }))
        << daemon.output();

    daemon.bus().start();
    ASSERT_TRUE(wait_until([&] {
        return daemon.output().find("back on the bus") != std::string::npos;
    })) << daemon.output();
    const auto connection = connect(daemon.bus());
    ManagerProxy manager(*connection);
    EXPECT_EQ(manager.Generation(), 2u);
    EXPECT_EQ(manager.Rules(), (Names{"redis", "web"}));
    EXPECT_EQ(std::get<0>(manager.Connections()).size(), 1u) << "it was not let go";
    EXPECT_EQ(daemon.stop(), 0);
}

TEST(SockAccelD, SleepsWhileTheBusIsAway) {
    Daemon daemon("");
    daemon.bus().end();
    ASSERT_TRUE(wait_until([&] {
        return daemon.output().find("the connection to the bus is lost") != std::string::npos;
    }));
    const auto cpu_time = [&daemon] {
        std::ifstream file("/proc/" + std::to_string(daemon.pid()) + "/schedstat");
        std::uint64_t nanoseconds = 0;
        file >> nanoseconds;
        return std::chrono::nanoseconds(nanoseconds);
    };
    const auto before = cpu_time();
    std::this_thread::sleep_for(std::chrono::seconds(3));
    EXPECT_LT(cpu_time() - before, std::chrono::milliseconds(300));
    EXPECT_EQ(daemon.stop(), 0);
}

TEST(SockAccelD, RunsWithoutABus) {
    const TestCgroup cgroup;
    const TemporaryDirectory directory;
    const std::string file = directory.write("p.toml", rule("redis", cgroup.path()));
    check(chmod(file.c_str(), 0644), "chmod");
    NotifySocket manager;
    Process daemon({{from_environment("SOCKACCELD"), "--bus", "none", "--policy", file},
                    {{"NOTIFY_SOCKET", manager.path()}},
                    {}});
    ASSERT_TRUE(manager.wait_for("READY=1")) << daemon.standard_error();
    EXPECT_TRUE(wait_until([&] {
        return daemon.standard_error().find("rule redis: active") != std::string::npos;
    })) << daemon.standard_error();
    check(chmod(file.c_str(), 0666), "chmod");
    daemon.signal(SIGHUP);
    EXPECT_TRUE(wait_until([&] {
        return daemon.standard_error().find("stays in force") != std::string::npos;
    })) << daemon.standard_error();
    daemon.signal(SIGTERM);
    EXPECT_TRUE(wait_until([&] {
        static_cast<void>(manager.heard());  // a service manager that did not listen would stop it
        return !daemon.runs();
    }));
    EXPECT_EQ(daemon.wait(), 0) << daemon.standard_error();
    EXPECT_TRUE(manager.wait_for("STOPPING=1"));
}

TEST(SockAccelD, IsReadyWhenItOwnsItsName) {
    const PrivateBus bus;
    const TemporaryDirectory directory;
    const std::string file = directory.write("p.toml", "");
    check(chmod(file.c_str(), 0644), "chmod");
    NotifySocket manager;
    const Process daemon(
        {{from_environment("SOCKACCELD"), "--bus", bus.address(), "--policy", file},
         {{"NOTIFY_SOCKET", manager.path()}},
         {}});
    ASSERT_TRUE(manager.wait_for("READY=1")) << daemon.standard_error();
    EXPECT_EQ(run_ctl(bus, {"status"}).status, 0);
}

TEST(SockAccelD, IsReadyBeforeItHasTestedTheKernel) {
    const TestCgroup cgroup;
    const PrivateBus bus;
    const TemporaryDirectory directory;
    const std::string file = directory.write("p.toml", rule("redis", cgroup.path()));
    check(chmod(file.c_str(), 0644), "chmod");
    NotifySocket service_manager;
    const auto connection = connect(bus);
    ManagerProxy manager(*connection);
    RuleProxy redis(*connection, "redis");
    const Process daemon(
        {{from_environment("SOCKACCELD"), "--bus", bus.address(), "--policy", file},
         {{"NOTIFY_SOCKET", service_manager.path()}},
         {}});
    ASSERT_TRUE(service_manager.wait_for("STATUS=1 of 1 rules active")) << daemon.standard_error();
    EXPECT_NE(service_manager.heard().find("READY=1\nSTATUS=0 of 1 rules active"),
              std::string::npos)
        << service_manager.heard();
    ASSERT_TRUE(wait_until([&] {
        while (process_pending(*connection)) {
        }
        return told(manager.changes, "KernelState") && told(redis.changes, "State");
    }));
    EXPECT_EQ(value_of<std::string>(redis.changes[0], "State"), "active");
    EXPECT_EQ(value_of<std::string>(redis.changes[0], "Why"), "");
    EXPECT_TRUE(told(manager.changes, "ActiveRules"));
    EXPECT_TRUE(told(manager.changes, "Findings"));
    EXPECT_EQ(manager.KernelState(), "usable");
}

// In a network namespace whose loopback is down the self-test cannot connect: as good as a kernel
// that fails it.
TEST(SockAccelD, AcceleratesNothingWhereTheSelfTestFailsUntilItDoesNot) {
    const TestCgroup cgroup;
    const PrivateBus bus;
    const TemporaryDirectory directory;
    const std::string file = directory.write("p.toml", rule("redis", cgroup.path()));
    check(chmod(file.c_str(), 0644), "chmod");
    Process daemon({{"unshare", "--net", from_environment("SOCKACCELD"), "--bus", bus.address(),
                     "--policy", file},
                    {},
                    {}});
    const auto find = [&](const std::string& text) {
        return run_ctl(bus, {"status"}).output.find(text) != std::string::npos;
    };
    ASSERT_TRUE(wait_until([&] { return find("(unusable)") || !daemon.runs(); }))
        << daemon.standard_error();

    const Outcome failed = run_ctl(bus, {"probe"});
    EXPECT_EQ(failed.status, 1);
    EXPECT_EQ(failed.error, "");
    EXPECT_NE(failed.output.find("\nthis kernel is unusable: nothing is accelerated\n"),
              std::string::npos)
        << failed.output;
    const Outcome status = run_ctl(bus, {"status"});
    EXPECT_EQ(status.status, 1);
    EXPECT_NE(status.output.find("problems     1\n  nothing is accelerated: the kernel fails the "
                                 "self-test: table: connect to 127.0.0.1: Network is unreachable"),
              std::string::npos)
        << status.output;
    EXPECT_NE(status.output.find("\nredis  refused"), std::string::npos) << status.output;
    EXPECT_NE(status.output.find("no `tolerate` lifts that"), std::string::npos) << status.output;

    const std::string net = "--net=/proc/" + std::to_string(daemon.pid()) + "/ns/net";
    ASSERT_EQ(run({{"nsenter", net, "ip", "link", "set", "lo", "up"}, {}, {}}).status, 0);
    const Outcome passed = run_ctl(bus, {"probe"});
    EXPECT_EQ(passed.status, 0) << passed.output;
    EXPECT_TRUE(find("\nredis  active"));
    EXPECT_TRUE(find("problems     none"));
    daemon.signal(SIGTERM);
    EXPECT_EQ(daemon.wait(), 0) << daemon.standard_error();
}

}  // namespace
}  // namespace sockaccel::test
