// SPDX-License-Identifier: GPL-2.0-or-later
#include "commands.hpp"
#include "render.hpp"

namespace sockaccel::ctl {
namespace {

Run declare(CLI::App&, const Common& common) {
    return [&common] {
        const StatusReport report = connect(common).status();
        show(common, common.is_json ? status_json(report) : status_text(report, view_of_stdout()));
        return report.is_well() ? EXIT_SUCCESS : EXIT_FAILURE;
    };
}

constexpr const char* kExamples =
    "status\tone screen\n"
    "status --json | jq .problems\twhat is wrong, for a script\n";

}  // namespace

const Command status_command{"status", "how the service and its rules are doing", kExamples,
                             declare};

}  // namespace sockaccel::ctl
