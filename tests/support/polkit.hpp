// SPDX-License-Identifier: GPL-2.0-or-later
// The real polkitd on a test's bus, with the project's actions and the test's rules alone.
#pragma once

#include <optional>
#include <string>

#include "private_bus.hpp"
#include "process.hpp"
#include "temporary_directory.hpp"

namespace sockaccel::test {

class Polkit {
  public:
    // `rule` is the body of function(action, subject) in JavaScript: polkit(8). Returns when it
    // answers on the bus, which has to be of the kind `system`.
    Polkit(const PrivateBus& bus, const std::string& rule);

    [[nodiscard]] Process& process() { return *process_; }

  private:
    TemporaryDirectory directory_;
    std::optional<Process> process_;
};

}  // namespace sockaccel::test
