// SPDX-License-Identifier: GPL-2.0-or-later
// Ends a daemon that has nothing to do, after some time without a request: whoever needs it next
// starts it again.
#pragma once

#include <chrono>
#include <functional>

#include "event_loop.hpp"

namespace sockaccel {

class IdleExit {
  public:
    // `leave` is called from the loop when `is_needed` was false for the whole of `patience` and
    // nobody called notice() meanwhile; again after another `patience`, if the daemon goes on.
    IdleExit(EventLoop& loop, std::chrono::nanoseconds patience, std::function<bool()> is_needed,
             std::function<void()> leave);

    // Somebody asked for something, or what is_needed() says may have changed. No timer runs while
    // the daemon is needed.
    void notice();

  private:
    std::chrono::nanoseconds patience_;
    std::function<bool()> is_needed_;
    Timer timer_;
};

}  // namespace sockaccel
