// SPDX-License-Identifier: GPL-2.0-or-later
#include "eligibility.hpp"

#include <set>
#include <string>
#include <vector>

namespace sockaccel {
namespace {

struct HazardName {
    Hazard hazard;
    const char* name;  // as the application's programmer knows it
};

// What the witness watches for; where it cannot, a rule has to vouch for its applications.
constexpr HazardName kWatched[] = {{Hazard::fionread, "FIONREAD"},
                                   {Hazard::splice, "splice(2)"},
                                   {Hazard::waitall, "MSG_WAITALL"}};

// "a", "a and b", "a, b and c"
std::string enumerate(const std::vector<std::string>& words) {
    std::string text;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (i > 0)
            text += i + 1 == words.size() ? " and " : ", ";
        text += words[i];
    }
    return text;
}

std::string tolerate_line(const std::set<Hazard>& hazards) {
    std::string list;
    for (const Hazard hazard : hazards) {
        if (!list.empty())
            list += ", ";
        list += '"';
        list += to_string(hazard);
        list += '"';
    }
    return "tolerate = [" + list + "]";
}

}  // namespace

std::string refusal(const Rule& rule, bool witness_watches) {
    if (witness_watches || rule.action != Action::accelerate)
        return "";
    std::set<Hazard> needed = rule.tolerate;
    std::vector<std::string> missing;
    for (const HazardName& it : kWatched)
        if (needed.insert(it.hazard).second)
            missing.emplace_back(it.name);
    if (missing.empty())
        return "";
    const bool is_one = missing.size() == 1;
    return "redirect cannot honour " + enumerate(missing) + ", and nothing watches for " +
           (is_one ? "its" : "their") +
           " use where the kernel does not let the witness load; if none of its programs uses " +
           (is_one ? "it" : "them") + ", " + (rule.tolerate.empty() ? "add: " : "write: ") +
           tolerate_line(needed);
}

}  // namespace sockaccel
