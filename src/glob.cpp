// SPDX-License-Identifier: GPL-2.0-or-later
#include "glob.hpp"

#include <fnmatch.h>

namespace sockaccel {

bool is_glob(std::string_view pattern) {
    return pattern.find_first_of("*?[") != std::string_view::npos;
}

bool matches_glob(const std::string& pattern, const std::string& name) {
    return is_glob(pattern) ? ::fnmatch(pattern.c_str(), name.c_str(), FNM_NOESCAPE) == 0
                            : pattern == name;
}

bool has_unclosed_bracket(std::string_view pattern) {
    for (std::size_t at = pattern.find('['); at != std::string_view::npos;
         at = pattern.find('[', at)) {
        ++at;
        if (at < pattern.size() && (pattern[at] == '!' || pattern[at] == '^'))
            ++at;
        // A ']' that comes first stands for itself.
        at = at < pattern.size() ? pattern.find(']', at + 1) : std::string_view::npos;
        if (at == std::string_view::npos)
            return true;
    }
    return false;
}

}  // namespace sockaccel
