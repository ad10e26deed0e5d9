// SPDX-License-Identifier: GPL-2.0-or-later
#include "patience.hpp"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include <csignal>

namespace sockaccel::ctl {

Patience::Patience(std::chrono::milliseconds time)
    : timer_(check(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC), "make a timer")),
      both_(check(::epoll_create1(EPOLL_CLOEXEC), "make an epoll set")) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    check(::sigprocmask(SIG_BLOCK, &signals, nullptr), "block SIGINT and SIGTERM");
    signals_ = Fd(check(::signalfd(-1, &signals, SFD_CLOEXEC), "watch SIGINT and SIGTERM"));
    itimerspec when{};
    when.it_value.tv_sec = time.count() / 1000;
    when.it_value.tv_nsec = time.count() % 1000 * 1'000'000 + 1;  // zero would be never
    check(::timerfd_settime(timer_.get(), 0, &when, nullptr), "set a timer");
    for (const int fd : {timer_.get(), signals_.get()}) {
        epoll_event event{};
        event.events = EPOLLIN;
        check(::epoll_ctl(both_.get(), EPOLL_CTL_ADD, fd, &event), "wait for a timer");
    }
}

}  // namespace sockaccel::ctl
