// SPDX-License-Identifier: GPL-2.0-or-later
// For "did you mean" in a message about a word that is not known.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace sockaccel {

// The one of `words` that `text` was probably meant to be.
[[nodiscard]] std::optional<std::string_view> likely_meant(
    std::string_view text, const std::vector<std::string_view>& words);

}  // namespace sockaccel
