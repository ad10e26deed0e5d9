// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy.hpp"

#include <algorithm>

namespace sockaccel {
namespace {

// Order and repetition do not change what a list selects.
template <typename T>
bool select_alike(const std::vector<T>& a, const std::vector<T>& b) {
    const auto is_within = [](const std::vector<T>& list, const std::vector<T>& other) {
        return std::all_of(list.begin(), list.end(), [&](const T& element) {
            return std::find(other.begin(), other.end(), element) != other.end();
        });
    };
    return a == b || (is_within(a, b) && is_within(b, a));
}

}  // namespace

std::string_view to_string(Action action) {
    switch (action) {
        case Action::accelerate:
            return "accelerate";
        case Action::observe:
            return "observe";
        case Action::bypass:
            return "bypass";
    }
    return "?";
}

std::string_view to_string(Hazard hazard) {
    switch (hazard) {
        case Hazard::fionread:
            return "fionread";
        case Hazard::splice:
            return "splice";
        case Hazard::waitall:
            return "waitall";
        case Hazard::blocking:
            return "blocking";
        case Hazard::stall:
            return "stall";
    }
    return "?";
}

bool decides_before(const Rule& a, const Rule& b) {
    return a.priority != b.priority ? a.priority > b.priority : a.name < b.name;
}

bool Rule::matches_like(const Rule& other) const {
    // A pair that a hazard was tolerated for must leave once it no longer is, so `tolerate` counts.
    return select_alike(units, other.units) && select_alike(cgroups, other.cgroups) &&
           ports == other.ports && select_alike(networks, other.networks) &&
           action == other.action && tolerate == other.tolerate;
}

}  // namespace sockaccel
