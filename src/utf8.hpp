// SPDX-License-Identifier: GPL-2.0-or-later
// D-Bus carries UTF-8 only, and sd-bus refuses a whole message for one wrong byte; names of cgroups
// and files may hold any byte.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sockaccel {

// `text` with each byte that is not part of a valid character written as "\xNN". Characters that
// Unicode reserves (U+FFFE and the like) are not valid: sd-bus does not take them either.
[[nodiscard]] std::string valid_utf8(std::string_view text);

// Length in bytes of the valid character that `text` starts with; 0: there is none.
[[nodiscard]] std::size_t utf8_length(std::string_view text);

// Does it go on with a character that began before it?
[[nodiscard]] bool continues_character(char byte);

// At most `max` bytes of `text`, never half a character; "..." behind them if that is not all.
[[nodiscard]] std::string shortened(std::string_view text, std::size_t max);

}  // namespace sockaccel
