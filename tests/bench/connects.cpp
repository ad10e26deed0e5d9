// SPDX-License-Identifier: GPL-2.0-or-later
// Connections that carry one request: what it costs to be looked at by a rule, or to be of a cgroup
// that a rule selects.
#include <sys/socket.h>

#include <array>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "event_loop.hpp"
#include "fd.hpp"
#include "loopback.hpp"
#include "measures.hpp"

namespace sockaccel::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr std::size_t kMessage = 64;
constexpr std::uint16_t kCoveredPort = kUncoveredPort + 1;

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

// The server closes first, so that it, and not the client's port, waits in TIME_WAIT.
void serve_one(const Fd& listener) {
    const Fd socket(
        check(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC), "accept a connection"));
    std::array<char, kMessage> message{};
    if (::recv(socket.get(), message.data(), message.size(), MSG_WAITALL) > 0)
        check(static_cast<int>(::send(socket.get(), message.data(), message.size(), MSG_NOSIGNAL)),
              "answer");
}

void ask_one(std::uint16_t port) {
    const Fd socket = tcp_socket();
    const sockaddr_in address = test::loopback(port);
    check(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
          "connect");
    std::array<char, kMessage> message{};
    check(static_cast<int>(::send(socket.get(), message.data(), message.size(), MSG_NOSIGNAL)),
          "ask");
    while (check(static_cast<int>(::recv(socket.get(), message.data(), message.size(), 0)),
                 "read the answer") > 0) {
    }
}

// A client's and a server's process, in a cgroup.
class Visitors {
  public:
    Visitors(const test::TestCgroup& cgroup, std::uint16_t port) {
        std::array<int, 2> fds{};
        check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()),
              "make a channel");
        channel_ = Fd(fds[0]);
        const Fd far(fds[1]);
        server_ = start_in(cgroup, "connects", [&] { be_server(port, far.get()); });
        char is_up = 0;
        check(static_cast<int>(::recv(channel_.get(), &is_up, 1, 0)), "wait for the server");
        client_ = start_in(cgroup, "connects", [&] { be_client(port, far.get()); });
    }
    ~Visitors() {
        for (const pid_t pid : {client_, server_})
            end_process(pid);
    }
    Visitors(const Visitors&) = delete;
    Visitors& operator=(const Visitors&) = delete;

    Sample run(milliseconds duration) {
        const nanoseconds cpu = cpu_of(client_) + cpu_of(server_);
        check(static_cast<int>(::send(channel_.get(), &duration, sizeof duration, MSG_NOSIGNAL)),
              "order a run");
        Sample sample;
        if (::recv(channel_.get(), &sample, sizeof sample, 0) != sizeof sample)
            throw StationError("the client's process has ended");
        sample.cpu = cpu_of(client_) + cpu_of(server_) - cpu;
        return sample;
    }

  private:
    [[noreturn]] static void be_server(std::uint16_t port, int channel) {
        const Fd listener = listen_at(port);
        check(static_cast<int>(::send(channel, "", 1, MSG_NOSIGNAL)), "say so");
        while (true)
            serve_one(listener);
    }

    static void be_client(std::uint16_t port, int channel) {
        milliseconds duration{};
        while (::recv(channel, &duration, sizeof duration, 0) == sizeof duration) {
            Sample sample;
            const nanoseconds begin = now();
            do {
                ask_one(port);
                ++sample.count;
                sample.elapsed = now() - begin;
            } while (sample.elapsed < duration);
            check(static_cast<int>(::send(channel, &sample, sizeof sample, MSG_NOSIGNAL)),
                  "answer");
        }
    }

    Fd channel_;
    pid_t client_ = -1, server_ = -1;
};

}  // namespace

void measure_connects(Session& session) {
    const std::pair<Way, std::uint16_t> ports[] = {{Way::plain, kCoveredPort + 1},
                                                   {Way::accelerated, kCoveredPort},
                                                   {Way::uncovered, kUncoveredPort},
                                                   {Way::empty, kCoveredPort + 3},
                                                   {Way::tutorial, kCoveredPort + 2}};
    std::vector<std::unique_ptr<Visitors>> visitors;
    std::vector<std::pair<Way, Measure>> ways;
    for (const auto& [way, port] : ports) {
        visitors.push_back(std::make_unique<Visitors>(session.rig().cgroup(way), port));
        ways.emplace_back(way, [&, &one = *visitors.back()] {
            static_cast<void>(one.run(session.sample() / 10));
            return one.run(session.sample());
        });
    }
    Row row;
    row.group = "connects";
    row.name = "one request of 64B";
    row.unit = "connections";
    for (unsigned turn = 0; turn < session.turns(Precision::fine); ++turn) {
        stop_if_interrupted();
        take_turn(row, turn, ways);
    }
    session.add(std::move(row));
}

}  // namespace sockaccel::bench
