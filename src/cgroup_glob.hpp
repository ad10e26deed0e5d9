// SPDX-License-Identifier: GPL-2.0-or-later
// A glob over cgroup paths: components are fnmatch(3) patterns without '/', a backslash stands for
// itself (unit names hold some); "**" stands for any number of components, none included. A rule's
// cgroup covers its whole subtree anyway, so "a.slice/**" is meant, and read, as "each child of
// a.slice": "a.slice/*".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sockaccel {

class CgroupGlob {
  public:
    // "/kubepods.slice/*/x", with or without the leading '/'; "/" is the root. Throws
    // std::invalid_argument, saying what is wrong but not repeating `text`: empty, "//", "." or
    // "..", an unclosed '[', "**" beside other characters, longer than a path can be.
    [[nodiscard]] static CgroupGlob parse(std::string_view text);

    // `path` is relative to the cgroup2 root, without leading '/': "system.slice/redis.service";
    // the root itself is "".
    [[nodiscard]] bool matches(std::string_view path) const;

    // May a descendant of `path` match? Then that directory has to be watched.
    [[nodiscard]] bool may_match_below(std::string_view path) const;

    // The only path that matches, if there is but one.
    [[nodiscard]] std::optional<std::string> only_path() const;

    [[nodiscard]] const std::string& text() const { return text_; }  // as the user wrote it

    bool operator==(const CgroupGlob&) const = default;

  private:
    std::string text_;
    std::vector<std::string> components_;  // "**" never last, nor next to itself
};

}  // namespace sockaccel
