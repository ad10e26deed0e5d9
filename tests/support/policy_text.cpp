// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy_text.hpp"

#include <fmt/format.h>

namespace sockaccel::test {

std::string rule(const std::string& name, const std::vector<std::string>& cgroups,
                 const std::string& more, const std::string& tolerated) {
    std::string list;
    for (const std::string& cgroup : cgroups)
        list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", cgroup);
    return fmt::format(
        "[[rule]]\nname = \"{}\"\ncgroups = [{}]\nprove = \"0s\"\n"
        "tolerate = [\"fionread\", \"splice\", \"waitall\"{}]\n{}\n",
        name, list, tolerated.empty() ? "" : ", \"" + tolerated + "\"", more);
}

}  // namespace sockaccel::test
