// SPDX-License-Identifier: GPL-2.0-or-later
// The commands, in the order of --help.
#pragma once

#include "command.hpp"

// clang-format off
#define SOCKACCEL_COMMANDS(X) \
    X(status)                 \
    X(rules)                  \
    X(connections)            \
    X(monitor)                \
    X(check)                  \
    X(cat)                    \
    X(diff)                   \
    X(reload)                 \
    X(pause)                  \
    X(resume)                 \
    X(probe)                  \
    X(run)                    \
    X(observe)                \
    X(suggest)
// clang-format on

namespace sockaccel::ctl {

#define X(name) extern const Command name##_command;
SOCKACCEL_COMMANDS(X)
#undef X

}  // namespace sockaccel::ctl
