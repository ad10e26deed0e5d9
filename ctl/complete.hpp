// SPDX-License-Identifier: GPL-2.0-or-later
// What could stand at the end of a command line, for the shells: see completion/.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace sockaccel::ctl {

// `words`: of the command line after the program's name; the last one is what is being written,
// and may be empty. Returns lines of "WORD", or "WORD<tab>DESCRIPTION", or ":files" or
// ":directories" where the shell knows better. Values come from the daemon, if it runs: an option
// or operand is completed by its metavariable (RULE, UNIT, …), so a new one needs nothing here.
[[nodiscard]] std::string completions(const CLI::App& app, const std::vector<std::string>& words);

}  // namespace sockaccel::ctl
