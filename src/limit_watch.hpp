// SPDX-License-Identifier: GPL-2.0-or-later
// What is told of limits that are met: each at most once a minute, with how often it was since it
// was last told.
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "datapath.hpp"

namespace sockaccel {

using Limit = ::sa_limit;

[[nodiscard]] std::string_view name_of(Limit limit);  // "connections"

class LimitWatch {
  public:
    static constexpr std::chrono::minutes kInterval{1};

    // Returns what has to be told now, a line each.
    [[nodiscard]] std::vector<std::string> look(const Totals& totals, Instant now);

    // When to look again, even if nothing happens; none: there is no need to.
    [[nodiscard]] std::optional<Instant> next() const;

    // What was told of limits that are still being met: as told last, a line each.
    [[nodiscard]] std::vector<std::string> problems() const;

  private:
    struct Told {
        std::uint64_t hits = 0;
        std::optional<Instant> at;  // none: not met lately
        std::string text;
    };
    std::array<Told, SA_LIMIT_COUNT> told_;
};

}  // namespace sockaccel
