// SPDX-License-Identifier: GPL-2.0-or-later
#include "eligibility.hpp"

#include <set>
#include <string>
#include <vector>

namespace sockaccel {
namespace {

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

std::string refusal(const Rule& rule, const KernelVerdict& kernel) {
    if (rule.action != Action::accelerate)
        return "";
    if (kernel.state == KernelVerdict::State::unusable)
        return "the kernel fails the self-test, and no `tolerate` lifts that: " + kernel.flaw;
    if (kernel.witness_watches)
        return "";
    std::set<Hazard> needed = rule.tolerate;
    std::vector<std::string> missing;
    for (const Unhonoured& it : kernel.unhonoured)
        if (needed.insert(it.hazard).second)
            missing.push_back(it.name);
    if (missing.empty())
        return "";
    const bool is_one = missing.size() == 1;
    const bool is_known = kernel.state == KernelVerdict::State::usable;
    return std::string(is_known ? "on this kernel redirect cannot honour "
                                : "on most kernels redirect cannot honour ") +
           enumerate(missing) + ", and " +
           (is_known ? "the witness, which would watch for "
                     : "not all let the witness watch for ") +
           (is_one ? "its" : "their") + " use" + (is_known ? ", does not load" : "") +
           "; if none of its programs uses " + (is_one ? "it" : "them") + ", " +
           (rule.tolerate.empty() ? "add: " : "write: ") + tolerate_line(needed);
}

}  // namespace sockaccel
