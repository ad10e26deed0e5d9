// SPDX-License-Identifier: GPL-2.0-or-later
// What one can do about each reason. docs/TROUBLESHOOTING.md has the same sentences;
// tests/docs/check-docs compares them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sockaccel::ctl {

// By the name of a reason; "" for one that is not known.
[[nodiscard]] std::string_view advice_of(std::string_view reason);

// The names of all reasons, in the order of bpf/sockaccel.h.
[[nodiscard]] std::vector<std::string_view> reason_names();

}  // namespace sockaccel::ctl
