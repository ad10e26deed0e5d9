// SPDX-License-Identifier: GPL-2.0-or-later
// That there is one daemon for a state directory. Two would each attach to the same cgroups.
#pragma once

#include <filesystem>

#include "fd.hpp"

namespace sockaccel {

// Held as long as this lives. Makes the directory. Throws std::runtime_error that says what is
// wrong: usually that another daemon runs.
class InstanceLock {
  public:
    explicit InstanceLock(const std::filesystem::path& directory);

  private:
    Fd file_;
};

}  // namespace sockaccel
