// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <random>
#include <utility>

#include <gtest/gtest.h>

namespace sockaccel {
namespace {

using namespace std::chrono_literals;

const std::string kExample = R"([limits]
connections = 65536
memory      = "256MiB"

[[rule]]
name     = "redis"
units    = ["redis-server.service", "web@*.service"]
cgroups  = ["system.slice/redis-server.service", "kubepods.slice/**"]
ports    = [6379, "7000-7100"]
networks = ["127.0.0.0/8", "::1/128", "172.17.0.0/16"]
action   = "accelerate"
priority = 0
queue    = "1MiB"
prove    = "5min"
tolerate = []
)";

Policy parse(std::string_view text) {
    return parse_policy(text, "p.toml");
}

// The messages, one a line; "" if the text is accepted.
std::string mistakes_in(std::string_view text) {
    try {
        static_cast<void>(parse(text));
        return "";
    } catch (const PolicyError& error) {
        return error.what();
    }
}

// `line` is line 4 of the file, in a rule that is right otherwise.
std::string mistakes_in_rule_with(const std::string& line) {
    return mistakes_in("[[rule]]\nname = \"r\"\ncgroups = [\"a\"]\n" + line + "\n");
}

std::string mistakes_in_limits_with(const std::string& line) {
    return mistakes_in("[limits]\n" + line + "\n");
}

Rule only_rule_with(const std::string& line) {
    const Policy policy = parse("[[rule]]\nname = \"r\"\ncgroups = [\"a\"]\n" + line + "\n");
    EXPECT_EQ(policy.rules.size(), 1U);
    return policy.rules.at(0);
}

PortSet ports(const std::vector<PortRange>& ranges) {
    PortSet set;
    for (const PortRange range : ranges)
        set.add(range);
    return set;
}

const std::vector<Network>& loopback() {
    static const std::vector<Network> networks = {Network::parse("127.0.0.0/8"),
                                                  Network::parse("::1/128")};
    return networks;
}

Rule example_rule() {
    Rule rule;
    rule.name = "redis";
    rule.units = {UnitPattern::parse("redis-server.service"), UnitPattern::parse("web@*.service")};
    rule.cgroups = {CgroupGlob::parse("system.slice/redis-server.service"),
                    CgroupGlob::parse("kubepods.slice/**")};
    rule.ports = ports({{6379, 6379}, {7000, 7100}});
    rule.networks = {Network::parse("127.0.0.0/8"), Network::parse("::1/128"),
                     Network::parse("172.17.0.0/16")};
    rule.action = Action::accelerate;
    rule.priority = 0;
    rule.queue_bytes = 1048576;
    rule.prove = 5min;
    return rule;
}

// ---- What is accepted

TEST(Policy, IsEmptyForAnEmptyFile) {
    EXPECT_EQ(parse(""), Policy{});
    EXPECT_EQ(parse("# only a comment"), Policy{});
    EXPECT_EQ(parse("rule = []"), Policy{});
    EXPECT_EQ(parse("\xef\xbb\xbf[limits]\r\n"), Policy{});
}

TEST(Policy, ReadsTheWholeSchema) {
    Policy expected;
    expected.limits = {65536, 268435456};
    expected.rules = {example_rule()};
    EXPECT_EQ(parse(kExample), expected);
}

TEST(Policy, ReadsEachKeyWithAValueThatIsNotItsDefault) {
    Rule rule;
    rule.name = "a.B_c-1";
    rule.cgroups = {CgroupGlob::parse("x")};
    rule.ports = ports({{1, 65535}});
    rule.networks = {Network::parse("::/0")};
    rule.action = Action::bypass;
    rule.priority = -7;
    rule.queue_bytes = 65536;
    rule.prove = 0s;
    rule.tolerate = {Hazard::fionread, Hazard::splice, Hazard::waitall, Hazard::stall};
    Policy expected;
    expected.limits = {1, 1048576};
    expected.rules = {rule};
    EXPECT_EQ(parse(R"(
        limits = { connections = 1, memory = 1048576 }
        [[rule]]
        tolerate = ["stall", "waitall", "splice", "fionread", "stall"]
        prove = "0s"
        queue = 65_536
        priority = -7
        action = "bypass"
        networks = ["::/0"]
        ports = ["1-65535", 80]
        cgroups = ['x']
        name = "a.B_c-1"
    )"),
              expected);
}

TEST(Policy, FillsInDefaults) {
    Rule expected;
    expected.name = "r";
    expected.cgroups = {CgroupGlob::parse("a")};
    expected.networks = loopback();
    EXPECT_EQ(only_rule_with(""), expected);
    EXPECT_EQ(expected.queue_bytes, 2097152U);
    EXPECT_EQ(expected.prove, 5min);
    EXPECT_TRUE(expected.ports.empty());
}

TEST(Policy, TakesTheBoundsOfEachRange) {
    EXPECT_EQ(only_rule_with("queue = \"64KiB\"").queue_bytes, 65536U);
    EXPECT_EQ(only_rule_with("queue = \"64MiB\"").queue_bytes, 67108864U);
    EXPECT_EQ(only_rule_with("prove = \"30d\"").prove, 720h);
    EXPECT_EQ(only_rule_with("priority = -2147483648").priority,
              std::numeric_limits<std::int32_t>::min());
    EXPECT_EQ(only_rule_with("priority = 2147483647").priority,
              std::numeric_limits<std::int32_t>::max());
    EXPECT_EQ(parse("[limits]\nconnections = 1048576\nmemory = \"1TiB\"").limits,
              (Limits{1048576, 1ULL << 40}));
    const std::string longest_name(63, 'n');
    EXPECT_EQ(parse("[[rule]]\nname=\"" + longest_name + "\"\ncgroups=['a']").rules.at(0).name,
              longest_name);
}

TEST(Policy, MergesPortsSilently) {
    EXPECT_EQ(only_rule_with("ports = [80, 80, \"70-79\", \"75-90\", \"100\"]").ports,
              ports({{70, 90}, {100, 100}}));
}

TEST(Policy, SortsRulesByPriorityThenName) {
    const Policy policy = parse(R"(
        rule = [ { name = "b", cgroups = ["x"] },
                 { name = "low", cgroups = ["x"], priority = -1 },
                 { name = "a", cgroups = ["x"] },
                 { name = "high", cgroups = ["x"], priority = 1 } ]
    )");
    std::vector<std::string> names;
    for (const Rule& rule : policy.rules)
        names.push_back(rule.name);
    EXPECT_EQ(names, (std::vector<std::string>{"high", "a", "b", "low"}));
}

TEST(Policy, TakesSixtyFourRulesAndNotOneMore) {
    std::string text;
    for (int i = 0; i < 64; ++i)
        text += "[[rule]]\nname = \"r" + std::to_string(i) + "\"\ncgroups = ['a']\n";
    EXPECT_EQ(parse(text).rules.size(), 64U);
    EXPECT_EQ(mistakes_in(text + "[[rule]]\nname = \"last\"\ncgroups = ['a']\n"),
              "p.toml:193:1: there are 65 rules: at most 64 are possible");
}

// ---- What is refused, and where

TEST(Policy, RefusesPortZeroWithItsColumn) {
    EXPECT_EQ(mistakes_in_rule_with("ports = [80, 0]"), "p.toml:4:14: port 0 is below 1");
}

TEST(Policy, TellsThePlaceOfABadPort) {
    EXPECT_EQ(mistakes_in_rule_with("ports = [70000]"), "p.toml:4:10: port 70000 is above 65535");
    EXPECT_EQ(mistakes_in_rule_with("ports = [80,\n  \"80-70000\"]"),
              "p.toml:5:3: port 70000 is above 65535");
    EXPECT_EQ(mistakes_in_rule_with("ports = [-1]"), "p.toml:4:10: port -1 is below 1");
    EXPECT_EQ(mistakes_in_rule_with("ports = [\"7100-7000\"]"),
              "p.toml:4:10: port range 7100-7000 is reversed: did you mean 7000-7100?");
    EXPECT_EQ(mistakes_in_rule_with("ports = [\"redis\"]"),
              "p.toml:4:10: \"redis\" is neither a port nor a range of ports: write 6379 or "
              "\"7000-7100\"");
    EXPECT_EQ(mistakes_in_rule_with("ports = [true]"),
              "p.toml:4:10: `ports` must be an array of integers or strings with ports, not the "
              "boolean true");
}

TEST(Policy, CountsColumnsInCharacters) {
    EXPECT_EQ(mistakes_in("[[rule]]\nname=\"r\"\ncgroups=['ä', 'ö', '']"),
              "p.toml:3:20: cgroup \"\": empty: name a cgroup, such as "
              "\"system.slice/redis.service\"");
}

TEST(Policy, SuggestsTheKeyThatWasMeant) {
    EXPECT_EQ(mistakes_in_rule_with("port = [1]"),
              "p.toml:4:1: unknown key `port` in [[rule]]: did you mean `ports`?");
    EXPECT_EQ(mistakes_in_rule_with("prots = [1]"),
              "p.toml:4:1: unknown key `prots` in [[rule]]: did you mean `ports`?");
    EXPECT_EQ(mistakes_in_rule_with("Tolerates = []"),
              "p.toml:4:1: unknown key `Tolerates` in [[rule]]: did you mean `tolerate`?");
    EXPECT_EQ(mistakes_in_limits_with("conections = 1"),
              "p.toml:2:1: unknown key `conections` in [limits]: did you mean `connections`?");
    EXPECT_EQ(mistakes_in("[[rules]]\nname = \"r\""),
              "p.toml:1:3: unknown key `rules` at the top level: did you mean `rule`?");
}

TEST(Policy, ListsTheKeysIfNoneIsNear) {
    EXPECT_EQ(mistakes_in_rule_with("colour = 1"),
              "p.toml:4:1: unknown key `colour` in [[rule]]: known are `name`, `units`, "
              "`cgroups`, `ports`, `networks`, `action`, `priority`, `queue`, `prove` and "
              "`tolerate`");
    EXPECT_EQ(mistakes_in_limits_with("x = 1"),
              "p.toml:2:1: unknown key `x` in [limits]: known are `connections` and `memory`");
    EXPECT_EQ(mistakes_in("include = 'x'"),
              "p.toml:1:1: unknown key `include` at the top level: known are `limits` and `rule`");
}

TEST(Policy, SaysWhatTypeItExpectedAndFound) {
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"ports = 6379",
         "4:9: `ports` must be an array of ports, not the integer 6379: write ports = [6379]"},
        {"ports = \"80\"",
         "4:9: `ports` must be an array of ports, not the string \"80\": write ports = [\"80\"]"},
        {"ports = {}", "4:9: `ports` must be an array of ports, not a table"},
        {"ports = [[80]]",
         "4:10: `ports` must be an array of integers or strings with ports, not an array"},
        {"units = 1", "4:9: `units` must be an array of units, not the integer 1"},
        {"units = [1]", "4:10: `units` must be an array of strings with units, not the integer 1"},
        {"networks = \"::1\"",
         "4:12: `networks` must be an array of networks, not the string \"::1\": write networks = "
         "[\"::1\"]"},
        {"networks = [1.5]",
         "4:13: `networks` must be an array of strings with networks, not the float 1.5"},
        {"action = true", "4:10: `action` must be a string, not the boolean true"},
        {"priority = \"1\"", "4:12: `priority` must be an integer, not the string \"1\""},
        {"priority = 1.0e3", "4:12: `priority` must be an integer, not the float 1000"},
        {"queue = 1979-05-27",
         "4:9: `queue` must be a size such as \"1MiB\", or a number of bytes, not a date"},
        {"queue = 07:32:00",
         "4:9: `queue` must be a size such as \"1MiB\", or a number of bytes, not a time"},
        {"prove = 1979-05-27T07:32:00Z",
         "4:9: `prove` must be a duration such as \"5min\", not a date and time"},
        {"prove = 300",
         "4:9: `prove` must be a duration such as \"5min\", not the integer 300: did you mean "
         "\"300s\"?"},
        {"prove = -1",
         "4:9: `prove` must be a duration such as \"5min\", not the integer -1: it must not be "
         "negative"},
        {"tolerate = \"splice\"",
         "4:12: `tolerate` must be an array of hazards, not the string \"splice\": write tolerate "
         "= [\"splice\"]"},
        {"tolerate = [1]",
         "4:13: `tolerate` must be an array of strings with hazards, not the integer 1"},
    };
    for (const auto& [line, message] : cases)
        EXPECT_EQ(mistakes_in_rule_with(line), "p.toml:" + message) << line;
}

TEST(Policy, SaysWhatTypeASectionMustHave) {
    EXPECT_EQ(mistakes_in("[rule]\nname = 'r'"),
              "p.toml:1:1: `rule` must be an array of tables, not a table: write [[rule]], not "
              "[rule]");
    EXPECT_EQ(mistakes_in("rule = 1"),
              "p.toml:1:8: `rule` must be an array of tables, not the integer 1");
    EXPECT_EQ(mistakes_in("rule = [1]"),
              "p.toml:1:9: `rule` must be an array of tables, not the integer 1");
    EXPECT_EQ(mistakes_in("[[limits]]"),
              "p.toml:1:1: `limits` must be a table, not an array: write [limits], not "
              "[[limits]]");
    EXPECT_EQ(mistakes_in("limits = 'x'"),
              "p.toml:1:10: `limits` must be a table, not the string \"x\"");
}

TEST(Policy, RefusesValuesOutOfRange) {
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"queue = \"63KiB\"", "4:9: queue \"63KiB\" is below 64KiB"},
        {"queue = \"65MiB\"", "4:9: queue \"65MiB\" is above 64MiB"},
        {"queue = 65535", "4:9: queue 65535 is below 64KiB"},
        {"queue = -1", "4:9: queue -1 is below 64KiB"},
        {"prove = \"31d\"", "4:9: prove \"31d\" is above 30d"},
        {"prove = \"30d 1ms\"", "4:9: prove \"30d 1ms\" is above 30d"},
        {"priority = 2147483648", "4:12: priority 2147483648 is above 2147483647"},
        {"priority = -2147483649", "4:12: priority -2147483649 is below -2147483648"},
    };
    for (const auto& [line, message] : cases)
        EXPECT_EQ(mistakes_in_rule_with(line), "p.toml:" + message) << line;
    EXPECT_EQ(mistakes_in_limits_with("connections = 0"), "p.toml:2:15: connections 0 is below 1");
    EXPECT_EQ(mistakes_in_limits_with("connections = 1048577"),
              "p.toml:2:15: connections 1048577 is above 1048576");
    EXPECT_EQ(mistakes_in_limits_with("memory = \"1023KiB\""),
              "p.toml:2:10: memory \"1023KiB\" is below 1MiB");
    EXPECT_EQ(mistakes_in_limits_with("memory = \"2TiB\""),
              "p.toml:2:10: memory \"2TiB\" is above 1TiB");
}

TEST(Policy, RefusesQuantitiesItCannotRead) {
    EXPECT_EQ(mistakes_in_rule_with("queue = \"1MB\""),
              "p.toml:4:9: queue \"1MB\": unit `MB` is ambiguous: write MiB");
    EXPECT_EQ(mistakes_in_rule_with("prove = \"-5min\""),
              "p.toml:4:9: prove \"-5min\": must not be negative");
    EXPECT_EQ(mistakes_in_rule_with("prove = \"300\""),
              "p.toml:4:9: prove \"300\": the unit is missing: did you mean 300s?");
    EXPECT_EQ(mistakes_in_limits_with("memory = \"\""),
              "p.toml:2:10: memory \"\": expected a number and a unit, such as 1MiB");
}

TEST(Policy, RefusesBadNames) {
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"''", "name \"\" is empty"},
        {"'a b'",
         "name \"a b\" has a character that is not allowed: use letters, digits, '_', '.' and "
         "'-'"},
        {"'ä'",
         "name \"ä\" has a character that is not allowed: use letters, digits, '_', '.' and '-'"},
        {"'a/b'",
         "name \"a/b\" has a character that is not allowed: use letters, digits, '_', '.' and "
         "'-'"},
        {"\"a\\nb\"",
         "name \"a\\x0ab\" has a character that is not allowed: use letters, digits, '_', '.' and "
         "'-'"},
        {"'" + std::string(64, 'n') + "'",
         "name \"" + std::string(64, 'n') + "\" is longer than 63 characters"},
        {"1", "`name` must be a string, not the integer 1"},
    };
    for (const auto& [name, message] : cases)
        EXPECT_EQ(mistakes_in("[[rule]]\ncgroups = ['a']\nname = " + name),
                  "p.toml:3:8: " + message);
}

TEST(Policy, SaysWhereADuplicateNameWasFirst) {
    EXPECT_EQ(mistakes_in("[[rule]]\nname = 'r'\ncgroups = ['a']\n"
                          "[[rule]]\ncgroups = ['b']\n  name = \"r\"\n"),
              "p.toml:6:10: name \"r\" is taken: the first rule of this name is at p.toml:2:8");
}

TEST(Policy, RefusesARuleWithoutNameOrCgroups) {
    EXPECT_EQ(mistakes_in("[[rule]]"),
              "p.toml:1:1: a rule has no name: add e.g. name = \"redis\"\n"
              "p.toml:1:1: a rule selects no program: add e.g. units = [\"redis-server.service\"], "
              "or cgroups");
    EXPECT_EQ(mistakes_in("\n[[rule]]\nname = 'r'\nunits = []\ncgroups = []"),
              "p.toml:2:1: a rule selects no program: add e.g. units = [\"redis-server.service\"], "
              "or cgroups");
}

TEST(Policy, DoesNotComplainTwiceAboutOneMistake) {
    EXPECT_EQ(mistakes_in("[[rule]]\nname = 'r'\ncgroups = ['a//b']"),
              "p.toml:3:12: cgroup \"a//b\": \"//\": a component is empty");
    EXPECT_EQ(mistakes_in("[[rule]]\nname = 'r'\ncgroups = 'a'"),
              "p.toml:3:11: `cgroups` must be an array of cgroups, not the string \"a\": write "
              "cgroups = [\"a\"]");
    EXPECT_EQ(mistakes_in("[[rule]]\nname = ''\ncgroups = ['a']"),
              "p.toml:2:8: name \"\" is empty");
}

TEST(Policy, RefusesBadGlobsAndNetworks) {
    EXPECT_EQ(mistakes_in_rule_with("networks = [\"127.0.0.0/8\", \"10.1.0.0/8\"]"),
              "p.toml:4:28: network \"10.1.0.0/8\": host bits are set: did you mean 10.0.0.0/8?");
    EXPECT_EQ(mistakes_in_rule_with("networks = ['']"),
              "p.toml:4:13: network \"\": not an IP address or network: write 10.0.0.0/8 or "
              "::1/128");
    EXPECT_EQ(mistakes_in_rule_with("networks = []"),
              "p.toml:4:12: `networks` is empty: leave it out for the loopback networks");
    EXPECT_EQ(mistakes_in("[[rule]]\nname = 'r'\ncgroups = ['a', '../b', '[']"),
              "p.toml:3:17: cgroup \"../b\": \".\" and \"..\" cannot be used\n"
              "p.toml:3:25: cgroup \"[\": '[' is not closed");
}

TEST(Policy, ListsTheWordsThatAreAllowed) {
    EXPECT_EQ(
        mistakes_in_rule_with("action = \"drop\""),
        "p.toml:4:10: action \"drop\" is unknown: use \"accelerate\", \"observe\" or \"bypass\"");
    EXPECT_EQ(mistakes_in_rule_with("action = \"Accelarate\""),
              "p.toml:4:10: action \"Accelarate\" is unknown: did you mean \"accelerate\"? "
              "Allowed: \"accelerate\", \"observe\" or \"bypass\"");
    EXPECT_EQ(mistakes_in_rule_with("tolerate = [\"splice\", \"\"]"),
              "p.toml:4:23: tolerate \"\" is unknown: use \"fionread\", \"splice\", \"waitall\", "
              "\"blocking\" or \"stall\"");
}

TEST(Policy, SaysWhatIsWrongWithAUnit) {
    const auto mistakes = [](const std::string& unit) {
        const std::string text = mistakes_in("[[rule]]\nname = 'r'\nunits = ['" + unit + "']");
        const std::string prefix = "p.toml:3:10: unit \"" + unit + "\": ";
        EXPECT_TRUE(text.starts_with(prefix)) << text;
        return text.substr(std::min(prefix.size(), text.size()));
    };
    EXPECT_EQ(mistakes(""), "empty: name a unit, such as \"redis-server.service\"");
    EXPECT_EQ(mistakes("redis-server"), "it has no suffix: did you mean \"redis-server.service\"?");
    EXPECT_EQ(mistakes("web@*"), "it has no suffix: did you mean \"web@*.service\"?");
    EXPECT_EQ(mistakes("redis.servcie"),
              "its suffix is no type of unit: did you mean \"redis.service\"?");
    EXPECT_EQ(mistakes("my.app"),
              "its suffix is no type of unit: did you mean \"my.app.service\"?");
    EXPECT_EQ(mistakes("backup.timer"),
              "a timer unit has no cgroup: name the services that it starts");
    EXPECT_EQ(mistakes("system.slice/redis.service"),
              "names of units have no '/': name a path in `cgroups`");
    EXPECT_EQ(mistakes("my app.service"),
              "it has a character that names of units do not have: systemd-escape(1) writes them");
    EXPECT_EQ(mistakes("web@[1.service"), "'[' is not closed");
    EXPECT_EQ(mistakes("@1.service"), "there is no name before '@'");
    EXPECT_EQ(mistakes(".service"), "there is no name before '.'");
    EXPECT_TRUE(
        mistakes_in("[[rule]]\nname = 'r'\nunits = ['" + std::string(248, 'x') + ".service']")
            .ends_with("x...\": longer than 255 bytes"));
}

TEST(Policy, ReportsEveryMistakeInTheOrderOfTheFile) {
    EXPECT_EQ(mistakes_in(R"([[rule]]
tolerate = ["x"]
name = "r"
cgroups = [""]
[extra]
[limits]
memory = 1
connections = "many"
)"),
              "p.toml:2:13: tolerate \"x\" is unknown: use \"fionread\", \"splice\", \"waitall\", "
              "\"blocking\" or \"stall\"\n"
              "p.toml:4:12: cgroup \"\": empty: name a cgroup, such as "
              "\"system.slice/redis.service\"\n"
              "p.toml:5:2: unknown key `extra` at the top level: known are `limits` and `rule`\n"
              "p.toml:7:10: memory 1 is below 1MiB\n"
              "p.toml:8:15: `connections` must be an integer, not the string \"many\"");
}

TEST(Policy, CountsTheMistakesBeyondTheFirstHundred) {
    std::string line = "ports = [";
    for (int i = 0; i < 150; ++i)
        line += "0,";
    const std::string mistakes = mistakes_in_rule_with(line + "]");
    EXPECT_EQ(std::count(mistakes.begin(), mistakes.end(), '\n'), 100);
    EXPECT_TRUE(mistakes.ends_with("\np.toml: and 50 more mistakes")) << mistakes;
}

TEST(Policy, TellsOnlyTheFirstSyntaxErrorAndItsPlace) {
    EXPECT_EQ(mistakes_in("[limits]\nconnections = 0\nmemory = \n"),
              "p.toml:3:10: Error while parsing key-value pair: expected value, saw '\\n'");
    EXPECT_EQ(mistakes_in("[`"),
              "p.toml:1:2: Error while parsing key: expected bare key starting character or string "
              "delimiter, saw '`'");
    EXPECT_EQ(mistakes_in("a = 1\na = 2"),
              "p.toml:2:5: Error while parsing key-value pair: cannot redefine existing integer "
              "'a'");
}

TEST(Policy, KeepsEachMistakeOnOneShortLine) {
    const std::string message =
        mistakes_in_rule_with("networks = [\"\\n\\u001b[31m" + std::string(5000, 'x') + "\"]");
    EXPECT_EQ(message, "p.toml:4:13: network \"\\x0a\\x1b[31m" + std::string(58, 'x') +
                           "...\": not an IP address or network: write 10.0.0.0/8 or ::1/128");
    EXPECT_LT(mistakes_in_rule_with("ports = [\"" + std::string(5000, '9') + "\"]").size(), 450U);
    EXPECT_LT(mistakes_in_rule_with(std::string(5000, 'k') + " = 1").size(), 450U);
}

TEST(Policy, CutsQuotationsBetweenCharacters) {
    std::string text, expected;
    for (int i = 0; i < 100; ++i) {
        text += "\u20ac";
        expected += i < 21 ? "\u20ac" : "";
    }
    EXPECT_EQ(mistakes_in_rule_with("action = \"" + text + "\""),
              "p.toml:4:10: action \"" + expected +
                  "...\" is unknown: use \"accelerate\", \"observe\" or \"bypass\"");
}

TEST(Policy, RefusesKeysOfAbsurdDepth) {
    std::string key;
    for (int i = 0; i < 200'000; ++i)
        key += "a.";
    EXPECT_EQ(mistakes_in(key + "a = 1"),
              "p.toml:1:2002: more than 1000 dots in keys and numbers: a policy needs none");
    EXPECT_EQ(mistakes_in("\n[" + key + "a]"),
              "p.toml:2:2003: more than 1000 dots in keys and numbers: a policy needs none");
    // Strings and comments do not hide a key, nor are they taken for one.
    for (const std::string hidden : {"x = \"\\\"\" # \"", "x = '\\' # '", "x = \"'\" # '", "x = \"",
                                     "x = '", "x = '''a''''' # ''' '", "x = \"\"\"\"\"\""})
        EXPECT_TRUE(mistakes_in(hidden + "\n" + key + "a = 1").starts_with("p.toml:2:2002: "))
            << hidden;
    std::string many = "networks = [";
    for (int i = 0; i < 2000; ++i)
        many += "'10.0.0.1', \"10.0.0.2\", # a.b.c\n";
    EXPECT_EQ(only_rule_with(many + "]").networks.size(), 4000U);
}

TEST(Policy, RefusesLettersBeyondAsciiInBareKeys) {
    for (const std::string letter : {"\u00e9", "\u03cb", "\u2003", "\u3000", "\ufeff"})
        EXPECT_TRUE(mistakes_in("# \u00e9\n" + letter + " = 1").starts_with("p.toml:2:"));
}

TEST(Policy, TakesMultiLineStrings) {
    EXPECT_EQ(parse("[[rule]]\nname = \"\"\"\\\n  r\"\"\"\ncgroups = ['''\u00e9''']"),
              parse("[[rule]]\nname = 'r'\ncgroups = ['\u00e9']"));
}

TEST(Policy, NeverCrashesOnMalformedInput) {
    const std::vector<std::string> inputs = {
        "[",
        "]",
        "[[",
        "[[]]",
        "[]",
        "[rule",
        "[[rule]",
        "[[rule]]]",
        "[`",
        "[[`",
        "`",
        "=",
        "= 1",
        "a",
        "a =",
        "a = [",
        "a = [1,",
        "a = [,]",
        "a = {",
        "a = {b",
        "a = {b=",
        "a = {b=1,}",
        "a.",
        "a..b = 1",
        ".a = 1",
        "\"",
        "'",
        "\"\"\"",
        "'''",
        "a = \"",
        "a = \"\\",
        "a = \"\\u12\"",
        "a = \"\\ud800\"",
        "a = '''",
        "a = \"\"\"\\",
        "a = \"\"\"\"\"\"\"",
        "a = 1__0",
        "a = 0x",
        "a = 1e",
        "a = 99999999999999999999",
        "a = +",
        "a = -",
        "a = 1979-13-01",
        "a = 25:00:00",
        "a = tru",
        "a = inf",
        "a = nan",
        "[a]\n[a]",
        "[[a]]\n[a]",
        "[a]\n[[a]]",
        "a = 1\n[a]",
        "a = []\n[[a]]",
        "a = {}\n[a.b]",
        "a=1 b=2",
        "\xff",
        "\xc3",
        "a = \"\xc3(\"",
        "a = \"\xf5\x80\x80\x80\"",
        "\xef\xbb",
        "# \x01",
        "a = \"\x7f\"",
        "\r",
        "a = 1\r",
        "[[rule]]\n[rule]",
        "[[rule]]\n[rule.name]",
        "[[rule.name]]",
        "[[rule]]\n[[rule.ports]]",
        "rule = [[]]",
        "rule = [{}, 1, [], '']",
        "limits = []",
        "[limits]\nmemory = []",
        "[limits.memory]",
        "limits.connections.x = 1",
        "limits = nan",
        "[limits]\nconnections = nan",
        "[[rule]]\nname = []",
        "[[rule]]\ncgroups = [[\"a\"]]",
        "[[rule]]\ntolerate = [[]]",
        "[[rule]]\naction = {}",
        "[[rule]]\nprove = inf",
        "[[rule]]\npriority = -9223372036854775808",
        "[[rule]]\nqueue = -9223372036854775808",
        "[[rule]]\nprove = -9223372036854775808",
        "[[rule]]\nports = [-9223372036854775808]",
        std::string(1, '\0'),
        std::string("a = \"\0\"", 7),
        std::string("a\0 = 1", 6),
        std::string(100'000, '['),
        "a = " + std::string(100'000, '['),
        std::string(100'000, '"'),
        "a = " + std::string(100'000, '{'),
        std::string(100'000, '\\'),
        std::string(100'000, 'a'),
    };
    for (const std::string& input : inputs) {
        const std::string mistakes = mistakes_in(input);
        EXPECT_TRUE(mistakes.starts_with("p.toml:")) << input.substr(0, 100) << "\n" << mistakes;
    }
}

TEST(Policy, NeverCrashesOnATornOrMangledFile) {
    for (std::size_t length = 0; length < kExample.size(); ++length)
        mistakes_in(kExample.substr(0, length));
    const std::string_view alphabet = "[]{}\"'`=,.#\\\n 0-:x\x01\xc3";
    std::mt19937 random(1);
    std::uniform_int_distribution<std::size_t> place(0, kExample.size() - 1);
    std::uniform_int_distribution<std::size_t> letter(0, alphabet.size() - 1);
    for (int round = 0; round < 1000; ++round) {
        std::string text = kExample;
        for (int i = 0; i <= round % 4; ++i)
            text[place(random)] = alphabet[letter(random)];
        const std::string mistakes = mistakes_in(text);
        EXPECT_TRUE(mistakes.empty() || mistakes.starts_with("p.toml:")) << text;
    }
}

// ---- Comparing rules

TEST(Rule, MatchesLikeACopyThatOnlyTunesIt) {
    Rule other = example_rule();
    other.queue_bytes = 65536;
    other.prove = 0s;
    other.priority = 9;
    EXPECT_TRUE(example_rule().matches_like(other));
}

TEST(Rule, MatchesLikeOneThatListsTheSameInAnotherOrder) {
    Rule other = example_rule();
    std::swap(other.cgroups[0], other.cgroups[1]);
    std::swap(other.networks[0], other.networks[2]);
    other.networks.push_back(other.networks[0]);
    EXPECT_NE(example_rule(), other);
    EXPECT_TRUE(example_rule().matches_like(other));
    EXPECT_TRUE(other.matches_like(example_rule()));
}

TEST(Rule, MatchesUnlikeOneThatSelectsOrDoesSomethingElse) {
    const std::vector<std::pair<std::string, void (*)(Rule&)>> changes = {
        {"units", [](Rule& rule) { rule.units = {UnitPattern::parse("a.service")}; }},
        {"cgroups", [](Rule& rule) { rule.cgroups.pop_back(); }},
        {"ports", [](Rule& rule) { rule.ports = {}; }},
        {"networks", [](Rule& rule) { rule.networks.push_back(Network::parse("::/0")); }},
        {"action", [](Rule& rule) { rule.action = Action::bypass; }},
        {"tolerate", [](Rule& rule) { rule.tolerate = {Hazard::splice}; }},
    };
    for (const auto& [what, change] : changes) {
        Rule other = example_rule();
        change(other);
        EXPECT_FALSE(example_rule().matches_like(other)) << what;
        EXPECT_FALSE(other.matches_like(example_rule())) << what;
    }
}

TEST(Words, AreThoseOfTheFile) {
    EXPECT_EQ(to_string(Action::accelerate), "accelerate");
    EXPECT_EQ(to_string(Action::observe), "observe");
    EXPECT_EQ(to_string(Action::bypass), "bypass");
    EXPECT_EQ(to_string(Hazard::fionread), "fionread");
    EXPECT_EQ(to_string(Hazard::splice), "splice");
    EXPECT_EQ(to_string(Hazard::waitall), "waitall");
    EXPECT_EQ(to_string(Hazard::blocking), "blocking");
    EXPECT_EQ(to_string(Hazard::stall), "stall");
}

}  // namespace
}  // namespace sockaccel
