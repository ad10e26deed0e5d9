// SPDX-License-Identifier: GPL-2.0-or-later
// The effective policy as one file of TOML that means the same, with where each part comes from.
#pragma once

#include <string>

#include "policy_source.hpp"

namespace sockaccel::ctl {

[[nodiscard]] std::string policy_toml(const EffectivePolicy& effective);

}  // namespace sockaccel::ctl
