// SPDX-License-Identifier: GPL-2.0-or-later
// sockaccelctl for people: filters, explanations, terminals, completion, and the schemas of its
// JSON.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "bus_test.hpp"

namespace sockaccel::test {
namespace {

using nlohmann::json;

class Operator : public ::testing::Test {
  protected:
    Operator()
        : daemon_(rule("redis", cgroup_.path()) +
                  rule("web", cgroup_.path() + "/nosuch", "ports = [80]\n")) {}

    Outcome ctl(const Names& arguments) { return run_ctl(daemon_.bus(), arguments); }
    std::string output(const Names& arguments) {
        const Outcome outcome = ctl(arguments);
        EXPECT_EQ(outcome.status, 0) << outcome.output << outcome.error;
        EXPECT_EQ(outcome.error, "");
        return outcome.output;
    }
    json parsed(Names arguments) {
        arguments.emplace_back("--json");
        return json::parse(output(arguments));
    }
    void wait_for_connections(std::size_t count) {
        ASSERT_TRUE(wait_until([&] { return daemon_.connections().size() == count; }));
    }

    TestCgroup cgroup_;
    Daemon daemon_;
};

// What terminal.py says is wrong on the bus of this daemon; "" if nothing is.
std::string scenario(Daemon& daemon, const std::string& name,
                     std::map<std::string, std::string> environment = {}) {
    environment["DBUS_SYSTEM_BUS_ADDRESS"] = daemon.bus().address();
    const Outcome outcome =
        run({{"/usr/bin/python3", from_environment("SOCKACCEL_TERMINAL_TEST"), name},
             std::move(environment),
             {}});
    return outcome.status == 0 ? "" : outcome.output + outcome.error;
}

std::string end_of(std::uint16_t port) {
    return "127.0.0.1:" + std::to_string(port);
}

// --- connections

TEST_F(Operator, SeesWhoseTheEndsAre) {
    const Loopback pair(cgroup_);
    wait_for_connections(1);
    const json connection = parsed({"connections"})["connections"][0];
    EXPECT_EQ(connection["client"]["pid"], getpid());
    EXPECT_EQ(connection["server"]["process"], "bus-test");
    const std::string text = output({"connections"});
    EXPECT_NE(text.find("bus-test[" + std::to_string(getpid()) + "]"), std::string::npos) << text;
}

TEST_F(Operator, FiltersAndSortsConnections) {
    const Loopback first(cgroup_);
    wait_for_connections(1);
    const Loopback second(cgroup_);
    wait_for_connections(2);
    const auto ports = [this](Names arguments) {
        arguments.insert(arguments.begin(), "connections");
        std::vector<int> result;
        const json document = parsed(arguments);
        for (const json& one : document["connections"])
            result.push_back(one["server"]["port"]);
        return result;
    };
    const int a = first.server_port, b = second.server_port;
    EXPECT_EQ(ports({"--sort", "age"}), (std::vector<int>{a, b}));
    EXPECT_EQ(ports({"--port", std::to_string(b)}), std::vector<int>{b});
    EXPECT_EQ(ports({"--sort", "port"}), (std::vector<int>{std::min(a, b), std::max(a, b)}));
    EXPECT_EQ(ports({"--rule", "redis", "--sort", "age"}), (std::vector<int>{a, b}));
    EXPECT_EQ(ports({"--rule", "web"}), std::vector<int>{});
    EXPECT_EQ(ports({"--state", "enrolled"}), std::vector<int>{});
    EXPECT_EQ(ports({"--unit", "nosuch"}), std::vector<int>{});
    EXPECT_EQ(output({"connections", "--rule", "web"}), "no such connection\n");
}

TEST_F(Operator, IsToldWhatWasProbablyMeant) {
    const auto error = [this](const Names& arguments) {
        const Outcome outcome = ctl(arguments);
        EXPECT_EQ(outcome.status, 1);
        EXPECT_EQ(outcome.output, "");
        return outcome.error;
    };
    EXPECT_EQ(error({"conections"}),
              "sockaccelctl: there is no command \"conections\": did you mean \"connections\"?\n");
    EXPECT_EQ(error({"connections", "--rul", "redis"}),
              "sockaccelctl: there is no option \"--rul\": did you mean \"--rule\"?\n");
    EXPECT_EQ(error({"connections", "--rule", "rediss"}),
              "sockaccelctl: there is no rule \"rediss\": did you mean \"redis\"?\n");
    EXPECT_EQ(error({"monitor", "--event", "enroled"}),
              "sockaccelctl: there is no event \"enroled\": did you mean \"enrolled\"?\n");
    EXPECT_EQ(error({"connections", "--reason", "bloking"}),
              "sockaccelctl: there is no reason \"bloking\": did you mean \"blocking\"?\n");
    EXPECT_EQ(error({"connections", "--sort", "agee"}),
              "sockaccelctl: there is no key to sort by \"agee\": did you mean \"age\"?\n");
}

TEST_F(Operator, FindsExamplesInTheHelpOfEachCommand) {
    const std::string help = output({"--help"});
    for (const char* command : {"status", "rules", "connections", "explain", "top", "monitor",
                                "check", "cat", "diff", "reload", "pause", "resume", "probe"}) {
        EXPECT_NE(help.find(std::string("\n  ") + command + " "), std::string::npos) << command;
        EXPECT_NE(output({command, "--help"}).find("\n  sockaccelctl " + std::string(command)),
                  std::string::npos)
            << command;
    }
}

TEST_F(Operator, SeesWhenThePolicyWasRead) {
    const std::uint64_t before = parsed({"status"})["last_reload_usec"];
    const auto now = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::system_clock::now().time_since_epoch());
    EXPECT_LE(before, static_cast<std::uint64_t>(now.count()));
    EXPECT_GT(before, static_cast<std::uint64_t>(now.count()) - 60'000'000);
    EXPECT_EQ(output({"reload"}), "nothing changed\n");
    EXPECT_GT(parsed({"status"})["last_reload_usec"], before);
    EXPECT_NE(output({"status"}).find(", generation 2, read "), std::string::npos);
}

// --- explain

TEST_F(Operator, IsToldWhyACoveredConnectionIsNotAccelerated) {
    const Loopback pair(cgroup_);
    wait_for_connections(1);
    // Both sockets block.
    ASSERT_EQ(write(pair.client.get(), "x", 1), 1);
    ASSERT_TRUE(wait_until(
        [&] { return parsed({"connections"})["connections"][0]["reason"] == "blocking"; }));
    const std::string client = end_of(pair.client_port), server = end_of(pair.server_port);
    const std::string text = output({"explain", client, server});
    EXPECT_EQ(text.find(client + " -> " + server + "\n"), 0u) << text;
    EXPECT_NE(text.find("\n  not accelerated: it is paired by the rule redis\n"), std::string::npos)
        << text;
    EXPECT_NE(text.find("\n    blocking: an end is not O_NONBLOCK\n  -> Have the program use "),
              std::string::npos)
        << text;
    EXPECT_EQ(output({"explain", server, client}), text) << "in either order";
    const json answer = parsed({"explain", std::to_string(pair.server_port)})["explanations"];
    ASSERT_EQ(answer.size(), 1u);
    EXPECT_EQ(answer[0]["covered"], true);
    EXPECT_EQ(answer[0]["accelerated"], false);
    EXPECT_EQ(answer[0]["reason"], "blocking");
}

TEST_F(Operator, IsToldWhichCriterionKeepsAConnectionOut) {
    TestCgroup other;
    const Loopback pair(other);
    const std::string port = std::to_string(pair.server_port);
    const json answer = parsed({"explain", port})["explanations"];
    ASSERT_EQ(answer.size(), 1u) << answer;
    EXPECT_EQ(answer[0]["covered"], false);
    // Nobody listens any more, so which end is the server is a guess.
    EXPECT_EQ(answer[0]["client"]["port"].get<int>() + answer[0]["server"]["port"].get<int>(),
              pair.client_port + pair.server_port);
    const json rules = answer[0]["rules"];
    ASSERT_EQ(rules.size(), 2u);
    const auto criteria = [](const json& rule) {
        Names result;
        for (const json& obstacle : rule["obstacles"])
            result.push_back(obstacle["criterion"]);
        return result;
    };
    EXPECT_EQ(rules[0]["rule"], "redis");
    EXPECT_EQ(criteria(rules[0]), (Names{"cgroup", "cgroup"}));
    EXPECT_EQ(criteria(rules[1]), (Names{"cgroup", "cgroup", "port"}));
    const std::string text = output({"explain", port});
    EXPECT_NE(text.find("not accelerated: no rule covers it"), std::string::npos) << text;
    EXPECT_NE(text.find("the client's cgroup /" + other.path() + " is not selected"),
              std::string::npos)
        << text;
    EXPECT_NE(text.find("-> In the rule redis: add \"" + other.path() + "\" to its `cgroups`"),
              std::string::npos)
        << text;
}

TEST_F(Operator, IsToldThatAConnectionIsOlderThanItsRule) {
    daemon_.write_policy(rule("late", "nosuch.slice"));
    static_cast<void>(daemon_.manager().Reload());
    const Loopback pair(cgroup_);
    daemon_.write_policy(rule("late", cgroup_.path()));
    static_cast<void>(daemon_.manager().Reload());
    const std::string text = output({"explain", std::to_string(pair.server_port)});
    EXPECT_NE(text.find("\n  late matches\n"), std::string::npos) << text;
    EXPECT_NE(text.find("opened before the rule was in force"), std::string::npos) << text;
}

TEST_F(Operator, CanAskForAProcess) {
    const Loopback pair(cgroup_);
    wait_for_connections(1);
    const json answer = parsed({"explain", "--pid", std::to_string(getpid())})["explanations"];
    ASSERT_EQ(answer.size(), 1u) << answer;
    EXPECT_EQ(answer[0]["client"]["port"], pair.client_port);
    const Outcome none = ctl({"explain", "--pid", "999999999"});
    EXPECT_EQ(none.status, 1);
    EXPECT_EQ(none.error, "sockaccelctl: look into process 999999999: there is none\n");
}

TEST_F(Operator, IsToldHowToAsk) {
    for (const Names& arguments :
         {Names{"explain"}, Names{"explain", "127.0.0.1:1"}, Names{"explain", "1", "--pid", "1"}}) {
        const Outcome outcome = ctl(arguments);
        EXPECT_EQ(outcome.status, 1);
        EXPECT_NE(outcome.error.find("explain what? SRC DST"), std::string::npos) << outcome.error;
    }
    EXPECT_EQ(ctl({"explain", "1"}).error,
              "sockaccelctl: there is no such TCP connection on this host, or none that you may "
              "see\n");
    EXPECT_NE(ctl({"explain", "localhost:1", "127.0.0.1:2"}).error.find("is no ADDRESS:PORT"),
              std::string::npos);
}

// --- monitor

TEST_F(Operator, WatchesOnlyWhatIsAskedFor) {
    Process monitor({{from_environment("SOCKACCELCTL"), "--bus", daemon_.bus().address(), "monitor",
                      "--event", "left", "--json"},
                     {},
                     {}});
    ASSERT_TRUE(wait_until([&] { return !monitor.standard_error().empty(); }));
    { const Loopback pair(cgroup_); }
    ASSERT_TRUE(wait_until([&] { return !monitor.standard_output().empty(); }));
    monitor.signal(SIGINT);
    EXPECT_EQ(monitor.wait(), 0);
    EXPECT_EQ(json::parse(monitor.standard_output())["event"], "left");
}

// --- JSON

TEST_F(Operator, JsonIsAsTheSchemasSay) {
    const TemporaryDirectory directory;
    Process monitor(
        {{from_environment("SOCKACCELCTL"), "--bus", daemon_.bus().address(), "monitor", "--json"},
         {},
         {}});
    ASSERT_TRUE(wait_until([&] { return !monitor.standard_error().empty(); }));
    TestCgroup other;
    const Loopback covered(cgroup_), plain(other);
    wait_for_connections(1);
    ASSERT_TRUE(wait_until([&] { return !monitor.standard_output().empty(); }));
    monitor.signal(SIGINT);
    EXPECT_EQ(monitor.wait(), 0);
    EXPECT_EQ(scenario(daemon_, "schemas",
                       {{"PORT", std::to_string(covered.server_port)},
                        {"PLAIN_PORT", std::to_string(plain.server_port)},
                        {"POLICY", daemon_.policy_file()},
                        {"EVENTS", directory.write("events", monitor.standard_output())}}),
              "");
}

// --- in a terminal, and in shells

// One daemon for all: nothing here changes it.
class OperatorsShell : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        cgroup_ = std::make_unique<TestCgroup>();
        daemon_ =
            std::make_unique<Daemon>(rule("redis", cgroup_->path()) +
                                     rule("web", cgroup_->path() + "/nosuch", "ports = [80]\n"));
    }
    static void TearDownTestSuite() {
        daemon_.reset();
        cgroup_.reset();
    }

    static std::unique_ptr<TestCgroup> cgroup_;
    static std::unique_ptr<Daemon> daemon_;
};
std::unique_ptr<TestCgroup> OperatorsShell::cgroup_;
std::unique_ptr<Daemon> OperatorsShell::daemon_;

TEST_F(OperatorsShell, TopIsInPlaceAndLeavesTheTerminalAsItWas) {
    EXPECT_EQ(scenario(*daemon_, "top"), "");
}

TEST_F(OperatorsShell, TopFollowsTheSizeOfTheTerminal) {
    EXPECT_EQ(scenario(*daemon_, "resize"), "");
}

TEST_F(OperatorsShell, TopWithoutATerminalPrintsLines) {
    EXPECT_EQ(scenario(*daemon_, "top_without_terminal"), "");
}

TEST_F(OperatorsShell, ColorsAreForTerminalsOnly) {
    EXPECT_EQ(scenario(*daemon_, "colors"), "");
}

TEST_F(OperatorsShell, LongOutputIsPaged) {
    EXPECT_EQ(scenario(*daemon_, "pager"), "");
}

TEST_F(OperatorsShell, ViewsFitTheTerminal) {
    const Loopback pair(*cgroup_);
    ASSERT_TRUE(wait_until([] { return daemon_->connections().size() == 1; }));
    EXPECT_EQ(scenario(*daemon_, "narrow"), "");
}

TEST_F(OperatorsShell, BashCompletes) {
    EXPECT_EQ(scenario(*daemon_, "bash"), "");
}

TEST_F(OperatorsShell, ZshCompletes) {
    EXPECT_EQ(scenario(*daemon_, "zsh"), "");
}

TEST_F(OperatorsShell, FishCompletes) {
    EXPECT_EQ(scenario(*daemon_, "fish"), "");
}

}  // namespace
}  // namespace sockaccel::test
