// SPDX-License-Identifier: GPL-2.0-or-later
// A policy by what the daemon's observing rules have seen.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "patience.hpp"
#include "quantity.hpp"
#include "render.hpp"
#include "suggestion.hpp"

namespace sockaccel::ctl {
namespace {

struct Options {
    std::string time = "0s";  // to wait first
    std::string prove;        // of proposed rules; "": the default
};

// Those of the policy's files; who holds one looks at it himself.
std::vector<RuleReport> observing(std::vector<RuleReport> rules) {
    std::erase_if(rules, [](const RuleReport& rule) {
        return rule.action != "observe" || !rule.holder.empty();
    });
    return rules;
}

int suggest(const Common& common, const Options& options) {
    const auto time = parse_duration(options.time);
    Client client = connect(common);
    client.watch();
    const std::vector<RuleReport> rules = observing(client.rules());
    if (rules.empty())
        throw ClientError(
            "suggest: no rule observes: give one action = \"observe\", or use "
            "`sockaccelctl observe UNIT... --suggest`");
    const Patience patience(time);
    if (client.wait(patience.fd()) != Client::Woken::readable)
        throw ClientError("suggest: sockacceld has ended, and what it saw is lost");
    ConversationsReport report = client.conversations();
    std::erase_if(report.conversations, [&](const ConversationReport& it) {
        return std::none_of(rules.begin(), rules.end(),
                            [&](const RuleReport& rule) { return rule.name == it.rule; });
    });
    print(common.is_json ? conversations_json(report, rules, options.prove)
                         : suggestion_toml(report, rules, options.prove));
    return EXIT_SUCCESS;
}

void add_options(CLI::App& app, Options& options) {
    app.add_option("--for", options.time, "wait so long before; Ctrl-C ends that")
        ->type_name("TIME")
        ->capture_default_str();
    app.add_option("--prove", options.prove, "`prove` of the rules; none: its default")
        ->type_name("TIME");
}

Run declare(CLI::App& app, const Common& common) {
    const auto options = std::make_shared<Options>();
    add_options(app, *options);
    return [&common, options] { return suggest(common, *options); };
}

}  // namespace

const Command suggest_command{
    "suggest", "a policy, by what rules that observe have seen (root, or by polkit)",
    "sockaccelctl suggest > new.toml && sockaccelctl check new.toml\tfrom now on\n"
    "sockaccelctl suggest --for 1h\tin an hour\n",
    declare};

}  // namespace sockaccel::ctl
