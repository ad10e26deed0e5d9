// SPDX-License-Identifier: GPL-2.0-or-later
#include "bus_names.hpp"

namespace sockaccel {

std::string rule_path(std::string_view name) {
    static constexpr char kHex[] = "0123456789abcdef";
    std::string path = std::string(kManagerPath) + "/rule/";
    if (name.empty())
        return path + "_";
    for (std::size_t at = 0; at < name.size(); ++at) {
        const char c = name[at];
        const bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        const bool is_digit = c >= '0' && c <= '9';
        if (is_letter || (is_digit && at > 0)) {
            path += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            path += {'_', kHex[byte >> 4], kHex[byte & 15]};
        }
    }
    return path;
}

}  // namespace sockaccel
