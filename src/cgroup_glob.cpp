// SPDX-License-Identifier: GPL-2.0-or-later
// Matching walks the path once, keeping the set of positions in the glob that are still possible:
// linear in the path, whatever the number of "**".
#include "cgroup_glob.hpp"

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <utility>

#include "glob.hpp"

namespace sockaccel {
namespace {

constexpr std::size_t kMaxLength = 4095;  // PATH_MAX without its NUL
constexpr std::string_view kAnyDepth = "**";

std::vector<std::string> split(std::string_view path) {
    std::vector<std::string> components;
    while (!path.empty()) {
        const std::size_t slash = std::min(path.find('/'), path.size());
        components.emplace_back(path.substr(0, slash));
        path.remove_prefix(std::min(slash + 1, path.size()));
    }
    return components;
}

void check_component(const std::string& component) {
    if (component.empty())
        throw std::invalid_argument("\"//\": a component is empty");
    if (component == "." || component == "..")
        throw std::invalid_argument("\".\" and \"..\" cannot be used");
    if (component != kAnyDepth && component.find(kAnyDepth) != std::string::npos)
        throw std::invalid_argument("\"**\" must stand alone between slashes");
    if (has_unclosed_bracket(component))
        throw std::invalid_argument("'[' is not closed");
}

// Element i: may what follows match components i, i + 1, …?
using Positions = std::vector<bool>;

void pass_empty_depths(const std::vector<std::string>& glob, Positions& positions) {
    for (std::size_t i = 0; i < glob.size(); ++i)
        if (positions[i] && glob[i] == kAnyDepth)
            positions[i + 1] = true;
}

Positions walk(const std::vector<std::string>& glob, std::string_view path) {
    Positions positions(glob.size() + 1, false);
    positions[0] = true;
    pass_empty_depths(glob, positions);
    for (const std::string& name : split(path)) {
        Positions next(glob.size() + 1, false);
        for (std::size_t i = 0; i < glob.size(); ++i) {
            if (!positions[i])
                continue;
            if (glob[i] == kAnyDepth)
                next[i] = true;
            else if (matches_glob(glob[i], name))
                next[i + 1] = true;
        }
        pass_empty_depths(glob, next);
        positions = std::move(next);
    }
    return positions;
}

}  // namespace

CgroupGlob CgroupGlob::parse(std::string_view text) {
    if (text.empty())
        throw std::invalid_argument("empty: name a cgroup, such as \"system.slice/redis.service\"");
    if (text.size() > kMaxLength)
        throw std::invalid_argument("longer than 4095 bytes");
    if (text.find('\0') != std::string_view::npos)
        throw std::invalid_argument("holds a NUL character");

    CgroupGlob glob;
    glob.text_ = text;
    if (text.starts_with('/'))
        text.remove_prefix(1);
    for (std::string& component : split(text)) {
        check_component(component);
        // "**/**" says no more than "**".
        if (component != kAnyDepth || glob.components_.empty() ||
            glob.components_.back() != kAnyDepth)
            glob.components_.push_back(std::move(component));
    }
    if (!glob.components_.empty() && glob.components_.back() == kAnyDepth)
        glob.components_.back() = "*";
    return glob;
}

std::optional<std::string> CgroupGlob::only_path() const {
    std::string path;
    for (const std::string& component : components_) {
        if (is_glob(component))
            return std::nullopt;
        path += (path.empty() ? "" : "/") + component;
    }
    return path;
}

bool CgroupGlob::matches(std::string_view path) const {
    return walk(components_, path).back();
}

bool CgroupGlob::may_match_below(std::string_view path) const {
    // Each position but the last still wants a component: "**" is never the last one.
    const Positions positions = walk(components_, path);
    return std::find(positions.begin(), positions.end() - 1, true) != positions.end() - 1;
}

}  // namespace sockaccel
