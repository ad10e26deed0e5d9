// SPDX-License-Identifier: GPL-2.0-or-later
// A set of TCP ports, kept as sorted, disjoint, non-adjacent ranges. Empty, it means "every port".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sockaccel {

struct PortRange {
    std::uint16_t first = 0, last = 0;  // both inclusive, 1 … 65535

    auto operator<=>(const PortRange&) const = default;

    // "7000-7100" or "6379". Throws std::invalid_argument, saying what is wrong.
    [[nodiscard]] static PortRange parse(std::string_view text);
    [[nodiscard]] std::string text() const;
};

class PortSet {
  public:
    void add(PortRange range);  // overlaps are merged; first <= last
    [[nodiscard]] bool empty() const { return ranges_.empty(); }
    [[nodiscard]] bool covers(std::uint16_t port) const;  // true for each port if empty
    [[nodiscard]] const std::vector<PortRange>& ranges() const { return ranges_; }

    bool operator==(const PortSet&) const = default;

  private:
    std::vector<PortRange> ranges_;
};

}  // namespace sockaccel
