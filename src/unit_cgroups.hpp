// SPDX-License-Identifier: GPL-2.0-or-later
// What systemd says of the units that a policy names: a value that `Units` makes and the engine
// takes.
#pragma once

#include <map>
#include <set>
#include <string>

#include "unit_pattern.hpp"

namespace sockaccel {

struct UnitCgroups {
    // Where the cgroups of the pattern's units are when they run, relative to the cgroup2 root;
    // those of the socket units that trigger them, too.
    std::map<UnitPattern, std::set<std::string>> paths;
    std::string problem;  // why systemd does not say; "": it does

    bool operator==(const UnitCgroups&) const = default;

    [[nodiscard]] const std::set<std::string>& of(const UnitPattern& unit) const {
        static const std::set<std::string> kNone;
        const auto found = paths.find(unit);
        return found == paths.end() ? kNone : found->second;
    }
};

}  // namespace sockaccel
