// SPDX-License-Identifier: GPL-2.0-or-later
// What became of the reloads.
#pragma once

#include <chrono>
#include <cstdint>

#include "event_loop.hpp"
#include "histogram.hpp"

namespace sockaccel {

class Reloads {
  public:
    // Runs a reload; one that throws was refused.
    template <typename Reload>
    auto count(Reload reload) -> decltype(reload()) {
        const std::chrono::nanoseconds begin = now();
        try {
            auto result = reload();
            durations_.add(now() - begin);
            applied_at_ = std::chrono::system_clock::now();
            ++applied_;
            return result;
        } catch (...) {
            ++refused_;
            throw;
        }
    }

    [[nodiscard]] std::uint64_t applied() const { return applied_; }
    [[nodiscard]] std::uint64_t refused() const { return refused_; }
    // When the policy in force was read.
    [[nodiscard]] std::chrono::system_clock::time_point applied_at() const { return applied_at_; }
    [[nodiscard]] const Histogram& durations() const { return durations_; }  // of those applied

  private:
    std::uint64_t applied_ = 0, refused_ = 0;
    std::chrono::system_clock::time_point applied_at_ = std::chrono::system_clock::now();
    Histogram durations_;
};

}  // namespace sockaccel
