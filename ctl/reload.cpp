// SPDX-License-Identifier: GPL-2.0-or-later
#include "commands.hpp"
#include "render.hpp"

namespace sockaccel::ctl {
namespace {

Run declare(CLI::App&, const Common& common) {
    return [&common] {
        const auto changes = connect(common, IfNotRunning::start).reload();
        print(common.is_json ? changes_json(changes) : changes_text(changes));
        return EXIT_SUCCESS;
    };
}

}  // namespace

const Command reload_command{
    "reload", "read the policy again and put it in force (root, or by polkit)", "", declare};

}  // namespace sockaccel::ctl
