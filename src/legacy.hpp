// SPDX-License-Identifier: GPL-2.0-or-later
// What a daemon leaves to the one that carries on its work, beside what the kernel's maps hold.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernel_verdict.hpp"
#include "plan.hpp"

namespace sockaccel {

struct Legacy {
    std::vector<PlannedRule> rules;  // in force: the maps know them by id only
    KernelVerdict verdict;           // by which rules were refused; without its findings

    bool operator==(const Legacy&) const = default;

    [[nodiscard]] std::string text() const;
    // Throws std::runtime_error if it is damaged, or of another version.
    [[nodiscard]] static Legacy parse(std::string_view text);
};

}  // namespace sockaccel
