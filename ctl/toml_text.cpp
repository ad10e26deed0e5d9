// SPDX-License-Identifier: GPL-2.0-or-later
#include "toml_text.hpp"

#include <fmt/format.h>

namespace sockaccel::ctl {

std::string toml_string(std::string_view text) {
    std::string result = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f)
            result += fmt::format("\\u{:04x}", byte);
        else if (c == '"' || c == '\\')
            result += {'\\', c};
        else
            result += c;
    }
    return result + "\"";
}

std::string toml_strings(const std::vector<std::string>& texts) {
    std::string list;
    for (const std::string& text : texts)
        list += (list.empty() ? "" : ", ") + toml_string(text);
    return "[" + list + "]";
}

std::string toml_comment(std::string_view text) {
    std::string result = "# ";
    for (const char c : text)
        result += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    return result + "\n";
}

}  // namespace sockaccel::ctl
