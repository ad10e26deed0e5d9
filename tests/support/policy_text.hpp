// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

namespace sockaccel::test {

// A rule over these cgroups that accelerates at once; `more` are further lines of it, `tolerated`
// is one thing more that it tolerates.
[[nodiscard]] std::string rule(const std::string& name, const std::vector<std::string>& cgroups,
                               const std::string& more = {}, const std::string& tolerated = {});

}  // namespace sockaccel::test
