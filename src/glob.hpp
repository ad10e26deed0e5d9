// SPDX-License-Identifier: GPL-2.0-or-later
// fnmatch(3) patterns as the policy has them: for a name, or one component of a path. A backslash
// stands for itself, as unit names hold some.
#pragma once

#include <string>
#include <string_view>

namespace sockaccel {

[[nodiscard]] bool is_glob(std::string_view pattern);

[[nodiscard]] bool matches_glob(const std::string& pattern, const std::string& name);

// fnmatch(3) takes an unclosed '[' for an ordinary character; nobody means that.
[[nodiscard]] bool has_unclosed_bracket(std::string_view pattern);

}  // namespace sockaccel
