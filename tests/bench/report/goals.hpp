// SPDX-License-Identifier: GPL-2.0-or-later
// What sockaccel means to reach, and whether it does.
#pragma once

#include <string>
#include <vector>

#include "results.hpp"

namespace sockaccel::bench {

// The ratio of `way` to `to` is at least `least` in each row that is meant.
struct Goal {
    std::string text;
    double least = 0;
    std::string group;               // "*": all
    std::vector<std::string> names;  // globs
    Way way = Way::accelerated, to = Way::plain;
};

[[nodiscard]] const std::vector<Goal>& goals();

enum class Outcome {
    met,
    unsure,  // the median is on one side of the goal, and a quarter of the turns on the other
    missed,
    unmeasured,
};
[[nodiscard]] std::string_view to_string(Outcome outcome);

// By the worst row. Rows with blocking ends count only where the names say so: no rule covers them
// by default.
struct Judgement {
    Outcome outcome = Outcome::unmeasured;
    const Row* worst = nullptr;
    Spread ratio;
    std::string why;  // it is unmeasured
};
[[nodiscard]] Judgement judge(const Goal& goal, const Results& results);

}  // namespace sockaccel::bench
