// SPDX-License-Identifier: GPL-2.0-or-later
// Values as TOML writes them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sockaccel::ctl {

// Anything but UTF-8, which the policy is, is written as it is.
[[nodiscard]] std::string toml_string(std::string_view text);

// Of strings: `["a", "b"]`.
[[nodiscard]] std::string toml_strings(const std::vector<std::string>& texts);

// One line, whatever is in it: "# text\n".
[[nodiscard]] std::string toml_comment(std::string_view text);

}  // namespace sockaccel::ctl
