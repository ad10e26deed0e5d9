// SPDX-License-Identifier: GPL-2.0-or-later
// The cells of a table, and as text.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace sockaccel::bench {

using Cells = std::vector<std::string>;  // of a row

// All rows have as many cells.
[[nodiscard]] std::size_t width_of(const std::vector<Cells>& rows);
[[nodiscard]] std::string aligned(const std::vector<Cells>& rows);

}  // namespace sockaccel::bench
