// SPDX-License-Identifier: GPL-2.0-or-later
// A screen of one's own on the terminal, given back as it was: on the alternate screen, without a
// cursor, keys not echoed. Without a terminal, it only waits.
#pragma once

#include <termios.h>

#include <chrono>
#include <optional>
#include <string>

#include "fd.hpp"

namespace sockaccel::ctl {

class Screen {
  public:
    // From now on SIGINT, SIGTERM, SIGHUP and SIGWINCH are blocked, and told by wait().
    explicit Screen(bool is_terminal);
    ~Screen();
    Screen(const Screen&) = delete;
    Screen& operator=(const Screen&) = delete;

    [[nodiscard]] bool is_terminal() const { return is_terminal_; }

    // The text from the top; what does not fit is not shown.
    void draw(const std::string& text) const;

    enum class Event { time, resized, end };
    // `time`: so long after the one before, whatever came in between.
    [[nodiscard]] Event wait(std::chrono::milliseconds delay);

  private:
    [[nodiscard]] std::optional<Event> take_signal() const;
    [[nodiscard]] bool is_end_key() const;

    bool is_terminal_, has_keys_ = false;
    Fd signals_;
    termios before_{};
    std::optional<std::chrono::steady_clock::time_point> due_;
};

}  // namespace sockaccel::ctl
