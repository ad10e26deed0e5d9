// SPDX-License-Identifier: GPL-2.0-or-later
// A dbus-daemon of the test's own, so that nothing on the host is seen or disturbed.
#pragma once

#include <optional>
#include <string>

#include "process.hpp"
#include "temporary_directory.hpp"

namespace sockaccel::test {

class PrivateBus {
  public:
    enum class Kind {
        open,    // everyone may do everything
        system,  // as the system bus: only what dbus/org.sockaccel1.conf allows
    };

    explicit PrivateBus(Kind kind = Kind::open);

    [[nodiscard]] const std::string& address() const { return address_; }
    [[nodiscard]] pid_t pid() const { return process_->pid(); }
    void end();
    void start();  // again, at the same address

  private:
    TemporaryDirectory directory_;
    std::string file_;  // its configuration
    std::optional<Process> process_;
    std::string address_;
};

}  // namespace sockaccel::test
