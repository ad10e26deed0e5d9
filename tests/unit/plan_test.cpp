// SPDX-License-Identifier: GPL-2.0-or-later
#include "plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace sockaccel {
namespace {

using Lines = std::vector<std::string>;

struct RuleText {
    std::string name;
    std::vector<std::string> cgroups = {"a.slice"};
    std::vector<std::string> networks = {"127.0.0.0/8"};
    std::vector<std::string> ports = {};
    Action action = Action::accelerate;
    std::int32_t priority = 0;
};

Rule make_rule(const RuleText& text) {
    Rule rule;
    rule.name = text.name;
    rule.action = text.action;
    rule.priority = text.priority;
    for (const std::string& glob : text.cgroups)
        rule.cgroups.push_back(CgroupGlob::parse(glob));
    for (const std::string& network : text.networks)
        rule.networks.push_back(Network::parse(network));
    for (const std::string& range : text.ports)
        rule.ports.add(PortRange::parse(range));
    return rule;
}

Rule named(const std::string& name) {
    return make_rule({name});
}

Rule on_port(const std::string& name, const std::string& port) {
    RuleText text{name};
    text.ports = {port};
    return make_rule(text);
}

Rule in_cgroups(const std::string& name, const std::vector<std::string>& cgroups,
                Action action = Action::accelerate) {
    RuleText text{name};
    text.cgroups = cgroups;
    text.action = action;
    return make_rule(text);
}

Policy policy_of(std::vector<Rule> rules) {
    std::stable_sort(rules.begin(), rules.end(), [](const Rule& a, const Rule& b) {
        return a.priority != b.priority ? a.priority > b.priority : a.name < b.name;
    });
    return {{}, std::move(rules)};
}

std::map<std::string, std::size_t> ids(const Tables& tables) {
    std::map<std::string, std::size_t> found;
    for (const PlannedRule& planned : tables.rules)
        found[planned.rule.name] = index_of(planned.id);
    return found;
}

Address address(const std::string& text) {
    return *Address::parse(text);
}

using Ids = std::map<std::string, std::size_t>;

// --- ids ---

TEST(Plan, NumbersNewRulesInDecidingOrder) {
    RuleText first{"z"};
    first.priority = 1;
    const Tables tables = compile(policy_of({named("a"), named("b"), make_rule(first)}), nullptr);
    const std::vector<PlannedRule> expected = {
        {RuleId{0}, 0, make_rule(first)}, {RuleId{1}, 1, named("a")}, {RuleId{2}, 2, named("b")}};
    EXPECT_EQ(tables.rules, expected);
}

TEST(Plan, KeepsTheIdsOfRulesThatStay) {
    const Tables before = compile(policy_of({named("a"), named("b"), named("c")}), nullptr);
    const Tables after = compile(policy_of({named("0"), named("c"), named("b")}), &before);
    EXPECT_EQ(ids(after), (Ids{{"0", 3}, {"b", 1}, {"c", 2}}));
}

TEST(Plan, GivesAChangedRuleANewId) {
    const Tables before = compile(policy_of({named("a"), named("b")}), nullptr);
    const Tables after = compile(policy_of({on_port("a", "80"), named("b")}), &before);
    EXPECT_EQ(ids(after), (Ids{{"a", 2}, {"b", 1}}));
    EXPECT_EQ(leaving(before, after), RuleMask{1});
}

TEST(Plan, KeepsTheIdOfARuleWhoseMatchingIsTheSame) {
    Rule changed = named("a");
    changed.queue_bytes = 4096;
    changed.priority = -5;
    changed.prove = std::chrono::seconds(0);
    const Tables before = compile(policy_of({named("a"), named("b")}), nullptr);
    const Tables after = compile(policy_of({changed, named("b")}), &before);
    const std::vector<PlannedRule> expected = {{RuleId{1}, 0, named("b")}, {RuleId{0}, 1, changed}};
    EXPECT_EQ(after.rules, expected);
    EXPECT_EQ(leaving(before, after), RuleMask{0});
}

TEST(Plan, ReusesAnIdAsLateAsPossible) {
    std::vector<Rule> rules;
    for (int i = 0; i < 63; ++i)
        rules.push_back(named("r" + std::to_string(100 + i)));
    Tables tables = compile(policy_of(rules), nullptr);

    rules[5] = on_port("r105", "1");
    tables = compile(policy_of(rules), &tables);
    EXPECT_EQ(ids(tables)["r105"], 63u);

    rules[3] = on_port("r103", "1");
    tables = compile(policy_of(rules), &tables);
    EXPECT_EQ(ids(tables)["r103"], 5u) << "3 is in use by what it was";
}

TEST(Plan, ReusesIdsAtOnceOnlyWhenAllAreInUse) {
    std::vector<Rule> rules, others;
    for (int i = 0; i < 40; ++i) {
        rules.push_back(named("r" + std::to_string(100 + i)));
        others.push_back(named("s" + std::to_string(100 + i)));
    }
    const Tables before = compile(policy_of(rules), nullptr);
    const Tables after = compile(policy_of(others), &before);
    EXPECT_EQ(ids(after)["s100"], 40u);
    EXPECT_EQ(ids(after)["s123"], 63u);
    EXPECT_EQ(ids(after)["s124"], 0u);
    EXPECT_EQ(leaving(before, after), ids_of(before));
}

TEST(Plan, RefusesMoreRulesThanBits) {
    std::vector<Rule> rules;
    for (int i = 0; i < 65; ++i)
        rules.push_back(named("r" + std::to_string(i)));
    try {
        static_cast<void>(compile(policy_of(rules), nullptr));
        FAIL() << "65 rules were taken";
    } catch (const PolicyError& error) {
        EXPECT_STREQ(error.what(), "65 rules are more than the 64 that are possible");
    }
}

TEST(Plan, RefusesMoreNetworksThanTheKernelHolds) {
    RuleText text{"wide"};
    text.networks.clear();
    for (int i = 0; i <= SA_MAX_NETWORKS; ++i)
        text.networks.push_back("10." + std::to_string(i / 256) + "." + std::to_string(i % 256) +
                                ".0/24");
    EXPECT_THROW(static_cast<void>(compile(policy_of({make_rule(text)}), nullptr)), PolicyError);
    text.networks.pop_back();
    EXPECT_EQ(compile(policy_of({make_rule(text)}), nullptr).networks.size(), SA_MAX_NETWORKS);
}

// --- tables ---

TEST(Plan, MatchesEveryPortWhereNoneIsNamed) {
    const Tables tables = compile(policy_of({named("all"), on_port("some", "80-81")}), nullptr);
    std::vector<RuleMask> expected(65536, 0b01);
    expected[80] = expected[81] = 0b11;
    EXPECT_EQ(tables.ports, expected);
}

TEST(Plan, GivesAPrefixTheRulesOfThoseAroundIt) {
    RuleText wide{"wide"}, narrow{"narrow"};
    wide.networks = {"10.0.0.0/8"};
    narrow.networks = {"10.1.0.0/16"};
    const Tables tables = compile(policy_of({make_rule(wide), make_rule(narrow)}), nullptr);
    const std::vector<NetworkEntry> expected = {{Network::parse("10.0.0.0/8"), 0b10},
                                                {Network::parse("10.1.0.0/16"), 0b11}};
    EXPECT_EQ(tables.networks, expected);
}

TEST(Plan, StopsIpv4FromInheritingFromIpv6) {
    RuleText all_ipv6{"a"}, some_ipv4{"b"};
    all_ipv6.networks = {"::/0"};
    some_ipv4.networks = {"10.0.0.0/8"};
    const Tables tables = compile(policy_of({make_rule(all_ipv6), make_rule(some_ipv4)}), nullptr);
    const std::vector<NetworkEntry> expected = {{Network::parse("::/0"), 0b01},
                                                {Network::parse("0.0.0.0/0"), 0b00},
                                                {Network::parse("10.0.0.0/8"), 0b10}};
    EXPECT_EQ(tables.networks, expected);
    EXPECT_EQ(tables.view(address("::1"), 1), RuleMask{0b01});
    EXPECT_EQ(tables.view(address("1.2.3.4"), 1), RuleMask{0});
    EXPECT_EQ(tables.view(address("10.2.3.4"), 1), RuleMask{0b10});
}

TEST(Plan, AddsNoIpv4EntryBelowIpv6PrefixesElsewhere) {
    RuleText text{"a"};
    text.networks = {"fd00::/8", "::1/128"};
    const Tables tables = compile(policy_of({make_rule(text)}), nullptr);
    const std::vector<NetworkEntry> expected = {{Network::parse("::1/128"), 1},
                                                {Network::parse("fd00::/8"), 1}};
    EXPECT_EQ(tables.networks, expected);
}

TEST(Plan, SeesNothingInEmptyTables) {
    EXPECT_EQ(Tables{}.view(address("127.0.0.1"), 80), RuleMask{0});
    EXPECT_EQ(Tables{}.decide(~0ull, ~0ull, ~0ull, ~0ull), std::nullopt);
}

TEST(Plan, LetsABypassOfOneEndWin) {
    RuleText bypass{"never"};
    bypass.action = Action::bypass;
    const Tables tables = compile(policy_of({named("always"), make_rule(bypass)}), nullptr);
    EXPECT_EQ(tables.decide(0b01, 0b11, 0b01, 0b01), RuleId{0});
    EXPECT_EQ(tables.decide(0b11, 0b11, 0b01, 0b01), std::nullopt);
    EXPECT_EQ(tables.decide(0b01, 0b01, 0b11, 0b11), std::nullopt);
    EXPECT_EQ(tables.decide(0b11, 0b01, 0b01, 0b11), RuleId{0}) << "no end has both";
}

// --- against a matcher that does without any table ---

struct TestEnd {
    std::string cgroup;
    Address server;
};

bool covers_cgroup(const Rule& rule, const std::string& path) {
    std::string prefix = path;
    for (;;) {
        for (const CgroupGlob& glob : rule.cgroups)
            if (glob.matches(prefix))
                return true;
        if (prefix.empty())
            return false;
        const std::size_t slash = prefix.rfind('/');
        prefix = slash == std::string::npos ? "" : prefix.substr(0, slash);
    }
}

bool covers_view(const Rule& rule, const Address& server, std::uint16_t port) {
    return rule.ports.covers(port) &&
           std::any_of(rule.networks.begin(), rule.networks.end(),
                       [&](const Network& network) { return network.contains(server); });
}

std::optional<std::string> brute_force(const Policy& policy, const TestEnd& client,
                                       std::uint16_t client_port, const TestEnd& server,
                                       std::uint16_t server_port) {
    const auto view = [&](const Rule& rule, bool is_client) {
        return is_client ? covers_view(rule, client.server, client_port)
                         : covers_view(rule, server.server, server_port);
    };
    for (const Rule& rule : policy.rules)
        if (rule.action == Action::bypass &&
            ((covers_cgroup(rule, client.cgroup) && view(rule, true)) ||
             (covers_cgroup(rule, server.cgroup) && view(rule, false))))
            return std::nullopt;
    for (const Rule& rule : policy.rules)
        if (rule.action != Action::bypass && covers_cgroup(rule, client.cgroup) &&
            covers_cgroup(rule, server.cgroup) && (view(rule, true) || view(rule, false)))
            return rule.name;
    return std::nullopt;
}

class Dice {
  public:
    explicit Dice(unsigned seed) : engine_(seed) {}
    std::size_t below(std::size_t count) { return engine_() % count; }
    template <typename T>
    const T& one_of(const std::vector<T>& values) {
        return values[below(values.size())];
    }
    template <typename T>
    std::vector<T> some_of(const std::vector<T>& values, std::size_t least, std::size_t most) {
        std::vector<T> chosen;
        for (std::size_t left = least + below(most - least + 1); left > 0; --left)
            chosen.push_back(one_of(values));
        return chosen;
    }

  private:
    std::mt19937 engine_;
};

RuleMask kernel_cgroup_lookup(const Membership& membership, const std::vector<Cgroup>& tree,
                              std::string path) {
    for (;;) {
        for (const Cgroup& cgroup : tree)
            if (cgroup.path == path)
                if (const auto it = membership.rules_of.find(cgroup.id);
                    it != membership.rules_of.end())
                    return it->second;
        if (path.empty())
            return 0;
        const std::size_t slash = path.rfind('/');
        path = slash == std::string::npos ? "" : path.substr(0, slash);
    }
}

bool is_below_a_link(const Membership& membership, const std::string& path) {
    return std::any_of(membership.links.begin(), membership.links.end(), [&](const auto& link) {
        return link.empty() || path == link || path.starts_with(link + "/");
    });
}

TEST(Plan, DecidesAsAMatcherWithoutTablesDoes) {
    const std::vector<std::string> paths = {"", "a", "a/b", "a/b/c", "a/d", "e", "e/f", "e/f/g"};
    const std::vector<std::string> globs = {"/", "a", "a/*", "**/c", "e/**", "e/f/g", "*", "a/b"};
    const std::vector<std::string> networks = {
        "::/0",       "::/1",       "::/80",        "::ffff:0:0/96", "0.0.0.0/0",
        "10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16",   "10.1.2.3/32",
        "::1/128",    "fd00::/8",   "fd00:1::/32",  "127.0.0.0/8",   "8000::/1"};
    const std::vector<std::string> addresses = {
        "::1",      "::2",        "fd00::1",   "fd00:1::1", "2001:db8::1", "10.1.2.3",
        "10.1.2.4", "10.200.0.1", "127.0.0.1", "192.0.2.1", "::127.0.0.1"};
    const std::vector<std::string> port_texts = {"80", "80-90", "1-65535", "65535", "85-100"};
    const std::vector<std::uint16_t> ports = {1, 79, 80, 85, 90, 91, 443, 65535};
    const std::vector<Action> actions = {Action::accelerate, Action::accelerate, Action::accelerate,
                                         Action::observe, Action::bypass};
    std::vector<Cgroup> tree;
    for (const std::string& path : paths)
        tree.push_back({path, 100 + tree.size()});

    Dice dice(20240607);
    Tables tables = compile(Policy{}, nullptr);
    std::size_t covered = 0;
    for (int round = 0; round < 250; ++round) {
        std::vector<Rule> rules;
        for (std::size_t i = 0, count = 1 + dice.below(12); i < count; ++i) {
            RuleText text{"r" + std::to_string(i)};
            text.cgroups = dice.some_of(globs, 1, 3);
            text.networks = dice.some_of(networks, 1, 4);
            text.ports = dice.some_of(port_texts, 0, 2);
            text.action = dice.one_of(actions);
            text.priority = static_cast<std::int32_t>(dice.below(3));
            rules.push_back(make_rule(text));
        }
        const Policy policy = policy_of(rules);
        tables = compile(policy, &tables);
        const Membership membership = place(tables, tree, {}, 1 + dice.below(4));

        for (int i = 0; i < 20; ++i) {
            const TestEnd client{dice.one_of(paths), address(dice.one_of(addresses))};
            const TestEnd server{dice.one_of(paths), address(dice.one_of(addresses))};
            const std::uint16_t client_port = dice.one_of(ports), server_port = dice.one_of(ports);
            const auto expected = brute_force(policy, client, client_port, server, server_port);

            const auto id = tables.decide(kernel_cgroup_lookup(membership, tree, client.cgroup),
                                          tables.view(client.server, client_port),
                                          kernel_cgroup_lookup(membership, tree, server.cgroup),
                                          tables.view(server.server, server_port));
            std::optional<std::string> decided;
            for (const PlannedRule& planned : tables.rules)
                if (planned.id == id)
                    decided = planned.rule.name;
            ASSERT_EQ(decided, expected)
                << "round " << round << ", client in \"" << client.cgroup << "\" to "
                << client.server.text() << " port " << client_port << ", server in \""
                << server.cgroup << "\" at " << server.server.text() << " port " << server_port;
            if (!expected)
                continue;
            ++covered;
            ASSERT_TRUE(is_below_a_link(membership, client.cgroup)) << client.cgroup;
            ASSERT_TRUE(is_below_a_link(membership, server.cgroup)) << server.cgroup;
        }
    }
    EXPECT_GT(covered, 300u) << "too few connections were covered to mean anything";
}

// --- place ---

TEST(Plan, LinksTheTopmostCgroupsOnly) {
    const Tables tables = compile(
        policy_of({in_cgroups("x", {"a/**", "a"}), in_cgroups("y", {"**/y", "b/y/z"})}), nullptr);
    const Membership expected = {{{1, 0b01}, {2, 0b01}, {3, 0b11}, {4, 0b10}, {5, 0b10}},
                                 {"a", "b/y"}};
    EXPECT_EQ(place(tables,
                    {{"a", 1}, {"a-", 9}, {"a/b", 2}, {"a/b/y", 3}, {"b/y", 4}, {"b/y/z", 5}}, {}),
              expected);
}

TEST(Plan, LinksTheRootWhereARuleNamesIt) {
    const Tables tables = compile(policy_of({in_cgroups("x", {"/", "a"})}), nullptr);
    const Membership expected = {{{1, 1}, {2, 1}}, {""}};
    EXPECT_EQ(place(tables, {{"", 1}, {"a", 2}}, {}), expected);
}

TEST(Plan, NeedsNoLinkWhereOnlyBypassRulesAre) {
    const Tables tables =
        compile(policy_of({in_cgroups("x", {"a/b"}), in_cgroups("y", {"a", "c"}, Action::bypass)}),
                nullptr);
    const Membership expected = {{{1, 0b10}, {2, 0b11}, {3, 0b10}}, {"a/b"}};
    EXPECT_EQ(place(tables, {{"a", 1}, {"a/b", 2}, {"c", 3}}, {}), expected);
}

TEST(Plan, LinksCommonAncestorsWhenThereAreTooManyCgroups) {
    const Tables tables = compile(policy_of({in_cgroups("x", {"a/b/*/*", "a/e", "f"})}), nullptr);
    const std::vector<Cgroup> existing = {
        {"a/b/c/1", 1}, {"a/b/c/2", 2}, {"a/b/d/3", 3}, {"a/e", 4}, {"f", 5}};
    const auto links = [&](std::size_t max) { return place(tables, existing, {}, max).links; };
    EXPECT_EQ(links(5), (Lines{"a/b/c/1", "a/b/c/2", "a/b/d/3", "a/e", "f"}));
    EXPECT_EQ(links(4), (Lines{"a/b/c", "a/b/d", "a/e", "f"}));
    EXPECT_EQ(links(3), (Lines{"a/b", "a/e", "f"}));
    EXPECT_EQ(links(2), (Lines{"a", "f"}));
    EXPECT_EQ(links(1), (Lines{""}));
}

TEST(Plan, KeepsTheMasksOfCgroupsThatAnAncestorIsLinkedFor) {
    const Tables tables = compile(policy_of({in_cgroups("x", {"pods/*"})}), nullptr);
    std::vector<Cgroup> existing;
    Membership expected;
    for (unsigned i = 0; i < 65; ++i) {
        existing.push_back({"pods/" + std::to_string(100 + i), i});
        expected.rules_of[i] = 1;
    }
    expected.links = {"pods"};
    EXPECT_EQ(place(tables, existing, {}), expected);

    existing.pop_back();
    EXPECT_EQ(place(tables, existing, {}).links.size(), 64u);
}

TEST(Plan, LeavesOutCgroupsThatNoRuleNames) {
    const Tables tables = compile(policy_of({in_cgroups("x", {"a"})}), nullptr);
    const Membership expected = {{{1, 1}}, {"a"}};
    EXPECT_EQ(place(tables, {{"a", 1}, {"a/b", 2}, {"c", 3}}, {}), expected);
    EXPECT_EQ(place(without(tables, 1), {{"a", 1}}, {}), Membership{});
}

// --- units ---

TEST(Plan, GivesARuleTheCgroupsOfItsUnitsBesideItsOwn) {
    Rule both = in_cgroups("both", {"c"});
    both.units = {UnitPattern::parse("web@.service"), UnitPattern::parse("none.service")};
    Rule slice = in_cgroups("slice", {});
    slice.units = {UnitPattern::parse("system.slice")};
    const Tables tables = compile(policy_of({both, slice}), nullptr);
    const UnitCgroups units = {
        {{UnitPattern::parse("web@.service"), {"system.slice/web@1.service", "d"}},
         {UnitPattern::parse("system.slice"), {"system.slice"}},
         {UnitPattern::parse("not-of-the-policy.service"), {"e"}}},
        ""};
    const std::vector<Cgroup> existing = {
        {"c", 1}, {"d", 2}, {"e", 3}, {"system.slice", 4}, {"system.slice/web@1.service", 5}};
    const Membership expected = {{{1, 0b01}, {2, 0b01}, {4, 0b10}, {5, 0b11}},
                                 {"c", "d", "system.slice"}};
    EXPECT_EQ(place(tables, existing, units), expected);
    const CgroupSelection selection = {{},
                                       {"c", "d", "system.slice", "system.slice/web@1.service"}};
    EXPECT_EQ(selection_of(tables, units), selection);
}

TEST(Plan, LooksUpPathsAndMatchesOnlyGlobs) {
    const Tables tables = compile(policy_of({in_cgroups("x", {"/a/b", "*/c", "/"})}), nullptr);
    const CgroupSelection expected = {{CgroupGlob::parse("*/c")}, {"", "a/b"}};
    EXPECT_EQ(selection_of(tables, {}), expected);
}

// Each rule its own 16 of 1,000 cgroups, by path, by unit and by glob.
TEST(Plan, PlacesSixtyFourRulesOverAThousandCgroups) {
    std::vector<Cgroup> existing;
    for (std::uint64_t i = 0; i < 1000; ++i)
        existing.push_back({"system.slice/unit-" + std::to_string(10000 + i) + ".service", i});
    std::vector<Rule> rules;
    UnitCgroups units;
    for (std::size_t r = 0; r < 64; ++r) {
        Rule rule = in_cgroups("r" + std::to_string(100 + r),
                               {"system.slice/unit-" + std::to_string(1000 + r) + "[0-7].service"});
        for (std::size_t i = 0; i < 4; ++i) {
            rule.cgroups.push_back(CgroupGlob::parse(existing[(r * 7 + i) % 1000].path));
            rule.units.push_back(UnitPattern::parse("u" + std::to_string(r * 10 + i) + ".service"));
            units.paths[rule.units.back()] = {existing[(r * 11 + i) % 1000].path};
        }
        rules.push_back(rule);
    }
    const Tables tables = compile(policy_of(rules), nullptr);
    const Membership membership = place(tables, existing, units);
    EXPECT_EQ(membership.links, Lines{"system.slice"});
    for (std::uint64_t i = 0; i < 1000; ++i) {
        RuleMask expected = 0;
        for (std::size_t r = 0; r < 64; ++r) {
            const bool by_glob = i / 10 == r && i % 10 < 8;
            const bool by_path = (i + 1000 - r * 7 % 1000) % 1000 < 4;
            const bool by_unit = (i + 1000 - r * 11 % 1000) % 1000 < 4;
            if (by_glob || by_path || by_unit)
                expected |= RuleMask{1} << r;
        }
        const auto found = membership.rules_of.find(i);
        EXPECT_EQ(found == membership.rules_of.end() ? 0 : found->second, expected) << i;
    }
}

// --- describe ---

TEST(Plan, DescribesWhatChanged) {
    Rule db = named("db");
    db.queue_bytes = 1;
    db.tolerate = {Hazard::stall};
    const Policy before = policy_of({named("db"), named("same"), named("web")});
    const Policy after = policy_of({db, named("redis"), named("same")});
    const Lines expected = {"changed db: queue, tolerate", "added redis", "removed web"};
    EXPECT_EQ(describe_change(before, after), expected);
    EXPECT_EQ(describe_change(compile(before, nullptr), compile(after, nullptr)), expected);
    EXPECT_EQ(describe_change(before, before), Lines{});
}

TEST(Plan, NamesEveryKeyThatChanged) {
    Rule other = make_rule({"a", {"b"}, {"::1"}, {"1"}, Action::observe, 7});
    other.units = {UnitPattern::parse("x.service")};
    other.queue_bytes = 1;
    other.prove = std::chrono::seconds(1);
    other.tolerate = {Hazard::fionread};
    EXPECT_EQ(describe_change(policy_of({named("a")}), policy_of({other})),
              Lines{"changed a: units, cgroups, ports, networks, action, priority, queue, prove, "
                    "tolerate"});
}

TEST(Plan, DescribesChangedLimits) {
    Policy after;
    after.limits.memory_bytes = 1ULL << 30;
    EXPECT_EQ(describe_change(Policy{}, after), Lines{"changed limits: memory 256MiB → 1GiB"});
    after.limits.connections = 10;
    EXPECT_EQ(describe_change(Policy{}, after),
              Lines{"changed limits: connections 65536 → 10, memory 256MiB → 1GiB"});
}

}  // namespace
}  // namespace sockaccel
