// SPDX-License-Identifier: GPL-2.0-or-later
// Which rules may run. Pure: the daemon and `sockaccelctl check` decide alike.
#pragma once

#include <string>

#include "policy.hpp"

namespace sockaccel {

// A rule that can't be accelerated safely on a kernel where the witness does or does not watch: the
// reason, and what would let it pass. Empty: it may run.
[[nodiscard]] std::string refusal(const Rule& rule, bool witness_watches);

}  // namespace sockaccel
