// SPDX-License-Identifier: GPL-2.0-or-later
// What a daemon left that cannot be carried on: of another ABI, or not whole, or after a failure.
#pragma once

#include <chrono>

#include "fd_store.hpp"

namespace sockaccel {

// Takes all pairs out as that daemon would have on a stop, with its own programs, and empties the
// store. Those that are left after `patience` keep the empty stub, which leaves all to TCP.
void clear_away(FdStore& store, std::chrono::milliseconds patience);

}  // namespace sockaccel
