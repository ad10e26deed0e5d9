// SPDX-License-Identifier: GPL-2.0-or-later
#include "suggest.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <CLI/CLI.hpp>

#include "client.hpp"
#include "patience.hpp"
#include "quantity.hpp"
#include "render.hpp"
#include "suggestion.hpp"

namespace sockaccel::ctl {
namespace {

// Those of the policy's files; who holds one looks at it himself.
std::vector<RuleReport> observing(std::vector<RuleReport> rules) {
    std::erase_if(rules, [](const RuleReport& rule) {
        return rule.action != "observe" || !rule.holder.empty();
    });
    return rules;
}

}  // namespace

void add_suggest_options(CLI::App& subcommand, SuggestOptions& options) {
    subcommand.add_option("--for", options.time, "wait so long before; Ctrl-C ends that")
        ->type_name("TIME")
        ->capture_default_str();
    subcommand.add_option("--prove", options.prove, "`prove` of the rules; none: its default")
        ->type_name("TIME");
    subcommand.footer(
        "Example:\n  sockaccelctl suggest > /tmp/new.toml && sockaccelctl check /tmp/new.toml");
}

int suggest(const BusAddress& bus, bool is_json, const SuggestOptions& options) {
    const auto time = parse_duration(options.time);
    Client client(bus, IfNotRunning::fail);
    client.watch();
    const std::vector<RuleReport> rules = observing(client.rules());
    if (rules.empty())
        throw ClientError(
            "suggest: no rule observes: give one action = \"observe\", or use `sockaccelctl "
            "observe "
            "UNIT... --suggest`");
    const Patience patience(time);
    if (client.wait(patience.fd()) != Client::Woken::readable)
        throw ClientError("suggest: sockacceld has ended, and what it saw is lost");
    ConversationsReport report = client.conversations();
    std::erase_if(report.conversations, [&](const ConversationReport& it) {
        return std::none_of(rules.begin(), rules.end(),
                            [&](const RuleReport& rule) { return rule.name == it.rule; });
    });
    const std::string text = is_json ? conversations_json(report, rules, options.prove)
                                     : suggestion_toml(report, rules, options.prove);
    if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0)
        throw std::runtime_error("write to standard output failed");
    return EXIT_SUCCESS;
}

}  // namespace sockaccel::ctl
