// SPDX-License-Identifier: GPL-2.0-or-later
// Results as text: for a terminal, and in docs/PERFORMANCE.md.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "results.hpp"

namespace sockaccel::bench {

// Of the groups: "requests", "streams", … in the order in which they are told.
struct Group {
    std::string name, title;
};
[[nodiscard]] const std::vector<Group>& groups();

[[nodiscard]] std::string text_of(const Results& results);

// The document with what stands between <!-- NAME --> and <!-- end --> made anew: NAME is "host",
// "goals" or a group. Throws std::runtime_error if there is no place for a group.
[[nodiscard]] std::string filled(const std::string& document, const Results& results);

// GROUP.svg and GROUP-N.svg.
void draw(const Results& results, const std::filesystem::path& directory);

}  // namespace sockaccel::bench
