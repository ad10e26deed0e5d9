// SPDX-License-Identifier: GPL-2.0-or-later
// Log lines: to standard error with a <N> priority prefix, which journald reads, when that is where
// standard error goes; without it on a terminal.
#pragma once

#include <string>

namespace sockaccel::log {

void error(const std::string& message);
void warning(const std::string& message);
void notice(const std::string& message);
void info(const std::string& message);

}  // namespace sockaccel::log
