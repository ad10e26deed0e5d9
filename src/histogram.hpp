// SPDX-License-Identifier: GPL-2.0-or-later
// How long something took, each time: counted by size, as metrics have it.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace sockaccel {

class Histogram {
  public:
    // Upper bounds of the buckets; what is above the last one counts in `count` only.
    static constexpr std::array kBounds = {
        std::chrono::microseconds(100),    std::chrono::microseconds(250),
        std::chrono::microseconds(500),    std::chrono::microseconds(1000),
        std::chrono::microseconds(2500),   std::chrono::microseconds(5000),
        std::chrono::microseconds(10000),  std::chrono::microseconds(25000),
        std::chrono::microseconds(100000), std::chrono::microseconds(500000),
        std::chrono::microseconds(2500000)};

    void add(std::chrono::nanoseconds duration) {
        for (std::size_t i = 0; i < kBounds.size(); ++i)
            if (duration <= kBounds[i])
                ++buckets_[i];
        ++count_;
        sum_ += duration;
    }

    // How often it took at most kBounds[i].
    [[nodiscard]] const std::array<std::uint64_t, kBounds.size()>& buckets() const {
        return buckets_;
    }
    [[nodiscard]] std::uint64_t count() const { return count_; }
    [[nodiscard]] std::chrono::nanoseconds sum() const { return sum_; }

  private:
    std::array<std::uint64_t, kBounds.size()> buckets_{};
    std::uint64_t count_ = 0;
    std::chrono::nanoseconds sum_{};
};

}  // namespace sockaccel
