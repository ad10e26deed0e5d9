// SPDX-License-Identifier: GPL-2.0-or-later
// How long a command waits: for a time, and not beyond Ctrl-C.
#pragma once

#include <chrono>

#include "fd.hpp"

namespace sockaccel::ctl {

class Patience {
  public:
    // From now on SIGINT and SIGTERM only end this.
    explicit Patience(std::chrono::milliseconds time);

    // Readable when it is over.
    [[nodiscard]] int fd() const { return both_.get(); }

  private:
    Fd timer_, signals_, both_;
};

}  // namespace sockaccel::ctl
