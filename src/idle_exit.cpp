// SPDX-License-Identifier: GPL-2.0-or-later
#include "idle_exit.hpp"

#include <utility>

namespace sockaccel {

IdleExit::IdleExit(EventLoop& loop, std::chrono::nanoseconds patience,
                   std::function<bool()> is_needed, std::function<void()> leave)
    : patience_(patience),
      is_needed_(std::move(is_needed)),
      timer_(loop.timer([this, leave = std::move(leave)] {
          const bool is_over = !is_needed_();
          notice();
          if (is_over)
              leave();
      })) {}

void IdleExit::notice() {
    if (is_needed_())
        timer_.disarm();
    else
        timer_.arm(now() + patience_);
}

}  // namespace sockaccel
