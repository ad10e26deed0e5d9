// SPDX-License-Identifier: GPL-2.0-or-later
// Which rules are paused: a value, told by name.
#pragma once

#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace sockaccel {

// what() says so, with a hint which one may have been meant.
class NoSuchRule : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

class Paused {
  public:
    // Stands for every rule, also for those that come later.
    static constexpr std::string_view kEverything{};

    // `known` are the rules of the policy. Both throw NoSuchRule, and change nothing, for another
    // one. Nothing happens if the rule is paused already, or is not.
    void pause(const std::string& rule, const std::vector<std::string>& known);
    // The rule may also be a paused one that the policy does not have any more. If everything is
    // paused, the other rules of the policy stay so.
    void resume(const std::string& rule, const std::vector<std::string>& known);

    [[nodiscard]] bool has(const std::string& rule) const;
    [[nodiscard]] bool everything() const;
    [[nodiscard]] bool none() const { return names_.empty(); }
    // Of rules, which the policy need not have; only kEverything if everything is paused.
    [[nodiscard]] const std::set<std::string>& names() const { return names_; }

    // One name a line, * for everything. parse() throws std::invalid_argument.
    [[nodiscard]] std::string text() const;
    [[nodiscard]] static Paused parse(std::string_view text);

    bool operator==(const Paused&) const = default;

  private:
    std::set<std::string> names_;
};

}  // namespace sockaccel
