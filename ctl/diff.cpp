// SPDX-License-Identifier: GPL-2.0-or-later
#include "commands.hpp"
#include "render.hpp"

namespace sockaccel::ctl {
namespace {

constexpr int kDifference = 1, kFailed = 2;  // as diff(1) has it

Run declare(CLI::App&, const Common& common) {
    return [&common] {
        const auto changes = connect(common).diff();
        print(common.is_json ? changes_json(changes) : diff_text(changes));
        return changes.empty() ? EXIT_SUCCESS : kDifference;
    };
}

}  // namespace

const Command diff_command{"diff", "what a reload would change (root, or by polkit)", "", declare,
                           kFailed};

}  // namespace sockaccel::ctl
