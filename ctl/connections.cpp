// SPDX-License-Identifier: GPL-2.0-or-later
#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "render.hpp"

namespace sockaccel::ctl {
namespace {

struct Options {
    bool is_wide = false;
    bool sees_all = false;
};

Run declare(CLI::App& app, const Common& common) {
    const auto options = std::make_shared<Options>();
    app.add_flag("--wide", options->is_wide, "with cgroups, socket cookies and users");
    app.add_flag("--all", options->sees_all, kAllHelp);
    return [&common, options] {
        const ConnectionsReport report = connect(common).connections(options->sees_all);
        if (options->sees_all && report.hidden > 0)
            throw_others_are_hidden();
        print(common.is_json ? connections_json(report)
                             : connections_text(report, options->is_wide));
        return EXIT_SUCCESS;
    };
}

}  // namespace

const Command connections_command{
    "connections", "covered connections, and why they are not accelerated", "", declare};

}  // namespace sockaccel::ctl
