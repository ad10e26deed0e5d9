// SPDX-License-Identifier: GPL-2.0-or-later
#include "against.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace sockaccel::bench {
namespace {

constexpr double kHair = 0.03;    // ratios: what does not matter, even if all turns agree on it
constexpr double kFactor = 1.25;  // values, of which there are few

bool are_apart(const Spread& a, const Spread& b) {
    return a.high < b.low || b.high < a.low;
}

void compare(const Row& before, const Row& after, std::vector<Change>& changes) {
    const Spread then = before.ratio(Way::accelerated), now = after.ratio(Way::accelerated);
    const bool matters =
        now.median < then.median * (1 - kHair) || now.median > then.median * (1 + kHair);
    if (matters && are_apart(then, now))
        changes.push_back({after.group + ": " + after.name, then, now, now.median < then.median});
}

void compare(const std::string& what, const Spread& then, const Spread& now,
             std::vector<Change>& changes) {
    if (now.median > then.median * kFactor || now.median < then.median / kFactor)
        changes.push_back({what, then, now, now.median > then.median});
}

const Series* find(const Results& results, const Curve& wanted, const Series& series) {
    for (const Curve& curve : results.curves)
        if (curve.group == wanted.group && curve.name == wanted.name)
            for (const Series& one : curve.series)
                if (one.name == series.name)
                    return &one;
    return nullptr;
}

void compare_curves(const Results& before, const Results& after, std::vector<Change>& changes) {
    for (const Curve& curve : after.curves)
        for (const Series& series : curve.series) {
            const Series* old = find(before, curve, series);
            if (old == nullptr)
                continue;
            for (const Point& point : series.points)
                for (const Point& then : old->points)
                    if (then.x == point.x)
                        compare(fmt::format("{}: {}, {}, at {}", curve.group, curve.name,
                                            series.name, point.x),
                                spread_of(then.values), spread_of(point.values), changes);
        }
}

void compare_figures(const Results& before, const Results& after, std::vector<Change>& changes) {
    for (const Figure& figure : after.figures)
        for (const Figure& then : before.figures)
            if (then.group == figure.group && then.name == figure.name)
                compare(figure.group + ": " + figure.name, spread_of({then.value}),
                        spread_of({figure.value}), changes);
}

}  // namespace

std::vector<Change> changes(const Results& before, const Results& after) {
    std::vector<Change> changes;
    for (const Row& row : after.rows)
        if (const Row* then = before.find(row.group, row.name))
            compare(*then, row, changes);
    if (before.host.machine == after.host.machine && before.host.cpus == after.host.cpus) {
        compare_curves(before, after, changes);
        compare_figures(before, after, changes);
    }
    std::ranges::stable_sort(
        changes, [](const Change& a, const Change& b) { return a.is_worse > b.is_worse; });
    return changes;
}

std::string text_of(const std::vector<Change>& changes) {
    if (changes.empty())
        return "Nothing differs beyond the spread.\n";
    std::string text;
    for (const Change& change : changes)
        text += fmt::format("{:<7} {}: {:.3g} ({:.3g}-{:.3g}), was {:.3g} ({:.3g}-{:.3g})\n",
                            change.is_worse ? "WORSE" : "better", change.what, change.after.median,
                            change.after.low, change.after.high, change.before.median,
                            change.before.low, change.before.high);
    return text;
}

}  // namespace sockaccel::bench
