// SPDX-License-Identifier: GPL-2.0-or-later
// The file in memory that holds a Legacy for each of two generations of the policy, as the maps do:
// the kernel's generation says which one is in force, so writing the next one and putting it in
// force cannot be torn apart.
#pragma once

#include <cstdint>

#include "fd.hpp"
#include "legacy.hpp"

namespace sockaccel {

class LegacyFile {
  public:
    [[nodiscard]] static Fd make();
    // `fd`, of such a file, stays the caller's.
    explicit LegacyFile(int fd) : fd_(fd) {}

    // Leaves that of the generation before alone. Throws std::runtime_error.
    void write(std::uint32_t generation, const Legacy& legacy) const;
    // Throws std::runtime_error if there is none, or if it is damaged.
    [[nodiscard]] Legacy read(std::uint32_t generation) const;

  private:
    int fd_;
};

}  // namespace sockaccel
