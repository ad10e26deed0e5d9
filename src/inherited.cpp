// SPDX-License-Identifier: GPL-2.0-or-later
#include "inherited.hpp"

#include <sys/socket.h>
#include <systemd/sd-daemon.h>

namespace sockaccel {

std::vector<Fd> inherited_listeners() {
    constexpr int kListens = 1;
    const int count =
        check_negative(sd_listen_fds(0), "take the sockets that the service manager listens on");
    std::vector<Fd> listeners;
    for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + count; ++fd)
        if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, kListens) > 0)
            listeners.emplace_back(fd);
    return listeners;
}

}  // namespace sockaccel
