// SPDX-License-Identifier: GPL-2.0-or-later
// The file that keeps what is paused over a restart of the daemon. It is in the runtime directory,
// so a boot begins without it.
#pragma once

#include <filesystem>

#include "paused.hpp"

namespace sockaccel {

class PauseFile {
  public:
    explicit PauseFile(const std::filesystem::path& directory) : file_(directory / "paused") {}

    // Nothing if there is no file; everything, and a warning in the log, if it cannot be trusted:
    // who has paused something must not find it running.
    [[nodiscard]] Paused read() const;

    // As a whole or not at all; makes the directory. No file if nothing is paused. Throws
    // std::system_error.
    void write(const Paused& paused) const;

  private:
    std::filesystem::path file_;
};

}  // namespace sockaccel
