// SPDX-License-Identifier: GPL-2.0-or-later
// Standard output: a terminal with its width, its colors and a pager, or a pipe.
#pragma once

#include <string>

#include "table.hpp"

namespace sockaccel::ctl {

// Colors on terminals only, unless NO_COLOR is set or TERM is dumb.
[[nodiscard]] View view_of_stdout();
[[nodiscard]] std::size_t lines_of_stdout();  // 0: no terminal

// Flushed at once: a monitor's reader wants each line when it happens.
void print(const std::string& text);

// By a pager if it is longer than the terminal and `may_page`: $SOCKACCEL_PAGER, $PAGER, or less.
// Under sudo and the like only less, which then is told to start nothing for its user.
void show(const std::string& text, bool may_page);

}  // namespace sockaccel::ctl
