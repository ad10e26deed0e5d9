// SPDX-License-Identifier: GPL-2.0-or-later
// Who may do what on the system bus: as root, and as a user who may do nothing, with and without
// polkit.
#include <csignal>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <regex>

#include "bus_test.hpp"
#include "polkit.hpp"

namespace sockaccel::test {
namespace {

using nlohmann::json;

// As sockaccelctl prints it.
std::string denied(const std::string& command, const std::string& why) {
    return "sockaccelctl: " + command + ": permission denied: " + why;
}

class Access : public ::testing::Test {
  protected:
    explicit Access(const char* daemon = "SOCKACCELD")
        : daemon_("", {}, PrivateBus::Kind::system, nullptr, {}, daemon) {
        daemon_.write_policy(rule("redis", cgroup_.path()));
    }

    [[nodiscard]] Names on_bus(const Names& arguments) {
        Names all = {"--bus", daemon_.bus().address()};
        all.insert(all.end(), arguments.begin(), arguments.end());
        return all;
    }
    Outcome as_nobody(const Names& arguments) { return nobody_.run(on_bus(arguments)); }
    Outcome as_root(const Names& arguments) { return run_ctl(daemon_.bus(), arguments); }

    // What changes the daemon, or may take its time.
    void expect_denied(const std::string& why) {
        for (const char* command : {"reload", "pause", "resume", "probe", "diff"}) {
            const Outcome outcome = as_nobody({command});
            EXPECT_EQ(outcome.status, std::string(command) == "diff" ? 2 : 1) << command;
            EXPECT_EQ(outcome.output, "");
            EXPECT_EQ(outcome.error.find(denied(command, why)), 0u) << outcome.error;
        }
        const Outcome run = as_nobody({"run", "--", "true"});
        EXPECT_EQ(run.status, 125);
        EXPECT_EQ(daemon_.manager().Rules(), Names{}) << "nothing is held";
        EXPECT_EQ(daemon_.manager().Generation(), 1u);
        EXPECT_EQ(daemon_.manager().Paused(), Names{});
    }

    TestCgroup cgroup_;
    Daemon daemon_;
    Nobody nobody_;
};

class AccessBuiltWithoutPolkit : public Access {
  protected:
    AccessBuiltWithoutPolkit() : Access("SOCKACCELD_WITHOUT_POLKIT") {}
};

// --- without polkit

TEST_F(Access, EveryoneMayLookAtTheServiceAndItsRules) {
    daemon_.manager().Reload();
    for (const char* command : {"status", "rules"}) {
        const Outcome outcome = as_nobody({command});
        EXPECT_EQ(outcome.status, 0) << outcome.error;
        EXPECT_NE(outcome.output.find("redis"), std::string::npos) << outcome.output;
    }
}

TEST_F(Access, WithoutPolkitOnlyRootChangesAnything) {
    expect_denied("only root may do it");
    for (const char* command : {"reload", "pause", "resume", "probe"})
        EXPECT_EQ(as_root({command}).status, 0) << command;
    EXPECT_EQ(as_root({"diff"}).status, 0);
}

// Nor does it ask a polkit that is there.
TEST_F(AccessBuiltWithoutPolkit, OnlyRootChangesAnything) {
    const Polkit polkit(daemon_.bus(), "return polkit.Result.YES;");
    expect_denied("only root may do it: sockaccel was built without polkit");
    EXPECT_EQ(as_root({"reload"}).output, "added redis\n");
    EXPECT_EQ(daemon_.manager().Generation(), 2u);
}

// A method that is not named there can be called by root alone, whatever polkit says.
TEST_F(Access, TheBusLetsEveryMethodThrough) {
    const auto text_of = [](const char* variable) {
        std::ifstream file(from_environment(variable));
        return std::string(std::istreambuf_iterator<char>(file), {});
    };
    const std::string xml = text_of("SOCKACCEL_MANAGER_XML");
    const std::string bus_policy = text_of("SOCKACCEL_BUS_POLICY");
    const std::regex method("<method name=\"(\\w+)\">");
    int count = 0;
    for (auto at = std::sregex_iterator(xml.begin(), xml.end(), method);
         at != std::sregex_iterator(); ++at, ++count)
        EXPECT_NE(bus_policy.find("send_member=\"" + (*at)[1].str() + "\""), std::string::npos)
            << (*at)[1];
    EXPECT_GE(count, 9);
}

TEST_F(Access, AUserSeesItsOwnConnections) {
    daemon_.manager().Reload();
    const Loopback roots(cgroup_), nobodys(cgroup_, kNobody);
    ASSERT_TRUE(wait_until([&] { return daemon_.connections().size() == 2; }));

    const Outcome outcome = as_nobody({"connections", "--json"});
    EXPECT_EQ(outcome.status, 0) << outcome.error;
    const json seen = json::parse(outcome.output);
    ASSERT_EQ(seen["connections"].size(), 1u) << outcome.output;
    EXPECT_EQ(seen["connections"][0]["client"]["port"], nobodys.client_port);
    EXPECT_EQ(seen["connections"][0]["client"]["uid"], kNobody);
    EXPECT_EQ(seen["hidden"], 1);
    EXPECT_EQ(json::parse(as_root({"connections", "--json"}).output)["hidden"], 0);

    const Outcome all = as_nobody({"connections", "--all"});
    EXPECT_EQ(all.status, 1);
    EXPECT_EQ(all.output, "");
    EXPECT_NE(all.error.find("connections of other users: permission denied"), std::string::npos)
        << all.error;
}

TEST_F(Access, AUserHearsOfItsOwnConnections) {
    daemon_.manager().Reload();
    Process monitor(nobody_.command(on_bus({"monitor", "--json"})));
    ASSERT_TRUE(wait_until([&] {
        return monitor.standard_error().find("waiting for events of your own") != std::string::npos;
    })) << monitor.standard_error();
    daemon_.manager().Subscribe();
    const Loopback roots(cgroup_), nobodys(cgroup_, kNobody);
    ASSERT_TRUE(wait_until([&] { return !monitor.standard_output().empty(); }));
    ASSERT_TRUE(daemon_.wait_for_signal([&] { return daemon_.manager().events.size() == 2; }));
    monitor.signal(SIGINT);
    EXPECT_EQ(monitor.wait(), 0);
    const json event = json::parse(monitor.standard_output());  // exactly one
    EXPECT_EQ(event["event"], "paired");
    EXPECT_EQ(event["client_port"], nobodys.client_port);
    EXPECT_EQ(event["client_uid"], kNobody);
    EXPECT_EQ(event["server_uid"], 0);

    const Outcome all = as_nobody({"monitor", "--all"});
    EXPECT_EQ(all.status, 1);
    EXPECT_NE(all.error.find("permission denied"), std::string::npos) << all.error;
}

TEST_F(Access, AUserCannotTakeTheSubscriptionsOfOthers) {
    std::vector<std::unique_ptr<Process>> monitors;
    for (int count = 0; count < 8; ++count)
        monitors.push_back(std::make_unique<Process>(nobody_.command(on_bus({"monitor"}))));
    for (const auto& monitor : monitors)
        ASSERT_TRUE(wait_until([&] { return !monitor->standard_error().empty(); }));
    const Outcome ninth = as_nobody({"monitor"});
    EXPECT_EQ(ninth.status, 1);
    EXPECT_NE(ninth.error.find("the limit of 8 subscribers of one user is reached"),
              std::string::npos)
        << ninth.error;
    EXPECT_TRUE(daemon_.manager().Subscribe()) << "all: root";
}

// --- with polkit

TEST_F(Access, PolkitAllows) {
    const Polkit polkit(daemon_.bus(),
                        "if (subject.user == 'nobody' && action.id == 'org.sockaccel1.manage')"
                        " return polkit.Result.YES;");
    EXPECT_EQ(as_nobody({"reload"}).output, "added redis\n");
    EXPECT_EQ(daemon_.manager().Generation(), 2u);
    EXPECT_EQ(as_nobody({"pause", "redis"}).status, 0);
    EXPECT_EQ(daemon_.manager().Paused(), Names{"redis"});
    EXPECT_EQ(as_nobody({"resume"}).status, 0);
    EXPECT_EQ(as_nobody({"probe"}).status, 0);
    EXPECT_EQ(as_nobody({"diff"}).status, 0) << "manage implies inspect";
    EXPECT_EQ(as_nobody({"connections", "--all"}).status, 0);
}

TEST_F(Access, PolkitAllowsToLookOnly) {
    const Polkit polkit(daemon_.bus(),
                        "return action.id == 'org.sockaccel1.inspect' ? polkit.Result.YES"
                        " : polkit.Result.NO;");
    daemon_.manager().Reload();
    const Loopback roots(cgroup_);
    ASSERT_TRUE(wait_until([&] { return daemon_.connections().size() == 1; }));
    const json seen = json::parse(as_nobody({"connections", "--all", "--json"}).output);
    EXPECT_EQ(seen["connections"].size(), 1u);
    EXPECT_EQ(seen["hidden"], 0);
    EXPECT_EQ(as_nobody({"diff"}).status, 0);
    const Outcome reload = as_nobody({"reload"});
    EXPECT_EQ(reload.status, 1);
    EXPECT_EQ(reload.error.find(denied("reload",
                                       "polkit does not allow org.sockaccel1.manage for uid "
                                       "65534: run it as root")),
              0u)
        << reload.error;
}

// By default polkit wants an administrator's password. There is no agent that could ask for it.
TEST_F(Access, PolkitWantsAPasswordThatNobodyIsAskedFor) {
    const Polkit polkit(daemon_.bus(), "");
    for (const char* command : {"reload", "pause", "resume", "probe"}) {
        const Outcome outcome = as_nobody({command});
        EXPECT_EQ(outcome.status, 1) << command;
        EXPECT_EQ(outcome.error.find(denied(command,
                                            "org.sockaccel1.manage needs an administrator's "
                                            "password, and there is nothing to ask for it: run it "
                                            "as root, or start a polkit agent")),
                  0u)
            << outcome.error;
    }
    EXPECT_EQ(daemon_.manager().Generation(), 1u);

    // Without the message's flag.
    const Outcome call =
        run({{"dbus-send", "--bus=" + daemon_.bus().address(), "--print-reply",
              "--dest=org.sockaccel1", "/org/sockaccel1", "org.sockaccel1.Manager.Reload"},
             {},
             kNobody});
    EXPECT_NE(call.status, 0);
    EXPECT_EQ(call.error.find("Error org.freedesktop.DBus.Error.InteractiveAuthorizationRequired: "
                              "org.sockaccel1.manage needs an administrator's password: call it as "
                              "root, or so that it may ask"),
              0u)
        << call.error;
}

TEST_F(Access, TheDaemonGoesOnWhilePolkitThinks) {
    Polkit polkit(daemon_.bus(), "return polkit.Result.YES;");
    polkit.process().signal(SIGSTOP);
    // One more than one user may ask at once.
    std::vector<std::unique_ptr<Process>> asking;
    for (int count = 0; count < 9; ++count)
        asking.push_back(std::make_unique<Process>(nobody_.command(on_bus({"pause"}))));
    const auto find_ended = [&asking] {
        return std::find_if(asking.begin(), asking.end(), [](auto& it) { return !it->runs(); });
    };
    ASSERT_TRUE(wait_until([&] { return find_ended() != asking.end(); }));
    const auto refused = find_ended();
    EXPECT_EQ((*refused)->wait(), 1);
    EXPECT_NE((*refused)->standard_error().find("too many callers wait"), std::string::npos)
        << (*refused)->standard_error();
    asking.erase(refused);

    EXPECT_EQ(as_nobody({"status"}).status, 0);
    EXPECT_EQ(as_root({"reload"}).output, "added redis\n");
    EXPECT_EQ(find_ended(), asking.end()) << "they wait";
    EXPECT_EQ(daemon_.manager().Paused(), Names{}) << "nothing is done before the answer";
    polkit.process().signal(SIGCONT);
    for (const auto& process : asking)
        EXPECT_EQ(process->wait(), 0) << process->standard_error();
    EXPECT_EQ(daemon_.manager().Paused(), Names{""});
}

TEST_F(Access, WhatPolkitDoesNotAnswerIsNotDone) {
    {
        Polkit polkit(daemon_.bus(), "return polkit.Result.YES;");
        EXPECT_EQ(as_nobody({"pause"}).status, 0);
        daemon_.manager().Resume("");
        polkit.process().signal(SIGSTOP);
        Process asking(nobody_.command(on_bus({"pause"})));
        EXPECT_FALSE(asking.wait(std::chrono::milliseconds(300)));
        polkit.process().signal(SIGKILL);
        EXPECT_EQ(asking.wait(), 1);
        EXPECT_NE(asking.standard_error().find("only root may do it"), std::string::npos)
            << asking.standard_error();
    }
    expect_denied("only root may do it");
}

}  // namespace
}  // namespace sockaccel::test
