// SPDX-License-Identifier: GPL-2.0-or-later
// The pictures of docs/PERFORMANCE.md, as SVG.
#pragma once

#include <string>
#include <vector>

#include "results.hpp"

namespace sockaccel::bench {

// Ratios to plain TCP of one group's rows, on a logarithmic scale: half as fast is as far from 1 as
// twice as fast.
[[nodiscard]] std::string ratios_chart(const std::vector<const Row*>& rows,
                                       const std::string& title);
// Both axes are logarithmic, so what grows linearly is as steep as the dashed lines.
[[nodiscard]] std::string curve_chart(const Curve& curve);

}  // namespace sockaccel::bench
