// SPDX-License-Identifier: GPL-2.0-or-later
// Whether the kernel lets fentry programs load, asked of it without the daemon.
#pragma once

namespace sockaccel::test {

[[nodiscard]] bool fentry_loads();

}  // namespace sockaccel::test
