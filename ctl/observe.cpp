// SPDX-License-Identifier: GPL-2.0-or-later
#include "observe.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <limits>

#include <CLI/CLI.hpp>

#include "client.hpp"
#include "patience.hpp"
#include "quantity.hpp"
#include "render.hpp"
#include "suggestion.hpp"
#include "toml_text.hpp"

namespace sockaccel::ctl {
namespace {

std::string observing_rule(const std::string& name, const ObserveOptions& options) {
    std::string text = fmt::format(
        "[[rule]]\nname = {}\naction = \"observe\"\npriority = {}\n", toml_string(name),
        std::numeric_limits<std::int32_t>::min());  // what another rule covers, stays with it
    const auto list = [&text](const char* key, const std::vector<std::string>& values) {
        if (!values.empty())
            text += fmt::format("{} = {}\n", key, toml_strings(values));
    };
    list("units", options.units);
    list("cgroups", options.cgroups);
    list("ports", options.ports);
    list("networks", options.networks);
    return text;
}

// The daemon's table has what other rules see, too.
ConversationsReport seen_by(ConversationsReport report, const std::string& rule) {
    std::erase_if(report.conversations,
                  [&](const ConversationReport& it) { return it.rule != rule; });
    return report;
}

}  // namespace

void add_observe_options(CLI::App& subcommand, ObserveOptions& options) {
    const auto list = [&](const char* name, std::vector<std::string>& values, const char* type,
                          const char* help) {
        return subcommand.add_option(name, values, help)->type_name(type)->delimiter(',');
    };
    list("UNIT", options.units, "", "systemd units, both ends of the connections");
    list("--cgroup", options.cgroups, "PATH", "cgroups below the root of cgroup2, also globs")
        ->allow_extra_args(false);
    list("--port", options.ports, "PORT", "servers' ports; none: every one")
        ->allow_extra_args(false);
    list("--network", options.networks, "NETWORK", "servers' addresses; none: loopback")
        ->allow_extra_args(false);
    subcommand.add_option("--for", options.time, "for how long; Ctrl-C ends it earlier")
        ->type_name("TIME")
        ->capture_default_str();
    subcommand.add_flag("--suggest", options.suggests, "print a policy instead of a table");
    subcommand.add_option("--prove", options.prove, "with --suggest: as for suggest")
        ->type_name("TIME");
    subcommand.footer(
        "Example:\n  sockaccelctl observe redis-server.service 'web@*.service' --for 10min");
}

int observe(const BusAddress& bus, bool is_json, const ObserveOptions& options) {
    if (options.units.empty() && options.cgroups.empty())
        throw ClientError("observe: name a unit, or a --cgroup: --cgroup / is everything");
    const auto time = parse_duration(options.time);
    Client client(bus, IfNotRunning::start);
    client.watch();
    const std::string name = fmt::format("observe-{}", ::getpid());
    client.hold(observing_rule(name, options));
    const Patience patience(time);
    std::fprintf(stderr, "observing for %s, Ctrl-C ends it earlier\n",
                 format_duration(time).c_str());
    if (client.wait(patience.fd()) != Client::Woken::readable)
        throw ClientError("observe: sockacceld has ended, and what it saw is lost");
    const ConversationsReport report = seen_by(client.conversations(), name);
    const std::vector<RuleReport> rules = client.rules();
    client.release();
    std::string text = options.suggests ? suggestion_toml(report, rules, options.prove)
                                        : conversations_text(report);
    if (is_json)
        text = conversations_json(report, rules, options.prove);
    if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0)
        throw std::runtime_error("write to standard output failed");
    return EXIT_SUCCESS;
}

}  // namespace sockaccel::ctl
