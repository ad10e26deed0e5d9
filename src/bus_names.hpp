// SPDX-License-Identifier: GPL-2.0-or-later
// The names that the daemon and its clients meet by. Interfaces and members come from dbus/*.xml.
#pragma once

#include <string>
#include <string_view>

namespace sockaccel {

inline constexpr const char* kBusName = "org.sockaccel1";
inline constexpr const char* kManagerPath = "/org/sockaccel1";
inline constexpr const char* kErrorInvalidPolicy = "org.sockaccel1.Error.InvalidPolicy";
inline constexpr const char* kErrorNoSuchRule = "org.sockaccel1.Error.NoSuchRule";
inline constexpr const char* kErrorFailed = "org.sockaccel1.Error.Failed";

// The object of the rule with this name: "/org/sockaccel1/rule/NAME", escaped as
// sd_bus_path_encode(3) does: what is not a letter, nor a digit after the first place, becomes _XX.
[[nodiscard]] std::string rule_path(std::string_view name);

}  // namespace sockaccel
