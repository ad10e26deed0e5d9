// SPDX-License-Identifier: GPL-2.0-or-later
// A polkit agent for this process alone: it asks for a password in the terminal.
#pragma once

#include <sys/types.h>

namespace sockaccel::ctl {

class Agent {
  public:
    // Returns when polkit knows of it. There is none for root, who is not asked, without a
    // terminal, and where pkttyagent(1) is not installed: the daemon says then what to do. An agent
    // of the desktop's goes before it.
    Agent();
    ~Agent();
    Agent(const Agent&) = delete;
    Agent& operator=(const Agent&) = delete;

  private:
    pid_t process_ = -1;
};

}  // namespace sockaccel::ctl
