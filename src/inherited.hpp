// SPDX-License-Identifier: GPL-2.0-or-later
// Sockets that the service manager listens on for this service (sd_listen_fds(3)).
#pragma once

#include <vector>

#include "fd.hpp"

namespace sockaccel {

// The stream sockets among the descriptors that were passed on. To be called once: who calls owns
// them.
[[nodiscard]] std::vector<Fd> inherited_listeners();

}  // namespace sockaccel
