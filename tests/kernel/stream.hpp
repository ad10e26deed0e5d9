// SPDX-License-Identifier: GPL-2.0-or-later
// What is sent in one direction: bytes that tell their own position.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace sockaccel::test {

// An endless sequence of bytes, fixed by its seed. Each byte depends on its position, so that a
// lost, repeated, moved or foreign byte is seen where it happened.
class Stream {
  public:
    explicit Stream(std::uint64_t seed);

    void fill(std::uint64_t position, std::span<std::byte> bytes) const;

    // "" if `bytes` are those of `position`. Otherwise where they differ, and from where in the
    // stream they come, if it is not far.
    [[nodiscard]] std::string differs(std::uint64_t position,
                                      std::span<const std::byte> bytes) const;

  private:
    [[nodiscard]] std::byte at(std::uint64_t position) const;
    [[nodiscard]] std::string origin(std::uint64_t position,
                                     std::span<const std::byte> bytes) const;

    std::uint64_t seed_;
};

}  // namespace sockaccel::test
