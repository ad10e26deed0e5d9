// SPDX-License-Identifier: GPL-2.0-or-later
#include <CLI/CLI.hpp>

#include "advice.hpp"
#include "commands.hpp"
#include "render.hpp"
#include "selection.hpp"

namespace sockaccel::ctl {
namespace {

struct Options {
    bool sees_all = false;
    Selection selection;
};

int monitor(const Common& common, const Options& options) {
    Client client = connect(common);
    require_known("event", options.selection.events, kEvents);
    require_known("reason", options.selection.reasons, reason_names());
    require_rules(client, options.selection.rules);
    const auto ready = [&options](bool sees_all) {
        if (options.sees_all && !sees_all)
            throw_others_are_hidden();
        std::fprintf(stderr, "waiting for events%s, end with Ctrl-C\n",
                     sees_all ? "" : " of your own connections (--all: of all)");
    };
    client.monitor(options.sees_all, ready, [&](const EventReport& event) {
        if (options.selection.wants(event))
            print(common.is_json ? event_json(event) : event_text(event, view_of_stdout()));
    });
    return EXIT_SUCCESS;
}

Run declare(CLI::App& app, const Common& common) {
    const auto options = std::make_shared<Options>();
    Selection& selection = options->selection;
    be_filter(app.add_option("--rule", selection.rules, "only of this rule"), "RULE");
    be_filter(app.add_option("--port", selection.ports, "only with this port at an end"), "PORT");
    be_filter(app.add_option("--event", selection.events, "only paired, enrolled or left"),
              "EVENT");
    be_filter(app.add_option("--reason", selection.reasons, "only with this reason"), "REASON");
    app.add_flag("--all", options->sees_all, kAllHelp);
    return [&common, options] { return monitor(common, *options); };
}

constexpr const char* kExamples =
    "monitor\tuntil Ctrl-C\n"
    "monitor --event left --reason queue\twho is too slow\n"
    "monitor --json >> events.jsonl\tfor a script\n";

}  // namespace

const Command monitor_command{"monitor", "show connections as they are paired, enrolled and left",
                              kExamples, declare};

}  // namespace sockaccel::ctl
