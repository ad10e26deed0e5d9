// SPDX-License-Identifier: GPL-2.0-or-later
// What the fuzz targets are made of: libFuzzer calls each with any bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "utf8.hpp"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace sockaccel::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

// What holds for every input. If it does not, libFuzzer keeps the input.
inline void claim(bool holds, std::string_view what, std::string_view seen = {}) {
    if (holds)
        return;
    std::fprintf(stderr, "not true: %.*s: %.*s\n", static_cast<int>(what.size()), what.data(),
                 static_cast<int>(seen.size()), seen.data());
    std::abort();
}

// For the bus, a terminal, the journal: valid UTF-8 after valid_utf8(), at most so long, and no
// control character but newline.
inline void claim_can_be_told(std::string_view message, std::size_t most) {
    claim(message.size() <= most, "messages are bounded", message);
    for (const char c : message)
        claim(c == '\n' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f),
              "messages have no control characters", message);
    const std::string valid = valid_utf8(message);
    for (std::string_view rest = valid; !rest.empty(); rest.remove_prefix(utf8_length(rest)))
        claim(utf8_length(rest) > 0, "valid_utf8() makes valid UTF-8", valid);
}

}  // namespace sockaccel::fuzz
