// SPDX-License-Identifier: GPL-2.0-or-later
#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "render.hpp"

namespace sockaccel::ctl {
namespace {

struct Options {
    bool sees_all = false;
};

int monitor(const Common& common, const Options& options) {
    auto client = connect(common);
    const auto ready = [&options](bool sees_all) {
        if (options.sees_all && !sees_all)
            throw_others_are_hidden();
        std::fprintf(stderr, "waiting for events%s, end with Ctrl-C\n",
                     sees_all ? "" : " of your own connections (--all: of all)");
    };
    client.monitor(options.sees_all, ready, [&common](const EventReport& event) {
        print(common.is_json ? event_json(event) : event_text(event));
    });
    return EXIT_SUCCESS;
}

Run declare(CLI::App& app, const Common& common) {
    const auto options = std::make_shared<Options>();
    app.add_flag("--all", options->sees_all, kAllHelp);
    return [&common, options] { return monitor(common, *options); };
}

}  // namespace

const Command monitor_command{"monitor", "show connections as they are paired, enrolled and left",
                              "", declare};

}  // namespace sockaccel::ctl
