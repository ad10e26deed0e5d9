// SPDX-License-Identifier: GPL-2.0-or-later
// Byte sizes and durations as people write them, and back.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace sockaccel {

// "1MiB", "64K", "512 KiB", "4096": a whole number with at most one unit of B, K, M, G, T, P, E or
// KiB … EiB, in any case; all are powers of 1024, none means bytes. "MB" is refused, as half of all
// people mean 10^6 by it. Throws std::invalid_argument that says what is wrong without `text`.
[[nodiscard]] std::uint64_t parse_bytes(std::string_view text);

// "5min", "1h 30min", "500ms", "0s": whole numbers, each with a unit of d, h, min, s or ms (or its
// longer names as in systemd.time(7)), the larger unit first. Throws as parse_bytes() does.
[[nodiscard]] std::chrono::milliseconds parse_duration(std::string_view text);

// "0B", "1MiB", "1.5KiB": in the largest unit that fits, rounded down to a tenth. What is not a
// whole number of that unit is for reading only: parse_bytes() takes no fractions.
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);

// "0s", "5min", "1h 30min", "1s 500ms": exact; parse_duration() reads it unless it is negative.
[[nodiscard]] std::string format_duration(std::chrono::milliseconds duration);

}  // namespace sockaccel
