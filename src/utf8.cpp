// SPDX-License-Identifier: GPL-2.0-or-later
#include "utf8.hpp"

#include <cstdint>

namespace sockaccel {

namespace {

bool is_valid_code_point(std::uint32_t code, std::size_t length) {
    static constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const bool is_overlong = code < kSmallest[length];
    const bool is_surrogate = (code & 0xfffff800) == 0xd800;
    const bool is_reserved = (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) == 0xfffe;
    return !is_overlong && !is_surrogate && !is_reserved && code < 0x110000;
}

}  // namespace

std::size_t utf8_length(std::string_view text) {
    if (text.empty())
        return 0;
    const auto lead = static_cast<unsigned char>(text[0]);
    if (lead < 0x80)
        return 1;
    const std::size_t length = lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
    if (length == 0 || text.size() < length)
        return 0;
    std::uint32_t code = lead & (0xffu >> (length + 1));
    for (std::size_t at = 1; at < length; ++at) {
        const auto byte = static_cast<unsigned char>(text[at]);
        if (byte >> 6 != 2)
            return 0;
        code = code << 6 | (byte & 63u);
    }
    return is_valid_code_point(code, length) ? length : 0;
}

bool continues_character(char byte) {
    return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

std::string shortened(std::string_view text, std::size_t max) {
    if (text.size() <= max)
        return std::string(text);
    while (max > 0 && continues_character(text[max]))
        --max;
    return std::string(text.substr(0, max)) + "...";
}

std::string valid_utf8(std::string_view text) {
    static constexpr char kHex[] = "0123456789abcdef";
    std::string result;
    result.reserve(text.size());
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        if (length > 0) {
            result += text.substr(0, length);
        } else {
            const auto byte = static_cast<unsigned char>(text[0]);
            result += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
        }
        text.remove_prefix(length > 0 ? length : 1);
    }
    return result;
}

}  // namespace sockaccel
