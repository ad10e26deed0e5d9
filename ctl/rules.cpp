// SPDX-License-Identifier: GPL-2.0-or-later
#include "commands.hpp"
#include "render.hpp"

namespace sockaccel::ctl {
namespace {

Run declare(CLI::App&, const Common& common) {
    return [&common] {
        const std::vector<RuleReport> report = connect(common).rules();
        show(common, common.is_json ? rules_json(report) : rules_text(report, view_of_stdout()));
        return EXIT_SUCCESS;
    };
}

constexpr const char* kExamples =
    "rules\twhat each rule matches and did\n"
    "rules --json | jq -r '.rules[] | select(.live > 0) | .name'\trules with live connections\n";

}  // namespace

const Command rules_command{"rules", "the rules, in deciding order", kExamples, declare};

}  // namespace sockaccel::ctl
