// SPDX-License-Identifier: GPL-2.0-or-later
#include "commands.hpp"
#include "render.hpp"

namespace sockaccel::ctl {
namespace {

Run declare(CLI::App&, const Common& common) {
    return [&common] {
        const std::vector<RuleReport> report = connect(common).rules();
        print(common.is_json ? rules_json(report) : rules_text(report));
        return EXIT_SUCCESS;
    };
}

}  // namespace

const Command rules_command{"rules", "the rules, in deciding order", "", declare};

}  // namespace sockaccel::ctl
