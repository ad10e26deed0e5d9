// SPDX-License-Identifier: GPL-2.0-or-later
// What only the service manager knows of a stop.
#pragma once

#include <cstddef>

namespace sockaccel {

// SIGTERM alone does not say whether the unit is stopped or restarted: its job does. False also if
// the service manager cannot be asked, or keeps fewer than `kept` descriptors of this unit: then
// nothing would carry on what is left.
[[nodiscard]] bool is_restart_under_way(std::size_t kept);

}  // namespace sockaccel
