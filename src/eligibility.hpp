// SPDX-License-Identifier: GPL-2.0-or-later
// Which rules may run. Pure: the daemon and `sockaccelctl check` decide alike.
#pragma once

#include <string>

#include "kernel_verdict.hpp"
#include "policy.hpp"

namespace sockaccel {

// A rule that this version can't accelerate safely on this kernel: the reason, and what would let
// it pass. Empty: it may run. `kernel` may be of one that nobody has tested.
[[nodiscard]] std::string refusal(const Rule& rule, const KernelVerdict& kernel);

}  // namespace sockaccel
