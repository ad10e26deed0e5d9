// SPDX-License-Identifier: GPL-2.0-or-later
// Asks systemd, over the system bus, where the units that a policy names have their cgroups, and
// keeps that up to date. The only file besides event_loop and main that knows libsystemd's C
// interface. Nothing of it needs systemd to be there: what is missing is a `problem`, until it
// appears.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "event_loop.hpp"
#include "unit_cgroups.hpp"
#include "unit_pattern.hpp"

namespace sockaccel {

class Units {
  public:
    // `changed` is called from the loop whenever found() has become another one. The loop has to
    // outlive this.
    Units(EventLoop& loop, std::function<void()> changed);
    ~Units();
    Units(const Units&) = delete;
    Units& operator=(const Units&) = delete;

    // From now on these. Waits for the first answers, but at most `patience`; what comes later is
    // told by `changed`. Without any, there is no connection to the bus.
    void follow(std::vector<UnitPattern> patterns, std::chrono::milliseconds patience);

    [[nodiscard]] const UnitCgroups& found() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sockaccel
