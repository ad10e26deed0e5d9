// SPDX-License-Identifier: GPL-2.0-or-later
#include <CLI/CLI.hpp>

#include "advice.hpp"
#include "commands.hpp"
#include "identify.hpp"
#include "render.hpp"
#include "selection.hpp"

namespace sockaccel::ctl {
namespace {

struct Options {
    bool is_wide = false;
    bool sees_all = false;
    Selection selection;
    std::string sort;
};

void require_meant(Client& client, const Options& options) {
    require_known("state", options.selection.states, kStates);
    require_known("reason", options.selection.reasons, reason_names());
    if (!options.sort.empty())
        require_known("key to sort by", {options.sort}, kSortKeys);
    require_rules(client, options.selection.rules);
}

int connections(const Common& common, const Options& options) {
    Client client = connect(common);
    require_meant(client, options);
    ConnectionsReport report = client.connections(options.sees_all);
    if (options.sees_all && report.hidden > 0)
        throw_others_are_hidden();
    identify(report);
    select(report, options.selection);
    sort(report, options.sort);
    show(common, common.is_json ? connections_json(report)
                                : connections_text(report, options.is_wide, view_of_stdout()));
    return EXIT_SUCCESS;
}

Run declare(CLI::App& app, const Common& common) {
    const auto options = std::make_shared<Options>();
    Selection& selection = options->selection;
    be_filter(app.add_option("--rule", selection.rules, "only of this rule"), "RULE");
    be_filter(app.add_option("--unit", selection.units, "only with an end in this unit; globs"),
              "UNIT");
    be_filter(app.add_option("--port", selection.ports, "only with this port at an end"), "PORT");
    be_filter(app.add_option("--state", selection.states, "only in this state"), "STATE");
    be_filter(app.add_option("--reason", selection.reasons, "only with this reason"), "REASON");
    app.add_option("--sort", options->sort,
                   "by age, bytes, messages, rule, state, reason, port, unit")
        ->type_name("KEY");
    app.add_flag("--wide", options->is_wide, "with cgroups, socket cookies and users");
    app.add_flag("--all", options->sees_all, kAllHelp);
    return [&common, options] { return connections(common, *options); };
}

constexpr const char* kExamples =
    "connections\teach connection, and why it is not accelerated\n"
    "connections --unit redis-server --sort bytes\tthe busiest of a unit\n"
    "connections --state paired --reason blocking\tthose that a blocking end keeps in TCP\n";

}  // namespace

const Command connections_command{
    "connections", "covered connections, and why they are not accelerated", kExamples, declare};

}  // namespace sockaccel::ctl
