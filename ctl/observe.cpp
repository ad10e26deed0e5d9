// SPDX-License-Identifier: GPL-2.0-or-later
// Looks at the connections of some units for a while, by a temporary rule.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <limits>

#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "patience.hpp"
#include "quantity.hpp"
#include "render.hpp"
#include "suggestion.hpp"
#include "toml_text.hpp"

namespace sockaccel::ctl {
namespace {

struct Options {
    std::vector<std::string> units, cgroups, ports, networks;
    std::string time = "1min";
    std::string prove;  // of proposed rules; "": the default
    bool suggests = false;
};

std::string observing_rule(const std::string& name, const Options& options) {
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

int observe(const Common& common, const Options& options) {
    if (options.units.empty() && options.cgroups.empty())
        throw ClientError("observe: name a unit, or a --cgroup: --cgroup / is everything");
    const auto time = parse_duration(options.time);
    Client client = connect(common, IfNotRunning::start);
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
    if (common.is_json)
        text = conversations_json(report, rules, options.prove);
    print(text);
    return EXIT_SUCCESS;
}

void add_options(CLI::App& app, Options& options) {
    const auto list = [&](const char* name, std::vector<std::string>& values, const char* type,
                          const char* help) {
        return app.add_option(name, values, help)->type_name(type)->delimiter(',');
    };
    list("UNIT", options.units, "", "systemd units, both ends of the connections");
    list("--cgroup", options.cgroups, "PATH", "cgroups below the root of cgroup2, also globs")
        ->allow_extra_args(false);
    list("--port", options.ports, "PORT", "servers' ports; none: every one")
        ->allow_extra_args(false);
    list("--network", options.networks, "NETWORK", "servers' addresses; none: loopback")
        ->allow_extra_args(false);
    app.add_option("--for", options.time, "for how long; Ctrl-C ends it earlier")
        ->type_name("TIME")
        ->capture_default_str();
    app.add_flag("--suggest", options.suggests, "print a policy instead of a table");
    app.add_option("--prove", options.prove, "with --suggest: as for suggest")->type_name("TIME");
}

Run declare(CLI::App& app, const Common& common) {
    const auto options = std::make_shared<Options>();
    add_options(app, *options);
    return [&common, options] { return observe(common, *options); };
}

}  // namespace

const Command observe_command{
    "observe", "look at what units' connections do, and accelerate nothing (root, or by polkit)",
    "sockaccelctl observe redis-server.service 'web@*.service' --for 10min\twhat these do\n"
    "sockaccelctl observe --cgroup / --for 1h --suggest\ta policy for this host\n",
    declare};

}  // namespace sockaccel::ctl
