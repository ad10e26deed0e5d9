// SPDX-License-Identifier: GPL-2.0-or-later
// Which temporary rules cover a command. Pure.
#pragma once

#include <string>
#include <vector>

#include "report.hpp"

namespace sockaccel::ctl {

struct RunOptions {
    std::vector<std::string> command;          // with its arguments
    std::vector<std::string> joined;           // names of rules; none: every one that accelerates
    std::vector<std::string> ports, networks;  // of servers in the command
    std::vector<std::string> tolerate;         // what its programs do not use
    std::string prove = "0s", queue;           // "": the default
    bool is_quiet = false;
};

// The text for a Hold. A rule that has both ends in the command's cgroup; and for each rule that it
// joins one like that, whose cgroups are that rule's and the command's: it decides last, so that
// what was covered before stays with its own rule. Of what must be vouched for, it tolerates what
// that rule and the command's user both do. Throws std::runtime_error about a rule that cannot be
// joined.
[[nodiscard]] std::string run_rules(const std::string& name, const std::string& cgroup,
                                    const RunOptions& options,
                                    const std::vector<RuleReport>& rules);

}  // namespace sockaccel::ctl
