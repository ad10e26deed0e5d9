// SPDX-License-Identifier: GPL-2.0-or-later
// Which systemd units a rule means: "redis-server.service", a glob such as "web@*.service" as
// systemctl(1) takes it, or a template, "web@.service", which means all of its instances.
#pragma once

#include <string>
#include <string_view>

namespace sockaccel {

class UnitPattern {
  public:
    // Throws std::invalid_argument, saying what is wrong and what may be meant, but not repeating
    // `text`: no suffix, a unit type that has no cgroup, a character that unit names do not have.
    [[nodiscard]] static UnitPattern parse(std::string_view text);

    [[nodiscard]] bool is_glob() const;
    [[nodiscard]] bool matches(const std::string& unit) const;

    [[nodiscard]] const std::string& text() const { return text_; }  // as the user wrote it
    // For systemd: as written, but "web@*.service" for "web@.service".
    [[nodiscard]] const std::string& pattern() const { return pattern_; }

    bool operator==(const UnitPattern&) const = default;
    auto operator<=>(const UnitPattern&) const = default;

  private:
    std::string text_, pattern_;
};

// Where the system's manager puts the unit's cgroup, relative to its own, if it is in `slice`;
// without one, in the slice that it gives units of this name by default. systemd makes cgroups of
// these names for these units only, so a guess may be of no use but is never wrong.
[[nodiscard]] std::string expected_cgroup(std::string_view unit, std::string_view slice = {});

// Units without processes or sockets have none: targets, timers and the like.
[[nodiscard]] bool has_cgroup(std::string_view unit);

// "service" of "redis-server.service".
[[nodiscard]] std::string_view unit_type(std::string_view unit);

}  // namespace sockaccel
