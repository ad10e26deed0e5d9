// SPDX-License-Identifier: GPL-2.0-or-later
// Temporary rules, beside those of the policy's files: each is held by somebody, and goes with him.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "policy.hpp"

namespace sockaccel {

inline constexpr std::size_t kMaxHoldBytes = 1UL << 20;  // of one call, as of a file

class Holds {
  public:
    // The rules of `text`, which is written as a file of the policy is, and says nothing but rules.
    // Returns their names. Throws PolicyError and holds what it held before; so too if one of the
    // names is taken by another held rule.
    std::vector<std::string> add(const std::string& holder, std::string_view text);

    // All that it holds. False: nothing.
    bool release(const std::string& holder);

    // Throws PolicyError if one of them has the name of a rule that is there.
    [[nodiscard]] Policy added_to(Policy policy) const;

    // "": it is not a held one.
    [[nodiscard]] std::string holder_of(const std::string& rule) const;

  private:
    std::map<std::string, std::vector<Rule>> rules_;  // by holder
};

}  // namespace sockaccel
