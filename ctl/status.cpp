// SPDX-License-Identifier: GPL-2.0-or-later
#include "commands.hpp"
#include "render.hpp"

namespace sockaccel::ctl {
namespace {

Run declare(CLI::App&, const Common& common) {
    return [&common] {
        const StatusReport report = connect(common).status();
        print(common.is_json ? status_json(report) : status_text(report));
        return report.is_well() ? EXIT_SUCCESS : EXIT_FAILURE;
    };
}

}  // namespace

const Command status_command{"status", "how the service and its rules are doing", "", declare};

}  // namespace sockaccel::ctl
