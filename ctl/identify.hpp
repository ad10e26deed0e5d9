// SPDX-License-Identifier: GPL-2.0-or-later
// Whose the ends of connections are: systemd unit by cgroup, and process where the caller may see
// it.
#pragma once

#include "report.hpp"

namespace sockaccel::ctl {

void identify(ConnectionsReport& report);

}  // namespace sockaccel::ctl
