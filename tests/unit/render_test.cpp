// SPDX-License-Identifier: GPL-2.0-or-later
#include "render.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>

namespace sockaccel::ctl {
namespace {

using nlohmann::json;

RuleReport redis() {
    RuleReport rule;
    rule.name = "redis";
    rule.state = "active";
    rule.action = "accelerate";
    rule.units = {"redis.service"};
    rule.cgroups = {"web.slice"};
    rule.ports = {"6379", "7000-7100"};
    rule.networks = {"127.0.0.0/8"};
    rule.tolerate = {"splice"};
    rule.queue_bytes = 1 << 20;
    rule.prove = std::chrono::minutes(5);
    rule.selected_count = 1;
    rule.selected_cgroups = {"web.slice"};
    rule.paired = 9;
    rule.enrolled = 5;
    rule.left = 2;
    rule.redirected_messages = 10;
    rule.redirected_bytes = 3 << 20;
    rule.tcp_messages = 4;
    rule.tcp_bytes = 512;
    rule.reasons = {{"order", 4}};
    return rule;
}

RuleReport web() {
    RuleReport rule;
    rule.name = "web";
    rule.state = "refused";
    rule.why = "it would have to tolerate splice";
    rule.action = "accelerate";
    return rule;
}

StatusReport status() {
    StatusReport report;
    report.version = "0.1";
    report.kernel = "6.1.0";
    report.kernel_state = "usable";
    report.policy_files = {"/etc/sockaccel.toml"};
    report.generation = 2;
    report.rules = {redis(), web()};
    report.pairs = 4;
    report.budget_used_bytes = 1536;
    report.budget_bytes = 256 << 20;
    return report;
}

ConnectionsReport connections() {
    ConnectionReport connection;
    connection.rule = "redis";
    connection.state = "paired";
    connection.reason = "blocking";
    connection.reason_text = "an end is not O_NONBLOCK";
    connection.age = std::chrono::hours(2) + std::chrono::minutes(5);
    connection.client.address = connection.client.peer_address = "::1";
    connection.client.port = 40000;
    connection.client.peer_port = 6379;
    connection.client.cookie = 17;
    connection.client.uid = 1000;
    connection.client.cgroup = "web.slice";
    connection.client.unit = "redis.service";
    connection.client.process = "redis-cli";
    connection.client.pid = 7;
    connection.client.redirected_bytes = 2048;
    connection.client.reasons = {{"queue", 3}};
    connection.server.address = "10.0.0.2";
    connection.server.peer_address = "10.0.0.1";
    connection.server.port = 6380;
    connection.server.peer_port = 40001;
    connection.server.cookie = 18;
    connection.server.tcp_bytes = 7;
    return {{connection}, 0, 0, 0};
}

EventReport event() {
    EventReport report;
    report.event = "left";
    report.rule = "redis";
    report.reason = "closed";
    report.reason_text = "the connection was closed";
    report.client_address = "127.0.0.1";
    report.client_port = 40000;
    report.server_address = "::1";
    report.server_port = 6379;
    report.client_cookie = 17;
    report.server_cookie = 18;
    report.client_uid = 1000;
    report.monotonic = std::chrono::microseconds(5);
    report.time = std::chrono::system_clock::time_point(std::chrono::seconds(86400 + 3661) +
                                                        std::chrono::microseconds(42));
    return report;
}

TEST(Render, StatusFitsOneScreen) {
    EXPECT_EQ(status_text(status()),
              "sockaccel 0.1 on Linux 6.1.0 (usable)\n"
              "policy       /etc/sockaccel.toml, generation 2\n"
              "connections  3 accelerated, 4 pairs in the kernel's table\n"
              "bytes        3MiB redirected, 512B left to TCP\n"
              "memory       1.5KiB of 256MiB used by queued data\n"
              "problems     none\n"
              "\n"
              "RULE   STATE    LIVE  ENROLLED  REDIRECTED  LEFT TO TCP\n"
              "redis  active      3         5        3MiB         512B\n"
              "web    refused     0         0          0B           0B\n"
              "\n"
              "web is refused: it would have to tolerate splice\n");
}

TEST(Render, StatusNamesTheFirstPolicyFiles) {
    StatusReport report = status();
    const auto line = [&report] {
        const std::string text = status_text(report);
        const std::size_t begin = text.find("policy ");
        return text.substr(begin, text.find('\n', begin) - begin);
    };
    report.policy_files = {};
    EXPECT_EQ(line(), "policy       no file, generation 2");
    report.policy_files = {"/a", "/b", "/c"};
    EXPECT_EQ(line(), "policy       /a, /b, /c, generation 2");
    report.policy_files = {"/a", "/b", "/c", "/d", "/e"};
    EXPECT_EQ(line(), "policy       /a, /b, /c and 2 more, generation 2");
}

TEST(Render, StatusTellsForeignPrograms) {
    StatusReport report = status();
    report.rules.resize(1);
    report.foreign = {"sk_msg program 9", "sock_ops program 7 (theirs) on cgroup /a"};
    const std::string text = status_text(report);
    EXPECT_NE(text.find("\nproblems     none\nforeign      2 programs of others\n"
                        "  sk_msg program 9\n  sock_ops program 7 (theirs) on cgroup /a\n\n"),
              std::string::npos)
        << text;
    EXPECT_EQ(json::parse(status_json(report))["foreign"].size(), 2U);
    EXPECT_TRUE(report.is_well());
}

TEST(Render, StatusTellsWhatIsPaused) {
    StatusReport report = status();
    report.rules.resize(1);
    report.rules[0].state = "paused";
    report.rules[0].why = "everything goes by TCP until it is resumed";
    report.paused = {"gone", "redis"};
    const std::string text = status_text(report);
    EXPECT_NE(text.find("\npaused       gone, redis\nproblems     none\n"), std::string::npos)
        << text;
    EXPECT_NE(text.find("\nredis  paused  "), std::string::npos) << text;
    EXPECT_NE(text.find("\nredis is paused: everything goes by TCP until it is resumed\n"),
              std::string::npos)
        << text;
    EXPECT_EQ(json::parse(status_json(report))["paused"], json::array({"gone", "redis"}));
    EXPECT_TRUE(report.is_well());
    report.paused = {""};
    EXPECT_NE(status_text(report).find("\npaused       everything\n"), std::string::npos);
}

TEST(Render, StatusTellsProblems) {
    StatusReport report = status();
    report.problems = {"attach to /a: busy", "attach to /b: busy"};
    const std::string text = status_text(report);
    EXPECT_NE(text.find("problems     2\n  attach to /a: busy\n  attach to /b: busy\n"),
              std::string::npos)
        << text;
}

TEST(Render, StatusWithoutRulesSaysSo) {
    StatusReport report = status();
    report.rules.clear();
    EXPECT_NE(status_text(report).find("no rules: nothing is accelerated"), std::string::npos);
    EXPECT_TRUE(report.is_well());
}

TEST(Render, AllIsWellOnlyWithoutProblemsAndRefusedRules) {
    StatusReport report = status();
    EXPECT_FALSE(report.is_well());
    report.rules = {redis()};
    EXPECT_TRUE(report.is_well());
    report.problems = {"attach to /a: busy"};
    EXPECT_FALSE(report.is_well());
}

TEST(Render, StatusAsJson) {
    StatusReport report = status();
    report.rules = {redis()};
    EXPECT_EQ(json::parse(status_json(report)), json::parse(R"({
        "version": "0.1", "kernel": "6.1.0", "kernel_state": "usable", "policy_files": ["/etc/sockaccel.toml"],
        "generation": 2, "last_reload_usec": 0, "well": true, "problems": [], "paused": [], "foreign": [], "pairs": 4,
        "budget_used_bytes": 1536, "budget_bytes": 268435456, "halves_expired": 0,
        "limit_hits": {}, "pass_usec": 0,
        "rules": [{
            "name": "redis", "state": "active", "why": "", "action": "accelerate", "holder": "",
            "priority": 0, "units": ["redis.service"], "cgroups": ["web.slice"],
            "ports": ["6379", "7000-7100"], "networks": ["127.0.0.0/8"],
            "tolerate": ["splice"], "queue_bytes": 1048576, "prove_usec": 300000000,
            "selected_count": 1, "selected_cgroups": ["web.slice"], "live": 3, "paired": 9, "enrolled": 5,
            "left": 2, "redirected_messages": 10, "redirected_bytes": 3145728,
            "tcp_messages": 4, "tcp_bytes": 512, "reasons": {"order": 4}}]})"));
}

TEST(Render, RulesAsTable) {
    EXPECT_EQ(rules_text({redis(), web()}),
              "RULE   STATE    ACTION      PRIORITY  PORTS            NETWORKS     SELECTS         "
              "          NOW  LIVE  PAIRED  REDIRECTED  LEFT TO TCP\n"
              "redis  active   accelerate         0  6379, 7000-7100  127.0.0.0/8  "
              "redis.service, web.slice    1     3       9        3MiB         512B\n"
              "web    refused  accelerate         0  every            -            -               "
              "            0     0       0          0B           0B\n"
              "\n"
              "web is refused: it would have to tolerate splice\n");
    EXPECT_EQ(rules_text({}), "no rules: nothing is accelerated, see sockaccel.toml(5)\n");
}

TEST(Render, ListsAreJsonObjectsWithOneKey) {
    EXPECT_EQ(json::parse(rules_json({})), json::parse(R"({"rules": []})"));
    EXPECT_EQ(json::parse(rules_json({redis()}))["rules"][0]["name"], "redis");
    EXPECT_EQ(json::parse(changes_json({})), json::parse(R"({"changes": []})"));
    EXPECT_EQ(json::parse(changes_json({"added redis"})),
              json::parse(R"({"changes": ["added redis"]})"));
    EXPECT_EQ(json::parse(changes_json({"a", "b"})), json::parse(R"({"changes": ["a", "b"]})"));
}

TEST(Render, ConnectionsAsTable) {
    EXPECT_EQ(connections_text(connections(), false),
              "RULE   CLIENT -> SERVER           STATE   REASON      AGE  REDIRECTED ->/<-  "
              "MESSAGES  LEFT TO TCP ->/<-  MESSAGES  CLIENT                      SERVER\n"
              "redis  [::1]:40000 -> [::1]:6379  paired  blocking  2h05m  2KiB/0B           "
              "0/0       0B/7B              0/0       redis-cli[7] redis.service  /\n");
    EXPECT_EQ(
        connections_text({}, false),
        "no covered connections; those that have not carried 8 segments with data yet are not "
        "listed\n");
}

// Eighty columns: three lines a connection, and none of them is longer.
TEST(Render, ConnectionsOnANarrowTerminal) {
    EXPECT_EQ(connections_text(connections(), false, {80, false}),
              "RULE   CLIENT -> SERVER           STATE   REASON      AGE\n"
              "redis  [::1]:40000 -> [::1]:6379  paired  blocking  2h05m\n"
              "  redis-cli[7] redis.service -> /\n"
              "  redirected 2KiB/0B in 0/0 messages, left to TCP 0B/7B in 0/0\n");
}

TEST(Render, StatusSaysWhenThePolicyWasRead) {
    StatusReport report = status();
    report.last_reload = std::chrono::hours(24 * 365);
    EXPECT_NE(status_text(report).find(", generation 2, read 1971-01-0"), std::string::npos);
}

TEST(Render, ColorsOnlyWhereTheyAreWanted) {
    EXPECT_EQ(status_text(status(), {80, false}).find('\x1b'), std::string::npos);
    EXPECT_NE(status_text(status(), {80, true}).find("\x1b[32musable\x1b[0m"), std::string::npos);
}

TEST(Render, WideConnectionsShowBothViews) {
    const std::string text = connections_text(connections(), true);
    EXPECT_NE(text.find("10.0.0.1:40001 -> 10.0.0.2:6380  /web.slice     /              17/18    "
                        "1000/0\n"),
              std::string::npos)
        << text;
}

TEST(Render, ConnectionsSayWhatIsNotShown) {
    ConnectionsReport report = connections();
    report.omitted = 3;
    report.hidden = 7;
    const std::string text = connections_text(report, false);
    EXPECT_NE(text.find("\n3 more not shown"), std::string::npos) << text;
    EXPECT_NE(text.find("\n7 more of other users: see them as root, or with --all\n"),
              std::string::npos)
        << text;
    EXPECT_EQ(json::parse(connections_json(report))["omitted"], 3);
    EXPECT_EQ(json::parse(connections_json(report))["hidden"], 7);
}

TEST(Render, ConnectionsAsJson) {
    EXPECT_EQ(json::parse(connections_json(connections())), json::parse(R"({
        "connections": [{
            "rule": "redis", "state": "paired", "reason": "blocking",
            "reason_text": "an end is not O_NONBLOCK", "besides": "none", "age_usec": 7500000000,
            "client": {
                "address": "::1", "port": 40000, "peer_address": "::1", "peer_port": 6379,
                "cookie": 17, "netns": 0, "uid": 1000, "cgroup": "web.slice", "unit": "redis.service", "pid": 7, "process": "redis-cli",
                "queued_bytes": 0, "redirected_messages": 0, "redirected_bytes": 2048,
                "tcp_messages": 0, "tcp_bytes": 0, "reasons": {"queue": 3}},
            "server": {
                "address": "10.0.0.2", "port": 6380, "peer_address": "10.0.0.1",
                "peer_port": 40001, "cookie": 18, "netns": 0, "uid": 0, "cgroup": "", "unit": "", "pid": 0, "process": "",
                "queued_bytes": 0, "redirected_messages": 0, "redirected_bytes": 0,
                "tcp_messages": 0, "tcp_bytes": 7, "reasons": {}}}],
        "filtered": 0, "omitted": 0, "hidden": 0})"));
}

// A user may name a cgroup so that it clears the terminal of whoever looks.
TEST(Render, ControlCharactersDoNotReachTheTerminal) {
    ConnectionsReport report = connections();
    report.connections[0].client.cgroup = "a\x1b[2J\n\x7f\xc2\x9b\xff\u00e4";
    const std::string text = connections_text(report, true);
    EXPECT_NE(text.find("/a\\x1b[2J\\x0a\\x7f\\xc2\\x9b\\xff\u00e4"), std::string::npos) << text;
    EXPECT_EQ(json::parse(connections_json(report)).at("connections").size(), 1u);
}

TEST(Render, AgesHaveTheirTwoLargestUnits) {
    const auto age = [](std::chrono::seconds seconds) {
        ConnectionsReport report = connections();
        report.connections[0].age = seconds;
        const std::string text = connections_text(report, false);
        const std::size_t begin = text.find_first_not_of(' ', text.find("blocking") + 8);
        return text.substr(begin, text.find(' ', begin) - begin);
    };
    using namespace std::chrono_literals;
    EXPECT_EQ(age(0s), "0s");
    EXPECT_EQ(age(59s), "59s");
    EXPECT_EQ(age(200s), "3m20s");
    EXPECT_EQ(age(99h + 30min), "4d03h");
}

TEST(Render, AnEventIsOneLine) {
    setenv("TZ", "UTC", 1);
    tzset();
    EXPECT_EQ(event_text(event()),
              "01:01:01.000042 left     redis 127.0.0.1:40000 -> [::1]:6379 closed: the connection "
              "was closed\n");
    EventReport good = event();
    good.event = "enrolled";
    good.reason = "none";
    good.rule = "";
    EXPECT_EQ(event_text(good), "01:01:01.000042 enrolled - 127.0.0.1:40000 -> [::1]:6379\n");
}

TEST(Render, AnEventAsJsonIsOneLineInUtc) {
    const std::string line = event_json(event());
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    EXPECT_EQ(json::parse(line), json::parse(R"({
        "time": "1970-01-02T01:01:01.000042Z", "monotonic_usec": 5, "event": "left",
        "rule": "redis", "client_address": "127.0.0.1", "client_port": 40000,
        "server_address": "::1", "server_port": 6379, "client_cookie": 17,
        "server_cookie": 18, "client_uid": 1000, "server_uid": 0, "reason": "closed",
        "reason_text": "the connection was closed"})"));
}

TEST(Render, ChangesAreALineEach) {
    EXPECT_EQ(changes_text({}), "nothing changed\n");
    EXPECT_EQ(changes_text({"added redis", "removed web"}), "added redis\nremoved web\n");
}

constexpr const char* kPolicy = R"(
[[rule]]
name = "redis"
cgroups = ["system.slice/redis.service"]
ports = [6379, "7000-7100"]
queue = "64KiB"
prove = "0s"
priority = 2
tolerate = ["fionread", "splice", "waitall"]
[[rule]]
name = "web"
units = ["web@.service", "web.socket"]
cgroups = ["web.slice"]
[[rule]]
name = "zero"
cgroups = ["db.slice"]
action = "bypass"
)";

EffectivePolicy only_file() {
    PolicyText text = parse_policy_text(kPolicy, "/p.toml");
    EffectivePolicy effective;
    effective.files = {"/p.toml"};
    for (const auto& [name, where] : text.rules)
        effective.rules[name] = {"/p.toml", where};
    effective.policy = std::move(text.policy);
    return effective;
}

ProbeReport probed() {
    return {
        {{"order", "as sent", "", true},
         {"fionread-plain", "counts 0 of 9 bytes", "a rule has to tolerate \"fionread\"", false}},
        true};
}

TEST(Render, ProbeIsATableOfChecksResultsAndConsequences) {
    EXPECT_EQ(probe_text(probed()),
              "CHECK                  RESULT               CONSEQUENCE\n"
              "order           right  as sent              -\n"
              "fionread-plain  wrong  counts 0 of 9 bytes  a rule has to tolerate \"fionread\"\n"
              "\n"
              "this kernel is usable\n");
    ProbeReport unusable = probed();
    unusable.is_usable = false;
    EXPECT_NE(probe_text(unusable).find("\n\nthis kernel is unusable: nothing is accelerated\n"),
              std::string::npos);
}

TEST(Render, ProbeAsJson) {
    EXPECT_EQ(json::parse(probe_json(probed())), json::parse(R"({
        "usable": true,
        "findings": [
            {"check": "order", "ok": true, "result": "as sent", "consequence": ""},
            {"check": "fionread-plain", "ok": false, "result": "counts 0 of 9 bytes",
             "consequence": "a rule has to tolerate \"fionread\""}]})"));
}

TEST(Render, PolicySaysWhatTheFileMeans) {
    const std::string text = policy_text("p.toml", only_file());
    EXPECT_EQ(text.substr(0, text.find("   refused:")),
              "p.toml: 3 rules, in deciding order\n"
              "limits: 65536 connections, 256MiB of queued data\n"
              "\n"
              "1. redis: accelerate\n"
              "   cgroups   system.slice/redis.service\n"
              "   ports     6379, 7000-7100\n"
              "   networks  127.0.0.0/8, ::1/128\n"
              "   priority  2\n"
              "   queue     64KiB\n"
              "   prove     0s\n"
              "   tolerate  fionread, splice, waitall\n"
              "\n"
              "2. web: accelerate\n"
              "   units     web@.service, web.socket\n"
              "   cgroups   web.slice\n"
              "   ports     every\n"
              "   networks  127.0.0.0/8, ::1/128\n"
              "   queue     2MiB\n"
              "   prove     5min\n"
              "   tolerate  nothing\n");
    EXPECT_NE(text.find("\n\n3. zero: bypass\n"
                        "   cgroups   db.slice\n"
                        "   ports     every\n"
                        "   networks  127.0.0.0/8, ::1/128\n"),
              std::string::npos)
        << text;
}

TEST(Render, PolicyOfMoreThanOneFileSaysWhichSaysWhat) {
    EffectivePolicy effective = only_file();
    effective.files.emplace_back("/q.toml");
    effective.rules["web"] = {"/q.toml", {7, 3}};
    effective.overridden = {"rule web of /p.toml:11:8 is replaced by /q.toml:7:3"};
    const std::string text = policy_text("p.toml", effective);
    EXPECT_NE(text.find("\n2. web: accelerate\n   from      /q.toml:7:3\n"), std::string::npos)
        << text;
    EXPECT_NE(text.find("\n\nrule web of /p.toml:11:8 is replaced by /q.toml:7:3\n"),
              std::string::npos)
        << text;
}

TEST(Render, PolicyAsJson) {
    EffectivePolicy effective = only_file();
    effective.overridden = {"a is masked by b"};
    effective.doubts = {"c: writable by others"};
    const json policy = json::parse(policy_json("p.toml", effective));
    EXPECT_EQ(policy["source"], "p.toml");
    EXPECT_EQ(policy["files"], json::array({"/p.toml"}));
    EXPECT_EQ(policy["overridden"], json::array({"a is masked by b"}));
    EXPECT_EQ(policy["doubts"], json::array({"c: writable by others"}));
    EXPECT_EQ(policy["limits"],
              json::parse(R"({"connections": 65536, "memory_bytes": 268435456})"));
    ASSERT_EQ(policy["rules"].size(), 3u);
    EXPECT_EQ(policy["rules"][0], json::parse(R"({
        "name": "redis", "origin": "/p.toml:3:8", "action": "accelerate", "priority": 2,
        "units": [], "cgroups": ["system.slice/redis.service"],
        "ports": ["6379", "7000-7100"], "networks": ["127.0.0.0/8", "::1/128"],
        "tolerate": ["fionread", "splice", "waitall"], "queue_bytes": 65536,
        "prove_usec": 0, "refusal": ""})"));
    EXPECT_EQ(policy["rules"][1]["units"], json::parse(R"(["web@.service", "web.socket"])"));
    EXPECT_NE(policy["rules"][1]["refusal"], "");
    EXPECT_EQ(policy["rules"][2]["refusal"], "");
}

TEST(Render, APolicyWithoutRulesIsAPolicy) {
    EXPECT_EQ(policy_text("p.toml", {}),
              "p.toml: 0 rules\nlimits: 65536 connections, 256MiB of queued data\n");
}

}  // namespace
}  // namespace sockaccel::ctl
