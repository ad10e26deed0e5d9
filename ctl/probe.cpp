// SPDX-License-Identifier: GPL-2.0-or-later
#include "commands.hpp"
#include "render.hpp"

namespace sockaccel::ctl {
namespace {

Run declare(CLI::App&, const Common& common) {
    return [&common] {
        const ProbeReport report = connect(common, IfNotRunning::start).probe();
        print(common.is_json ? probe_json(report) : probe_text(report));
        return report.is_usable ? EXIT_SUCCESS : EXIT_FAILURE;
    };
}

}  // namespace

const Command probe_command{
    "probe", "test what the kernel does with redirected data, now (root, or by polkit)", "",
    declare};

}  // namespace sockaccel::ctl
