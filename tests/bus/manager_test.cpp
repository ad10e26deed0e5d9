// SPDX-License-Identifier: GPL-2.0-or-later
// org.sockaccel1 as a client sees it.
#include <csignal>

#include "bus_names.hpp"
#include "bus_test.hpp"
#include "fentry.hpp"

namespace sockaccel::test {
namespace {

// Where a cgroup has to exist, and be nobody else's.
class Manager : public ::testing::Test {
  protected:
    TestCgroup cgroup_;
};

TEST_F(Manager, TellsWhatItIs) {
    Daemon daemon(rule("redis", cgroup_.path()));
    EXPECT_EQ(daemon.manager().PolicyFiles(), Names{daemon.policy_file()});
    EXPECT_EQ(daemon.manager().Generation(), 1u);
    EXPECT_EQ(daemon.manager().Rules(), Names{"redis"});
    EXPECT_EQ(daemon.manager().ActiveRules(), 1u);
    EXPECT_EQ(daemon.manager().Problems(), Names{});

    const Dict status = daemon.status();
    EXPECT_EQ(value_of<std::string>(status, "version"), daemon.manager().Version());
    EXPECT_EQ(value_of<Names>(status, "policy_files"), Names{daemon.policy_file()});
    EXPECT_NE(value_of<std::string>(status, "kernel"), "");
    EXPECT_EQ(value_of<std::uint32_t>(status, "rules"), 1u);
    EXPECT_EQ(value_of<std::uint32_t>(status, "pairs"), 0u);
    EXPECT_EQ(value_of<std::uint64_t>(status, "budget_used_bytes"), 0u);
    EXPECT_EQ(value_of<std::uint64_t>(status, "budget_bytes"), 256u << 20);
    EXPECT_EQ(value_of<std::uint64_t>(status, "halves_expired"), 0u);
    EXPECT_EQ(value_of<Names>(status, "problems"), Names{});
    EXPECT_EQ(daemon.connections().size(), 0u);
}

TEST_F(Manager, TellsWhatTheKernelDoesWithRedirectedData) {
    Daemon daemon(rule("redis", cgroup_.path()));
    EXPECT_EQ(daemon.manager().KernelState(), "usable");
    EXPECT_EQ(value_of<std::string>(daemon.status(), "kernel_state"), "usable");
    const auto before = daemon.manager().Findings();
    const auto [findings, is_usable] = daemon.manager().Probe();
    EXPECT_TRUE(is_usable);
    EXPECT_EQ(findings, before) << "the same kernel";
    ASSERT_GT(findings.size(), 10u);
    EXPECT_EQ(std::get<0>(findings[0]), "types");
    for (const auto& finding : findings) {
        const bool is_ok = std::get<3>(finding);
        EXPECT_NE(std::get<1>(finding), "") << std::get<0>(finding);
        EXPECT_TRUE(is_ok || !std::get<2>(finding).empty()) << std::get<0>(finding);
    }
    daemon.take_signals();
    EXPECT_EQ(daemon.manager().changes.size(), 0u) << "nothing has changed";
    EXPECT_EQ(daemon.rule("redis")->State(), "active");
}

TEST_F(Manager, ShowsEachRuleAsAnObject) {
    Daemon daemon(
        "[[rule]]\n"
        "name = \"web-1\"\n"
        "cgroups = [\"/" +
        cgroup_.path() +
        "\", \"nosuch.slice\"]\n"
        "ports = [80, \"7000-7100\"]\n"
        "networks = [\"10.0.0.0/8\", \"::1\"]\n"
        "priority = -3\n"
        "queue = \"64KiB\"\n"
        "prove = \"1500ms\"\n"
        "tolerate = [\"waitall\", \"splice\", \"fionread\"]\n");
    const auto rule = daemon.rule("web-1");
    EXPECT_EQ(rule->Name(), "web-1");
    EXPECT_EQ(rule->Cgroups(), (Names{"/" + cgroup_.path(), "nosuch.slice"}));
    EXPECT_EQ(rule->Ports(), (Names{"80", "7000-7100"}));
    EXPECT_EQ(rule->Networks(), (Names{"10.0.0.0/8", "::1/128"}));
    EXPECT_EQ(rule->Action(), "accelerate");
    EXPECT_EQ(rule->Priority(), -3);
    EXPECT_EQ(rule->QueueBytes(), 65536u);
    EXPECT_EQ(rule->ProveUSec(), 1500000u);
    EXPECT_EQ(rule->Tolerate(), (Names{"fionread", "splice", "waitall"}));
    EXPECT_EQ(rule->State(), "active");
    EXPECT_EQ(rule->Why(), "");
    EXPECT_EQ(rule->SelectedCgroups(), Names{cgroup_.path()});
    EXPECT_EQ(rule->SelectedCount(), 1u);
    EXPECT_EQ(rule->Counters(), (std::map<std::string, std::uint64_t>{{"paired", 0},
                                                                      {"enrolled", 0},
                                                                      {"left", 0},
                                                                      {"redirected_messages", 0},
                                                                      {"redirected_bytes", 0},
                                                                      {"tcp_messages", 0},
                                                                      {"tcp_bytes", 0}}));
    EXPECT_TRUE(rule->Reasons().empty());
}

TEST_F(Manager, SaysWhyARuleDoesNotRun) {
    Daemon daemon(rule("early", "nosuch.slice") + "[[rule]]\nname = \"unsafe\"\ncgroups = [\"" +
                  cgroup_.path() + "\"]\n");
    EXPECT_EQ(daemon.rule("early")->State(), "waiting");
    EXPECT_NE(daemon.rule("early")->Why(), "");
    if (fentry_loads()) {  // it is watched instead
        EXPECT_EQ(daemon.rule("unsafe")->State(), "active");
        EXPECT_EQ(daemon.rule("unsafe")->Why(), "");
        return;
    }
    EXPECT_EQ(daemon.rule("unsafe")->State(), "refused");
    EXPECT_NE(daemon.rule("unsafe")->Why().find("splice"), std::string::npos);
    EXPECT_EQ(daemon.manager().ActiveRules(), 0u);
}

TEST_F(Manager, ListsRulesThroughTheObjectManager) {
    Daemon daemon(rule("b", cgroup_.path()) + rule("a", "nosuch.slice", "priority = -1\n"));
    EXPECT_EQ(daemon.manager().Rules(), (Names{"b", "a"}));
    const auto objects = daemon.manager().GetManagedObjects();
    ASSERT_EQ(objects.size(), 2u);
    const Properties& shown =
        objects.at(sdbus::ObjectPath(rule_path("b"))).at(InterfaceName("org.sockaccel1.Rule"));
    const Dict b(shown.begin(), shown.end());
    EXPECT_EQ(value_of<std::string>(b, "Name"), "b");
    EXPECT_EQ(value_of<std::string>(b, "State"), "active");
    EXPECT_EQ(objects.count(sdbus::ObjectPath(rule_path("a"))), 1u);
}

TEST_F(Manager, ReloadAnnouncesWhatChanged) {
    Daemon daemon(rule("gone", "nosuch.slice") + rule("kept", cgroup_.path()) +
                  rule("same", "other.slice"));
    const auto kept = daemon.rule("kept");
    const auto same = daemon.rule("same");
    daemon.write_policy(rule("fresh", cgroup_.path()) +
                        rule("kept", cgroup_.path(), "queue = \"128KiB\"\n") +
                        rule("same", "other.slice"));
    const Names changes = daemon.manager().Reload();
    EXPECT_EQ(changes.size(), 3u);
    EXPECT_TRUE(contains(changes, "added fresh")) << changes.at(0);
    EXPECT_TRUE(contains(changes, "removed gone"));
    EXPECT_TRUE(contains(changes, "changed kept: queue"));

    EXPECT_EQ(daemon.manager().Generation(), 2u);
    EXPECT_EQ(daemon.manager().Rules(), (Names{"fresh", "kept", "same"}));
    EXPECT_EQ(daemon.manager().ActiveRules(), 2u);
    EXPECT_EQ(kept->QueueBytes(), 128u << 10);

    ASSERT_TRUE(
        daemon.wait_for_signal([&] { return told(daemon.manager().changes, "Generation"); }));
    EXPECT_TRUE(told(daemon.manager().changes, "Rules"));
    EXPECT_TRUE(told(daemon.manager().changes, "ActiveRules"));
    EXPECT_FALSE(told(daemon.manager().changes, "Problems"));
    EXPECT_EQ(daemon.manager().added, Names{rule_path("fresh")});
    EXPECT_EQ(daemon.manager().removed, Names{rule_path("gone")});
    ASSERT_EQ(kept->changes.size(), 1u);
    EXPECT_EQ(kept->changes[0].size(), 1u);
    EXPECT_EQ(value_of<std::uint64_t>(kept->changes[0], "QueueBytes"), 128u << 10);
    EXPECT_EQ(same->changes.size(), 0u);
    EXPECT_THROW(static_cast<void>(daemon.rule("gone")->State()), sdbus::Error);
}

TEST_F(Manager, ReloadOfTheSamePolicyOnlyCountsUp) {
    Daemon daemon(rule("redis", cgroup_.path()));
    EXPECT_EQ(daemon.manager().Reload(), Names{});
    ASSERT_TRUE(daemon.wait_for_signal([&] { return !daemon.manager().changes.empty(); }));
    ASSERT_EQ(daemon.manager().changes.size(), 1u);
    EXPECT_EQ(daemon.manager().changes[0].size(), 2u);
    EXPECT_EQ(value_of<std::uint32_t>(daemon.manager().changes[0], "Generation"), 2u);
    EXPECT_GT(value_of<std::uint64_t>(daemon.manager().changes[0], "LastReloadUSec"), 0u);
}

TEST_F(Manager, AnInvalidPolicyChangesNothing) {
    Daemon daemon(rule("redis", cgroup_.path()));
    daemon.write_policy(bad_policy());
    try {
        daemon.manager().Reload();
        FAIL() << "the policy was taken";
    } catch (const sdbus::Error& error) {
        EXPECT_EQ(error.getName(), kErrorInvalidPolicy);
        EXPECT_EQ(error.getMessage().find(daemon.policy_file() + ":3:10: "), 0u)
            << error.getMessage();
        EXPECT_NE(error.getMessage().find("70000"), std::string::npos) << error.getMessage();
    }
    EXPECT_EQ(daemon.manager().Generation(), 1u);
    EXPECT_EQ(daemon.manager().Rules(), Names{"redis"});
    EXPECT_EQ(daemon.rule("redis")->State(), "active");
    daemon.take_signals();
    EXPECT_EQ(daemon.manager().changes.size(), 0u);
    EXPECT_EQ(daemon.manager().added.size(), 0u);
}

TEST_F(Manager, SighupReloads) {
    Daemon daemon(rule("redis", cgroup_.path()));
    daemon.write_policy(rule("web", cgroup_.path()));
    daemon.process().signal(SIGHUP);
    ASSERT_TRUE(
        daemon.wait_for_signal([&] { return told(daemon.manager().changes, "Generation"); }));
    EXPECT_EQ(daemon.manager().Generation(), 2u);
    EXPECT_EQ(daemon.manager().Rules(), Names{"web"});
    EXPECT_EQ(daemon.manager().added, Names{rule_path("web")});
}

TEST_F(Manager, SighupWithAnInvalidPolicyIsLoggedAndChangesNothing) {
    Daemon daemon(rule("redis", cgroup_.path()));
    daemon.write_policy(bad_policy());
    daemon.process().signal(SIGHUP);
    ASSERT_TRUE(wait_until([&] {
        return daemon.output().find(daemon.policy_file() + ":3:10: ") != std::string::npos;
    })) << daemon.output();
    EXPECT_EQ(daemon.manager().Generation(), 1u);
    EXPECT_EQ(daemon.manager().Rules(), Names{"redis"});
}

TEST_F(Manager, ACgroupThatComesAndGoesIsAnnounced) {
    Daemon daemon(rule("redis", cgroup_.path() + "/service"));
    const auto redis = daemon.rule("redis");
    EXPECT_EQ(redis->State(), "waiting");
    {
        const TestCgroup service(cgroup_, "service");
        ASSERT_TRUE(
            daemon.wait_for_signal([&] { return told(daemon.manager().changes, "ActiveRules"); }));
        EXPECT_EQ(daemon.manager().ActiveRules(), 1u);
        ASSERT_TRUE(told(redis->changes, "State"));
        EXPECT_EQ(value_of<std::string>(redis->changes[0], "State"), "active");
        EXPECT_EQ(value_of<std::string>(redis->changes[0], "Why"), "");
        EXPECT_EQ(value_of<Names>(redis->changes[0], "SelectedCgroups"),
                  Names{cgroup_.path() + "/service"});
        daemon.manager().changes.clear();
    }
    ASSERT_TRUE(
        daemon.wait_for_signal([&] { return told(daemon.manager().changes, "ActiveRules"); }));
    EXPECT_EQ(redis->State(), "waiting");
    EXPECT_EQ(daemon.manager().Generation(), 1u);
}

// A bus ends the connection of a sender of too large a message, and any user with a cgroup subtree
// of their own may fill it.
TEST_F(Manager, ALongListOfCgroupsIsCutShort) {
    std::vector<std::unique_ptr<TestCgroup>> many;
    for (int count = 0; count < 700; ++count)
        many.push_back(
            std::make_unique<TestCgroup>(cgroup_, std::string(200, 'x') + std::to_string(count)));
    Daemon daemon(rule("redis", cgroup_.path() + "/*"));
    const auto redis = daemon.rule("redis");
    EXPECT_EQ(redis->SelectedCount(), 700u);
    EXPECT_GT(redis->SelectedCgroups().size(), 400u);
    EXPECT_LT(redis->SelectedCgroups().size(), 700u);
    many.pop_back();
    ASSERT_TRUE(daemon.wait_for_signal([&] { return told(redis->changes, "SelectedCount"); }));
}

// sd-bus refuses a whole message for one byte that is not UTF-8; any user may have named the
// cgroup.
TEST_F(Manager, ACgroupWhoseNameIsNotUtf8IsShownEscaped) {
    const TestCgroup strange(cgroup_, "a\xff-b");
    Daemon daemon(rule("redis", cgroup_.path() + "/*"));
    EXPECT_EQ(daemon.rule("redis")->SelectedCgroups(), Names{cgroup_.path() + "/a\\xff-b"});
    const Loopback pair(strange);
    ASSERT_TRUE(wait_until([&] { return daemon.connections().size() == 1; }));
    EXPECT_EQ(value_of<std::string>(daemon.connections()[0], "client_cgroup"),
              cgroup_.path() + "/a\\xff-b");
}

TEST_F(Manager, ShowsAConnectionWithBothEnds) {
    Daemon daemon(rule("redis", cgroup_.path()));
    const Loopback pair(cgroup_);
    const auto reason_now = [&daemon] {
        const std::vector<Dict> connections = daemon.connections();
        return connections.empty() ? "" : value_of<std::string>(connections[0], "reason");
    };
    ASSERT_TRUE(wait_until([&] { return reason_now() == "blocking"; })) << reason_now();
    const Dict connection = daemon.connections().at(0);
    EXPECT_EQ(value_of<std::string>(connection, "rule"), "redis");
    EXPECT_EQ(value_of<std::string>(connection, "state"), "paired");
    EXPECT_EQ(value_of<std::string>(connection, "reason_text"), "an end is not O_NONBLOCK");
    EXPECT_LT(value_of<std::uint64_t>(connection, "age_usec"), 60u * 1000 * 1000);
    EXPECT_EQ(value_of<std::string>(connection, "client_address"), "127.0.0.1");
    EXPECT_EQ(value_of<std::uint16_t>(connection, "client_port"), pair.client_port);
    EXPECT_EQ(value_of<std::string>(connection, "client_peer_address"), "127.0.0.1");
    EXPECT_EQ(value_of<std::uint16_t>(connection, "client_peer_port"), pair.server_port);
    EXPECT_EQ(value_of<std::uint16_t>(connection, "server_port"), pair.server_port);
    EXPECT_EQ(value_of<std::uint16_t>(connection, "server_peer_port"), pair.client_port);
    EXPECT_NE(value_of<std::uint64_t>(connection, "client_cookie"),
              value_of<std::uint64_t>(connection, "server_cookie"));
    EXPECT_EQ(value_of<std::uint64_t>(connection, "client_netns"),
              value_of<std::uint64_t>(connection, "server_netns"));
    EXPECT_EQ(value_of<std::uint32_t>(connection, "server_uid"), 0u);
    EXPECT_EQ(value_of<std::string>(connection, "server_cgroup"), cgroup_.path());
    EXPECT_EQ(value_of<std::uint64_t>(connection, "server_queued_bytes"), 0u);
    EXPECT_EQ(value_of<std::uint64_t>(connection, "client_redirected_bytes"), 0u);
    EXPECT_EQ(value_of<std::uint64_t>(connection, "client_redirected_messages"), 0u);
    EXPECT_EQ(value_of<std::uint64_t>(connection, "client_tcp_bytes"), 0u);
    EXPECT_EQ(value_of<std::uint64_t>(connection, "client_tcp_messages"), 0u);
    EXPECT_TRUE(
        (value_of<std::map<std::string, std::uint64_t>>(connection, "client_reasons")).empty());
    EXPECT_EQ(daemon.rule("redis")->Counters().at("paired"), 1u);
}

TEST_F(Manager, EventsGoToSubscribersOnly) {
    Daemon daemon(rule("redis", cgroup_.path()));
    const auto other_connection = connect(daemon.bus());
    ManagerProxy other(*other_connection);
    daemon.manager().Subscribe();
    daemon.manager().Subscribe();  // twice is once

    const Loopback pair(cgroup_);
    ASSERT_TRUE(daemon.wait_for_signal([&] { return !daemon.manager().events.empty(); }));
    EXPECT_EQ(daemon.manager().events[0].first, "paired");
    const Dict& details = daemon.manager().events[0].second;
    EXPECT_EQ(value_of<std::string>(details, "rule"), "redis");
    EXPECT_EQ(value_of<std::string>(details, "client_address"), "127.0.0.1");
    EXPECT_EQ(value_of<std::uint16_t>(details, "client_port"), pair.client_port);
    EXPECT_EQ(value_of<std::string>(details, "server_address"), "127.0.0.1");
    EXPECT_EQ(value_of<std::uint16_t>(details, "server_port"), pair.server_port);
    ASSERT_TRUE(wait_until([&] { return daemon.connections().size() == 1; }));
    const Dict connection = daemon.connections()[0];
    for (const char* cookie : {"client_cookie", "server_cookie"})
        EXPECT_EQ(value_of<std::uint64_t>(details, cookie),
                  value_of<std::uint64_t>(connection, cookie));
    const auto now = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now().time_since_epoch());
    const std::chrono::microseconds time(value_of<std::uint64_t>(details, "time_usec"));
    EXPECT_LE(time, now);
    EXPECT_GT(time, now - std::chrono::minutes(1));
    EXPECT_EQ(daemon.manager().events.size(), 1u);

    other.Generation();
    while (process_pending(*other_connection)) {
    }
    EXPECT_EQ(other.events.size(), 0u);

    daemon.manager().Unsubscribe();
    daemon.manager().events.clear();
    const Loopback second(cgroup_);
    ASSERT_TRUE(wait_until([&] { return daemon.connections().size() == 2; }));
    daemon.take_signals();
    EXPECT_EQ(daemon.manager().events.size(), 0u);
}

TEST_F(Manager, ForgetsSubscribersThatLeaveTheBus) {
    Daemon daemon(rule("redis", cgroup_.path()));
    std::vector<std::unique_ptr<sdbus::IConnection>> connections;
    for (int count = 0; count < 64; ++count) {
        connections.push_back(connect(daemon.bus()));
        ManagerProxy(*connections.back()).Subscribe();
    }
    EXPECT_THROW(daemon.manager().Subscribe(), sdbus::Error);
    connections.pop_back();
    EXPECT_TRUE(wait_until([&] {
        try {
            daemon.manager().Subscribe();
            return true;
        } catch (const sdbus::Error& error) {
            EXPECT_EQ(error.getName(), kErrorFailed);
            return false;
        }
    }));
    connections.clear();
    const Loopback pair(cgroup_);
    EXPECT_TRUE(daemon.wait_for_signal([&] { return !daemon.manager().events.empty(); }));
}

// --- pause

// Of a call that has to fail.
template <typename Call>
std::string error_of(Call call) {
    try {
        call();
    } catch (const sdbus::Error& error) {
        return error.getName() + ": " + error.getMessage();
    }
    return "no error";
}

TEST_F(Manager, PausesAndResumesARule) {
    Daemon daemon(rule("redis", cgroup_.path()) + rule("web", cgroup_.path()));
    const auto redis = daemon.rule("redis");
    daemon.manager().Pause("redis");
    EXPECT_EQ(daemon.manager().Paused(), Names{"redis"});
    EXPECT_EQ(value_of<Names>(daemon.status(), "paused"), Names{"redis"});
    EXPECT_EQ(daemon.manager().ActiveRules(), 1u);
    EXPECT_EQ(redis->State(), "paused");
    EXPECT_EQ(daemon.rule("web")->State(), "active");
    EXPECT_TRUE(daemon.wait_for_signal(
        [&] { return told(daemon.manager().changes, "Paused") && told(redis->changes, "State"); }));
    daemon.manager().changes.clear();
    daemon.manager().Resume("redis");
    EXPECT_EQ(daemon.manager().Paused(), Names{});
    EXPECT_EQ(redis->State(), "active");
    EXPECT_TRUE(daemon.wait_for_signal([&] { return told(daemon.manager().changes, "Paused"); }));
}

TEST_F(Manager, PausesEverythingAndResumesOneRuleOfIt) {
    Daemon daemon(rule("redis", cgroup_.path()) + rule("web", cgroup_.path()));
    daemon.manager().Pause("");
    EXPECT_EQ(daemon.manager().Paused(), Names{""});
    daemon.write_policy(rule("redis", cgroup_.path()) + rule("web", cgroup_.path()) +
                        rule("db", cgroup_.path()));
    daemon.manager().Reload();
    EXPECT_EQ(daemon.rule("db")->State(), "paused");
    daemon.manager().Resume("web");
    EXPECT_EQ(daemon.manager().Paused(), (Names{"db", "redis"}));
    EXPECT_EQ(daemon.rule("web")->State(), "active");
    daemon.manager().Resume("");
    EXPECT_EQ(daemon.manager().ActiveRules(), 3u);
}

TEST_F(Manager, SaysWhichRuleWasMeant) {
    Daemon daemon(rule("redis", cgroup_.path()));
    EXPECT_EQ(error_of([&] { daemon.manager().Pause("redsi"); }),
              "org.sockaccel1.Error.NoSuchRule: there is no rule \"redsi\": did you mean "
              "\"redis\"?");
    EXPECT_EQ(error_of([&] { daemon.manager().Resume("postgres"); }),
              "org.sockaccel1.Error.NoSuchRule: there is no rule \"postgres\"");
    EXPECT_EQ(daemon.manager().Paused(), Names{});
}

TEST_F(Manager, SaysThatAPauseCannotBeKept) {
    const TemporaryDirectory directory;
    const std::filesystem::path state = directory.path() / "state";
    Daemon daemon(rule("redis", cgroup_.path()), {"--state", state});
    std::filesystem::remove_all(state);
    static_cast<void>(directory.write("state", ""));
    const std::string error = error_of([&] { daemon.manager().Pause("redis"); });
    EXPECT_NE(error.find("it is done, but a restart would undo it: "), std::string::npos) << error;
    EXPECT_EQ(daemon.rule("redis")->State(), "paused");
}

}  // namespace
}  // namespace sockaccel::test
