// SPDX-License-Identifier: GPL-2.0-or-later
#include "worker.hpp"

#include <sched.h>
#include <sys/socket.h>

#include <array>
#include <ctime>
#include <string>

#include "event_loop.hpp"
#include "loopback.hpp"
#include "rig.hpp"

namespace sockaccel::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

struct Order {
    std::uint32_t what;
    milliseconds duration;
};

nanoseconds own_cpu() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

void stay_on_this_cpu() {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(check(::sched_getcpu(), "ask for the CPU"), &cpus);
    check(::sched_setaffinity(0, sizeof cpus, &cpus), "stay on a CPU");
}

void obey(int channel, const std::function<Worker::Act()>& begin) {
    stay_on_this_cpu();
    const Worker::Act act = begin();
    check(static_cast<int>(::send(channel, "", 1, MSG_NOSIGNAL)), "say that all is ready");
    Order order{};
    while (::recv(channel, &order, sizeof order, 0) == sizeof order) {
        Sample sample;
        const nanoseconds start = now(), cpu = own_cpu();
        do {
            sample.count += act(order.what);
            sample.elapsed = now() - start;
        } while (sample.elapsed < order.duration);
        sample.cpu = own_cpu() - cpu;
        check(static_cast<int>(::send(channel, &sample, sizeof sample, MSG_NOSIGNAL)), "answer");
    }
}

}  // namespace

Worker::Worker(const test::TestCgroup& cgroup, const char* name,
               const std::function<Act()>& begin) {
    std::array<int, 2> fds{};
    check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()), "make a channel");
    channel_ = Fd(fds[0]);
    Fd far(fds[1]);
    pid_ = start_in(cgroup, name, [&, far = far.get()] { obey(far, begin); });
    far = Fd();
    char is_ready = 0;
    if (::recv(channel_.get(), &is_ready, 1, 0) != 1)
        throw StationError("the process that works does not start");
}

Worker::~Worker() {
    end_process(pid_);
}

void Worker::move_to(const test::TestCgroup& cgroup) const {
    bench::move_to(cgroup, pid_);
}

Sample Worker::run(std::uint32_t what, milliseconds duration) {
    const Order order{what, duration};
    check(static_cast<int>(::send(channel_.get(), &order, sizeof order, MSG_NOSIGNAL)),
          "order a run");
    Sample sample;
    if (::recv(channel_.get(), &sample, sizeof sample, 0) != sizeof sample)
        throw StationError("the process that works has ended");
    return sample;
}

Fd tcp_socket() {
    return Fd(check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "make a socket"));
}

Fd listen_at(std::uint16_t port) {
    Fd socket = tcp_socket();
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const sockaddr_in address = test::loopback(port);
    check(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
          "bind to port " + std::to_string(port));
    check(::listen(socket.get(), 1024), "listen");
    return socket;
}

std::pair<Fd, Fd> connect_through(const Fd& listener) {
    sockaddr_in address{};
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t length = sizeof address;
    check(::getsockname(listener.get(), generic, &length), "ask for the port");
    Fd client = tcp_socket();
    check(::connect(client.get(), generic, length), "connect");
    Fd server(
        check(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC), "accept a connection"));
    return {std::move(client), std::move(server)};
}

}  // namespace sockaccel::bench
