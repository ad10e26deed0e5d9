// SPDX-License-Identifier: GPL-2.0-or-later
// Emulated machines get more time for what has to happen. What must not happen is watched as long
// as elsewhere, and what the user is promised stays as it is.
#pragma once

#include <cstdlib>

namespace sockaccel::test {

// How many times slower than usual this machine is: tools/test sets SLOWNESS for an emulated one.
[[nodiscard]] inline int slowness() {
    const char* text = std::getenv("SLOWNESS");
    const int times = text == nullptr ? 1 : std::atoi(text);
    return times < 1 ? 1 : times;
}

}  // namespace sockaccel::test
