// SPDX-License-Identifier: GPL-2.0-or-later
// sd-bus knows a flag of messages that sdbus-c++ 1.2 does not: that the caller waits while somebody
// is asked for a password.
#pragma once

#include <sdbus-c++/sdbus-c++.h>
#include <systemd/sd-bus.h>

namespace sockaccel {

class RawMessage : private sdbus::Message {
  public:
    // Borrowed from `message`.
    [[nodiscard]] static sd_bus_message* of(const sdbus::Message& message) {
        return static_cast<sd_bus_message*>(message.*(&RawMessage::msg_));
    }
};

}  // namespace sockaccel
