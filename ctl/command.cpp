// SPDX-License-Identifier: GPL-2.0-or-later
#include "command.hpp"

#include <cstdio>
#include <stdexcept>

#include "bus_address.hpp"

namespace sockaccel::ctl {

Client connect(const Common& common, IfNotRunning what) {
    return {BusAddress::parse(common.bus), what};
}

void print(const std::string& text) {
    if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0)
        throw std::runtime_error("write to standard output failed");
}

void throw_others_are_hidden() {
    throw Denied(
        "the connections of other users: permission denied: run it as root, or start a polkit "
        "agent, such as pkttyagent(1), for the action org.sockaccel1.inspect");
}

}  // namespace sockaccel::ctl
