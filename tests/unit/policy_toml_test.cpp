// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy_toml.hpp"

#include <gtest/gtest.h>

#include <string>

namespace sockaccel::ctl {
namespace {

// As if it were the only file.
EffectivePolicy effective(const std::string& text) {
    PolicyText parsed = parse_policy_text(text, "/etc/p.toml");
    EffectivePolicy result;
    result.files = {"/etc/p.toml"};
    for (const auto& [name, where] : parsed.rules)
        result.rules[name] = {"/etc/p.toml", where};
    for (const auto& [key, where] : parsed.limits)
        result.limits[key] = {"/etc/p.toml", where};
    result.policy = std::move(parsed.policy);
    return result;
}

TEST(PolicyToml, SaysWhereEachPartComesFrom) {
    EffectivePolicy policy = effective(
        "[limits]\n"
        "memory = \"1GiB\"\n"
        "[[rule]]\n"
        "name = \"redis\"\n"
        "cgroups = [\"a.slice\"]\n"
        "ports = [6379, \"7000-7100\"]\n");
    policy.overridden = {"/usr/lib/x.toml is masked by /etc/x.toml"};
    EXPECT_EQ(policy_toml(policy),
              "# read: /etc/p.toml\n"
              "# /usr/lib/x.toml is masked by /etc/x.toml\n"
              "\n"
              "[limits]\n"
              "# /etc/p.toml:2:1\n"
              "memory = \"1GiB\"\n"
              "\n"
              "# /etc/p.toml:4:8\n"
              "[[rule]]\n"
              "name     = \"redis\"\n"
              "cgroups  = [\"a.slice\"]\n"
              "ports    = [6379, \"7000-7100\"]\n"
              "networks = [\"127.0.0.0/8\", \"::1/128\"]\n"
              "action   = \"accelerate\"\n"
              "priority = 0\n"
              "queue    = \"2MiB\"\n"
              "prove    = \"5min\"\n"
              "tolerate = []\n");
}

TEST(PolicyToml, MeansTheSame) {
    const std::string text = R"(
[limits]
connections = 77
memory = 1234567
[[rule]]
name = "a"
cgroups = ["x\\x2dy\"é.slice/**", '*\t']
ports = ["1-65535"]
networks = ["10.0.0.0/8", "fd00::/8"]
priority = -7
queue = 100001
prove = "1h 2s 3ms"
tolerate = ["stall", "splice"]
[[rule]]
name = "b"
cgroups = ["y.slice"]
action = "bypass"
prove = "0s"
)";
    const Policy policy = parse_policy(text, "p.toml");
    EXPECT_EQ(parse_policy(policy_toml(effective(text)), "written.toml"), policy)
        << policy_toml(effective(text));
}

TEST(PolicyToml, SaysThatThereIsNoPolicy) {
    EXPECT_EQ(policy_toml({}), "# there is no policy file: nothing is accelerated\n");
}

// What follows would else be read as policy.
TEST(PolicyToml, KeepsAFileNameInItsComment) {
    EffectivePolicy policy;
    policy.files = {"/etc/sockaccel.d/a\n[[rule]].toml"};
    EXPECT_EQ(policy_toml(policy), "# read: /etc/sockaccel.d/a?[[rule]].toml\n");
}

}  // namespace
}  // namespace sockaccel::ctl
