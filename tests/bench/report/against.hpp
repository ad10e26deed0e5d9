// SPDX-License-Identifier: GPL-2.0-or-later
// What became slower, or faster, since earlier results.
#pragma once

#include <string>
#include <vector>

#include "results.hpp"

namespace sockaccel::bench {

struct Change {
    std::string what;  // "requests: loopback, poll, 64B"
    Spread before, after;
    bool is_worse = false;
};

// Of the ratios of the accelerated way to plain TCP, as machines differ; and, if `before` is of the
// same machine, of curves and figures, where less is better. Only what is beyond the spread.
[[nodiscard]] std::vector<Change> changes(const Results& before, const Results& after);
[[nodiscard]] std::string text_of(const std::vector<Change>& changes);

}  // namespace sockaccel::bench
