// SPDX-License-Identifier: GPL-2.0-or-later
// What a unit name is: unit-name.c of systemd. Where its cgroup is: unit_default_cgroup_path(),
// unit_set_default_slice() and cg_slice_to_path() there.
#include "unit_pattern.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <vector>

#include "glob.hpp"
#include "likely_meant.hpp"

namespace sockaccel {
namespace {

constexpr std::size_t kMaxLength = 255;  // UNIT_NAME_MAX without its NUL

// Units of these types have processes, or sockets, and so a cgroup.
constexpr std::array<std::string_view, 6> kTypes = {"service", "socket", "slice",
                                                    "scope",   "mount",  "swap"};
constexpr std::array<std::string_view, 5> kTypesWithout = {"target", "timer", "path", "device",
                                                           "automount"};

template <typename Words>
bool has(const Words& words, std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

bool may_be_in_pattern(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view(":-_.\\@*?[]!^").find(c) != std::string_view::npos;
}

std::string did_you_mean(std::string_view name, std::string_view type) {
    return "did you mean \"" + std::string(name) + "." + std::string(type) + "\"?";
}

void check_type(std::string_view text) {
    const std::size_t dot = text.rfind('.');
    if (dot == std::string_view::npos)
        throw std::invalid_argument("it has no suffix: " + did_you_mean(text, "service"));
    const std::string_view name = text.substr(0, dot);
    const std::string_view type = text.substr(dot + 1);
    if (has(kTypes, type) || is_glob(type))
        return;
    if (has(kTypesWithout, type))
        throw std::invalid_argument("a " + std::string(type) +
                                    " unit has no cgroup: name the services that it starts");
    const std::optional<std::string_view> meant =
        likely_meant(type, {kTypes.begin(), kTypes.end()});
    throw std::invalid_argument(
        "its suffix is no type of unit: " +
        (meant ? did_you_mean(name, *meant) : did_you_mean(text, "service")));
}

std::string below(std::string_view parent, std::string_view name) {
    return parent.empty() ? std::string(name) : std::string(parent) + "/" + std::string(name);
}

// "a-b.slice" is in "a.slice".
std::string slice_cgroup(std::string_view slice) {
    constexpr std::string_view kSuffix = ".slice";
    if (slice == "-.slice")
        return "";
    std::string path;
    for (std::size_t dash = slice.find('-'); dash != std::string_view::npos;
         dash = slice.find('-', dash + 1))
        path = below(path, std::string(slice.substr(0, dash)) + std::string(kSuffix));
    return below(path, slice);
}

// "web@1.service" and its like get "system-web.slice".
std::string default_slice(std::string_view unit) {
    const std::size_t at = unit.find('@');
    if (at == std::string_view::npos)
        return "system.slice";
    std::string prefix;
    for (const char c : unit.substr(0, at))
        prefix += c == '-' ? "\\x2d" : c == '\\' ? "\\x5c" : std::string(1, c);
    return "system-" + prefix + ".slice";
}

}  // namespace

UnitPattern UnitPattern::parse(std::string_view text) {
    if (text.empty())
        throw std::invalid_argument("empty: name a unit, such as \"redis-server.service\"");
    if (text.size() > kMaxLength)
        throw std::invalid_argument("longer than 255 bytes");
    if (text.find('/') != std::string_view::npos)
        throw std::invalid_argument("names of units have no '/': name a path in `cgroups`");
    if (!std::all_of(text.begin(), text.end(), may_be_in_pattern))
        throw std::invalid_argument(
            "it has a character that names of units do not have: systemd-escape(1) writes them");
    if (has_unclosed_bracket(text))
        throw std::invalid_argument("'[' is not closed");
    if (text.front() == '.' || text.front() == '@')
        throw std::invalid_argument(std::string("there is no name before '") + text.front() + "'");
    check_type(text);

    UnitPattern result;
    result.text_ = result.pattern_ = text;
    if (const std::size_t at = text.find("@."); at != std::string_view::npos)
        result.pattern_.insert(at + 1, "*");
    return result;
}

bool UnitPattern::is_glob() const {
    return sockaccel::is_glob(pattern_);
}

bool UnitPattern::matches(const std::string& unit) const {
    return matches_glob(pattern_, unit);
}

std::string expected_cgroup(std::string_view unit, std::string_view slice) {
    if (unit_type(unit) == "slice")
        return slice_cgroup(unit);
    const std::string parent = slice_cgroup(slice.empty() ? default_slice(unit) : slice);
    // cg_escape(). It also escapes the names of controllers ("memory.service"): those are found
    // when they run.
    const bool is_escaped = unit.starts_with('_') || unit.starts_with("cgroup.");
    return below(parent, (is_escaped ? "_" : "") + std::string(unit));
}

bool has_cgroup(std::string_view unit) {
    return has(kTypes, unit_type(unit));
}

std::string_view unit_type(std::string_view unit) {
    return unit.substr(std::min(unit.rfind('.'), unit.size() - 1) + 1);
}

}  // namespace sockaccel
