// SPDX-License-Identifier: GPL-2.0-or-later
#include <CLI/CLI.hpp>

#include "commands.hpp"

namespace sockaccel::ctl {
namespace {

Run declare(CLI::App& app, const Common& common) {
    const auto rule = std::make_shared<std::string>();
    app.add_option("RULE", *rule, "the rule; none: everything");
    return [&common, rule] {
        connect(common, IfNotRunning::start).pause(*rule);
        return EXIT_SUCCESS;
    };
}

}  // namespace

const Command pause_command{
    "pause", "leave everything, or one rule, to TCP until it is resumed (root, or by polkit)", "",
    declare};

}  // namespace sockaccel::ctl
