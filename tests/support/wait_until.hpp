// SPDX-License-Identifier: GPL-2.0-or-later
// Waits for what another process does, without a fixed sleep.
#pragma once

#include <chrono>
#include <thread>

#include "slowness.hpp"

namespace sockaccel::test {

// Asks every few milliseconds, until it is true or the time is over; returns the last answer.
template <typename Predicate>
[[nodiscard]] bool wait_until(Predicate predicate,
                              std::chrono::milliseconds timeout = slowness() *
                                                                  std::chrono::seconds(20)) {
    const auto end = std::chrono::steady_clock::now() + timeout;
    while (!predicate()) {
        if (std::chrono::steady_clock::now() >= end)
            return predicate();
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
}

}  // namespace sockaccel::test
