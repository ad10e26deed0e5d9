// SPDX-License-Identifier: GPL-2.0-or-later
// sockaccelctl as a user runs it: what it prints where, and its exit status.
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "bus_test.hpp"
#include "fentry.hpp"

namespace sockaccel::test {
namespace {

using nlohmann::json;

class Ctl : public ::testing::Test {
  protected:
    // The output of a command that has to succeed.
    static std::string output(Daemon& daemon, const Names& arguments) {
        const Outcome outcome = run_ctl(daemon.bus(), arguments);
        EXPECT_EQ(outcome.status, 0) << outcome.output << outcome.error;
        EXPECT_EQ(outcome.error, "");
        return outcome.output;
    }

    TestCgroup cgroup_;
};

TEST_F(Ctl, StatusShowsTheServiceOnOneScreen) {
    Daemon daemon(rule("redis", cgroup_.path()));
    const std::string text = output(daemon, {"status"});
    EXPECT_EQ(text.find("sockaccel " + daemon.manager().Version() + " on Linux "), 0u) << text;
    EXPECT_NE(text.find(daemon.policy_file() + ", generation 1"), std::string::npos) << text;
    EXPECT_NE(text.find("\nredis  active"), std::string::npos) << text;
}

TEST_F(Ctl, StatusAsJson) {
    Daemon daemon(rule("redis", cgroup_.path()) + rule("early", "nosuch.slice"));
    const json status = json::parse(output(daemon, {"status", "--json"}));
    EXPECT_EQ(status["version"], daemon.manager().Version());
    EXPECT_EQ(status["policy_files"], json::array({daemon.policy_file()}));
    EXPECT_EQ(status["generation"], 1);
    EXPECT_EQ(status["well"], true);
    EXPECT_EQ(status["problems"], json::array());
    ASSERT_EQ(status["rules"].size(), 2u);
    EXPECT_EQ(status["rules"][0]["name"], "early");
    EXPECT_EQ(status["rules"][0]["state"], "waiting");
    EXPECT_EQ(status["rules"][1]["state"], "active");
    EXPECT_EQ(status["rules"][1]["selected_cgroups"], json::array({cgroup_.path()}));
}

TEST_F(Ctl, StatusOfARefusedRuleIsNotWell) {
    Daemon daemon("[[rule]]\nname = \"unsafe\"\ncgroups = [\"a.slice\"]\n");
    const Outcome outcome = run_ctl(daemon.bus(), {"status"});
    EXPECT_EQ(outcome.status, fentry_loads() ? 0 : 1);
    if (fentry_loads())
        return;  // it is watched instead
    EXPECT_NE(outcome.output.find("unsafe is refused: "), std::string::npos) << outcome.output;
    EXPECT_EQ(outcome.error, "");
}

TEST_F(Ctl, ProbeShowsATableOfTheKernel) {
    Daemon daemon(rule("redis", cgroup_.path()));
    const std::string text = output(daemon, {"probe"});
    EXPECT_EQ(text.find("CHECK  "), 0u) << text;
    EXPECT_NE(text.find("\norder  "), std::string::npos) << text;
    EXPECT_NE(text.find("\nthis kernel is usable\n"), std::string::npos) << text;

    const json probed = json::parse(output(daemon, {"probe", "--json"}));
    EXPECT_EQ(probed["usable"], true);
    EXPECT_EQ(probed["findings"].size(), daemon.manager().Findings().size());
    EXPECT_EQ(probed["findings"][0]["check"], "types");
    EXPECT_EQ(probed["findings"][0]["ok"], true);
}

TEST_F(Ctl, ProbesAtOnceAreOneProbe) {
    Daemon daemon("");
    std::vector<std::unique_ptr<Process>> probes;
    for (int i = 0; i < 5; ++i)
        probes.push_back(std::make_unique<Process>(Command{
            {from_environment("SOCKACCELCTL"), "--bus", daemon.bus().address(), "probe"}, {}, {}}));
    for (const auto& probe : probes)
        EXPECT_EQ(probe->wait(), 0) << probe->standard_error();
    EXPECT_EQ(daemon.stop(), 0) << daemon.output();
}

TEST_F(Ctl, SaysWhatToDoWhenTheDaemonDoesNotRun) {
    const PrivateBus bus;
    for (const Names& command :
         {Names{"status"}, Names{"rules"}, Names{"connections"}, Names{"reload"}, Names{"monitor"},
          Names{"probe"}, Names{"status", "--json"}}) {
        const Outcome outcome = run_ctl(bus, command);
        EXPECT_EQ(outcome.status, 3) << command[0];
        EXPECT_EQ(outcome.output, "");
        EXPECT_EQ(outcome.error,
                  "sockaccelctl: sockacceld is not running: systemctl start sockaccel\n");
    }
}

TEST_F(Ctl, AnUnreachableBusIsAnotherFailure) {
    const Outcome outcome = run(
        {{from_environment("SOCKACCELCTL"), "--bus", "unix:path=/nonexistent", "status"}, {}, {}});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_NE(outcome.error.find("connect to the unix:path=/nonexistent bus"), std::string::npos)
        << outcome.error;
}

TEST_F(Ctl, WrongUsageIsAFailure) {
    for (const Names& arguments : {Names{}, Names{"frobnicate"}, Names{"check", "a", "b"},
                                   Names{"status", "--frob"}, Names{"--bus", "none", "status"}}) {
        Command command{{from_environment("SOCKACCELCTL")}, {}, {}};
        command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
        const Outcome outcome = run(command);
        EXPECT_EQ(outcome.status, 1);
        EXPECT_NE(outcome.error, "");
    }
    const Outcome help = run({{from_environment("SOCKACCELCTL"), "--help"}, {}, {}});
    EXPECT_EQ(help.status, 0);
    EXPECT_NE(help.output.find("monitor"), std::string::npos);
}

TEST_F(Ctl, RulesComeInDecidingOrder) {
    Daemon daemon(rule("b", cgroup_.path(), "ports = [80]\n") +
                  rule("a", "nosuch.slice", "priority = 7\n"));
    const std::string text = output(daemon, {"rules"});
    EXPECT_LT(text.find("\na "), text.find("\nb ")) << text;
    const json rules = json::parse(output(daemon, {"rules", "--json"}))["rules"];
    ASSERT_EQ(rules.size(), 2u);
    EXPECT_EQ(rules[0]["name"], "a");
    EXPECT_EQ(rules[0]["priority"], 7);
    EXPECT_EQ(rules[1]["name"], "b");
    EXPECT_EQ(rules[1]["ports"], json::array({"80"}));
}

TEST_F(Ctl, ConnectionsShowBothEndsAndTheReason) {
    Daemon daemon(rule("redis", cgroup_.path()));
    EXPECT_EQ(
        output(daemon, {"connections"}),
        "no covered connections; those that have not carried 8 segments with data yet are not "
        "listed\n");
    const Loopback pair(cgroup_);
    ASSERT_TRUE(wait_until([&] { return daemon.connections().size() == 1; }));
    const std::string ends = "127.0.0.1:" + std::to_string(pair.client_port) +
                             " -> 127.0.0.1:" + std::to_string(pair.server_port);
    const std::string text = output(daemon, {"connections"});
    EXPECT_NE(text.find("\nredis  " + ends + "  paired"), std::string::npos) << text;
    EXPECT_NE(text.find(" /" + cgroup_.path()), std::string::npos) << text << "it is no unit's";
    EXPECT_EQ(text.find("SERVER CGROUP"), std::string::npos) << text;
    const std::string wide = output(daemon, {"connections", "--wide"});
    EXPECT_NE(wide.find("SERVER CGROUP"), std::string::npos) << wide;
    const json seen = json::parse(output(daemon, {"connections", "--json"}));
    EXPECT_EQ(seen["omitted"], 0);
    ASSERT_EQ(seen["connections"].size(), 1u);
    EXPECT_EQ(seen["connections"][0]["rule"], "redis");
    EXPECT_EQ(seen["connections"][0]["client"]["port"], pair.client_port);
    EXPECT_EQ(seen["connections"][0]["server"]["cgroup"], cgroup_.path());
}

TEST_F(Ctl, ReloadPrintsWhatChanged) {
    Daemon daemon(rule("redis", cgroup_.path()));
    EXPECT_EQ(output(daemon, {"reload"}), "nothing changed\n");
    daemon.write_policy(rule("web", cgroup_.path()));
    const std::string text = output(daemon, {"reload"});
    EXPECT_NE(text.find("added web\n"), std::string::npos) << text;
    EXPECT_NE(text.find("removed redis\n"), std::string::npos) << text;
    EXPECT_EQ(json::parse(output(daemon, {"reload", "--json"})), json::parse(R"({"changes": []})"));
}

TEST_F(Ctl, ReloadOfAnInvalidPolicyPrintsTheParsersText) {
    Daemon daemon(rule("redis", cgroup_.path()));
    daemon.write_policy(bad_policy());
    const Outcome outcome = run_ctl(daemon.bus(), {"reload"});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.output, "");
    EXPECT_EQ(outcome.error.find(daemon.policy_file() + ":3:10: "), 0u) << outcome.error;
    EXPECT_EQ(daemon.manager().Rules(), Names{"redis"});
}

TEST_F(Ctl, DiffSaysWhatAReloadWouldChange) {
    Daemon daemon(rule("redis", cgroup_.path()));
    EXPECT_EQ(output(daemon, {"diff"}), "");
    daemon.write_policy(rule("web", cgroup_.path()));
    const Outcome outcome = run_ctl(daemon.bus(), {"diff"});
    EXPECT_EQ(outcome.status, 1) << "as diff(1)";
    EXPECT_EQ(outcome.error, "");
    EXPECT_EQ(daemon.manager().Rules(), Names{"redis"});
    EXPECT_EQ(daemon.manager().Generation(), 1u);
    const json changes = json::parse(run_ctl(daemon.bus(), {"diff", "--json"}).output);
    EXPECT_EQ(output(daemon, {"reload"}), outcome.output);
    EXPECT_EQ(changes["changes"].size(), 2u);
    EXPECT_EQ(output(daemon, {"diff"}), "");

    daemon.write_policy(bad_policy());
    const Outcome bad = run_ctl(daemon.bus(), {"diff"});
    EXPECT_EQ(bad.status, 2);
    EXPECT_EQ(bad.error.find(daemon.policy_file() + ":3:10: "), 0u) << bad.error;
    EXPECT_EQ(daemon.stop(), 0);
    EXPECT_EQ(run_ctl(daemon.bus(), {"diff"}).status, 3);
}

TEST_F(Ctl, PauseAndResume) {
    Daemon daemon(rule("redis", cgroup_.path()) + rule("web", cgroup_.path()));
    EXPECT_EQ(output(daemon, {"pause", "web"}), "");
    std::string text = output(daemon, {"status"});
    EXPECT_NE(text.find("\npaused       web\n"), std::string::npos) << text;
    EXPECT_NE(text.find("\nweb    paused"), std::string::npos) << text;
    EXPECT_NE(output(daemon, {"rules"}).find("\nweb    paused"), std::string::npos);
    EXPECT_EQ(output(daemon, {"pause"}), "");
    text = output(daemon, {"status"});
    EXPECT_NE(text.find("\npaused       everything\n"), std::string::npos) << text;
    EXPECT_EQ(output(daemon, {"resume"}), "");
    EXPECT_EQ(output(daemon, {"status"}).find("paused"), std::string::npos);
    const Outcome outcome = run_ctl(daemon.bus(), {"pause", "wbe"});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.error,
              "sockaccelctl: pause: there is no rule \"wbe\": did you mean \"web\"?\n");
}

TEST_F(Ctl, MonitorShowsEventsUntilItIsInterrupted) {
    Daemon daemon(rule("redis", cgroup_.path()));
    const std::string ctl = from_environment("SOCKACCELCTL");
    Process text({{ctl, "--bus", daemon.bus().address(), "monitor"}, {}, {}});
    Process lines({{ctl, "--bus", daemon.bus().address(), "monitor", "--json"}, {}, {}});
    for (Process* monitor : {&text, &lines})
        ASSERT_TRUE(wait_until([&] {
            return monitor->standard_error().find("waiting for events") != std::string::npos;
        })) << monitor->standard_error();

    std::uint16_t client_port = 0, server_port = 0;
    {
        const Loopback pair(cgroup_);
        client_port = pair.client_port;
        server_port = pair.server_port;
        ASSERT_TRUE(wait_until(
            [&] { return text.standard_output().find(" paired") != std::string::npos; }));
    }
    ASSERT_TRUE(
        wait_until([&] { return text.standard_output().find(" left") != std::string::npos; }));
    ASSERT_TRUE(
        wait_until([&] { return lines.standard_output().find("\"left\"") != std::string::npos; }));
    text.signal(SIGINT);
    lines.signal(SIGTERM);
    EXPECT_EQ(text.wait(), 0);
    EXPECT_EQ(lines.wait(), 0);

    const std::string ends = "redis 127.0.0.1:" + std::to_string(client_port) +
                             " -> 127.0.0.1:" + std::to_string(server_port);
    const std::string shown = text.standard_output();
    EXPECT_NE(shown.find(" paired   " + ends), std::string::npos) << shown;
    EXPECT_NE(shown.find(" left     " + ends), std::string::npos) << shown;
    const std::string first = lines.standard_output();
    const json event = json::parse(first.substr(0, first.find('\n')));
    EXPECT_EQ(event["event"], "paired");
    EXPECT_EQ(event["rule"], "redis");
    EXPECT_EQ(event["client_port"], client_port);
    EXPECT_EQ(event["server_port"], server_port);
}

TEST_F(Ctl, MonitorSaysThatTheDaemonIsGone) {
    Daemon daemon("");
    Process monitor(
        {{from_environment("SOCKACCELCTL"), "--bus", daemon.bus().address(), "monitor"}, {}, {}});
    ASSERT_TRUE(wait_until([&] { return !monitor.standard_error().empty(); }));
    EXPECT_EQ(daemon.stop(), 0);
    EXPECT_EQ(monitor.wait(), 1);
    EXPECT_NE(monitor.standard_error().find("sockacceld is gone"), std::string::npos)
        << monitor.standard_error();
}

TEST_F(Ctl, MonitorSaysThatTheBusIsGone) {
    Daemon daemon("");
    Process monitor(
        {{from_environment("SOCKACCELCTL"), "--bus", daemon.bus().address(), "monitor"}, {}, {}});
    ASSERT_TRUE(wait_until([&] { return !monitor.standard_error().empty(); }));
    daemon.bus().end();
    EXPECT_EQ(monitor.wait(), 1);
}

// --- check: no daemon, no bus, no root

class CtlCheck : public ::testing::Test {
  protected:
    CtlCheck() { check(chmod(directory_.path().c_str(), 0755), "chmod"); }

    std::string write(const std::string& text, const std::string& name = "p.toml") const {
        const std::filesystem::path file = directory_.path() / name;
        std::filesystem::create_directories(file.parent_path());
        static_cast<void>(directory_.write(name, text));
        check(chmod(file.c_str(), 0644), "chmod");
        return file;
    }
    [[nodiscard]] std::string root() const { return directory_.path(); }
    [[nodiscard]] Outcome run_as_nobody(const Names& arguments) const {
        return nobody_.run(arguments);
    }

  private:
    TemporaryDirectory directory_;
    Nobody nobody_;
};

TEST_F(CtlCheck, SaysWhatAPolicyMeans) {
    const std::string file = write(rule("redis", "redis.slice") +
                                   "[[rule]]\nname = \"web\"\ncgroups = [\"web.slice\"]\n");
    const Outcome text = run_as_nobody({"check", file});
    EXPECT_EQ(text.status, 0) << text.error;
    EXPECT_EQ(text.error, "");
    EXPECT_EQ(text.output.find(file + ": 2 rules, in deciding order\n"), 0u) << text.output;
    EXPECT_NE(text.output.find("\n1. redis: accelerate\n"), std::string::npos) << text.output;
    EXPECT_NE(text.output.find("   refused:  "), std::string::npos) << text.output;

    const Outcome outcome = run_as_nobody({"check", file, "--json"});
    EXPECT_EQ(outcome.status, 0);
    const json policy = json::parse(outcome.output);
    EXPECT_EQ(policy["rules"][0]["name"], "redis");
    EXPECT_EQ(policy["rules"][0]["refusal"], "");
    EXPECT_NE(policy["rules"][1]["refusal"], "");
}

TEST_F(CtlCheck, SaysWhereAPolicyIsWrong) {
    const std::string file = write(bad_policy() + "prio = 1\n");
    const Outcome outcome = run_as_nobody({"check", file});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.output, "");
    EXPECT_EQ(outcome.error.find(file + ":3:10: "), 0u) << outcome.error;
    EXPECT_NE(outcome.error.find("\n" + file + ":5:1: "), std::string::npos) << outcome.error;
}

TEST_F(CtlCheck, AMissingFileIsAnError) {
    const Outcome outcome = run_as_nobody({"check", "/nonexistent.toml"});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_NE(outcome.error.find("/nonexistent.toml"), std::string::npos) << outcome.error;
}

// What the daemon would refuse is only warned of: the file may be a draft.
TEST_F(CtlCheck, WarnsOfAFileThatTheDaemonRefuses) {
    const std::string file = write(rule("redis", "redis.slice"));
    check(chmod(file.c_str(), 0666), "chmod");
    const Outcome outcome = run_as_nobody({"check", file});
    EXPECT_EQ(outcome.status, 0);
    EXPECT_EQ(outcome.error, "warning: sockacceld would refuse it: " + file +
                                 ": writable by group or others (mode 0666): run chmod go-w " +
                                 file + "\n");
    EXPECT_NE(outcome.output.find("redis"), std::string::npos);
}

TEST_F(CtlCheck, ReadsTheWholePolicyIfNoFileIsNamed) {
    const std::string main = write(rule("redis", "redis.slice"), "etc/sockaccel.toml");
    const std::string drop_in =
        write(rule("redis", "redis.slice", "priority = 3\n"), "etc/sockaccel.d/50.toml");
    const Outcome text = run_as_nobody({"check", "--root", root()});
    EXPECT_EQ(text.status, 0) << text.error;
    EXPECT_EQ(text.output.find(main + " and drop-ins: 1 rule\n"), 0u) << text.output;
    EXPECT_NE(text.output.find("   from      " + drop_in + ":2:8\n"), std::string::npos)
        << text.output;

    const std::string bad = write(bad_policy(), "run/sockaccel.d/60.toml");
    const Outcome outcome = run_as_nobody({"check", "--root", root()});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.error.find(bad + ":3:10: "), 0u) << outcome.error;
    EXPECT_EQ(run_as_nobody({"check", main}).status, 0) << "this file alone";
}

TEST_F(CtlCheck, CatPrintsAPolicyThatMeansTheSame) {
    const std::string main =
        write("[limits]\nconnections = 9\n" + rule("redis", "redis.slice"), "etc/sockaccel.toml");
    const std::string drop_in = write(rule("web", "web.slice"), "usr/lib/sockaccel.d/50.toml");
    const Outcome text = run_as_nobody({"cat", "--root", root()});
    EXPECT_EQ(text.status, 0) << text.error;
    EXPECT_EQ(text.output.find("# read: " + main + "\n# read: " + drop_in + "\n"), 0u)
        << text.output;
    EXPECT_NE(text.output.find("# " + drop_in + ":2:8\n[[rule]]\nname     = \"web\"\n"),
              std::string::npos)
        << text.output;
    const auto rules_of = [this](const Names& arguments) {
        json rules = json::parse(run_as_nobody(arguments).output)["rules"];
        for (json& rule : rules)
            rule.erase("origin");
        return rules;
    };
    EXPECT_EQ(rules_of({"check", "--json", write(text.output, "whole.toml")}),
              rules_of({"cat", "--json", "--root", root()}));
}

}  // namespace
}  // namespace sockaccel::test
