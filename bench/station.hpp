// SPDX-License-Identifier: GPL-2.0-or-later
// Two processes of their own, a client and a server, with connections between them, which send what
// they are told and count.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "case.hpp"
#include "fd.hpp"

namespace sockaccel::bench {

enum class Transport { tcp, unix_socket, pipes };

// How an end waits for data.
enum class Waiting {
    poll,      // O_NONBLOCK: reads, and waits in poll(2) if there is nothing
    epoll,     // O_NONBLOCK: waits in epoll_wait(2), then reads, as event loops do
    blocking,  // in recv(2)
};
[[nodiscard]] std::string_view to_string(Waiting waiting);  // "poll"

// How the two ends reach each other. Network namespaces are files for setns(2), "": this one.
struct Route {
    Transport transport = Transport::tcp;
    Waiting waiting = Waiting::poll;
    std::string client_netns = {}, server_netns = {};
    std::string connect_to = "127.0.0.1", listen_at = "127.0.0.1";
};

// What one run has done.
struct Sample {
    std::uint64_t count = 0;  // transactions; of a stream: bytes that have arrived
    std::chrono::nanoseconds elapsed{};
    std::chrono::nanoseconds cpu{};         // of both processes
    std::chrono::nanoseconds p50{}, p99{};  // of a transaction; of a stream: 0

    [[nodiscard]] double per_second() const;
};

class StationError : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

class Station {
  public:
    // The processes wait, until the end of this object; they end with this process, too.
    explicit Station(const Route& route = {});
    ~Station();
    Station(const Station&) = delete;
    Station& operator=(const Station&) = delete;

    // Put into a cgroup before connect(), its sockets belong to that one.
    [[nodiscard]] pid_t pid() const { return pid_; }
    // Bound already.
    [[nodiscard]] std::uint16_t server_port() const { return server_port_; }

    // Makes the connections; returns the clients' ports (0: no TCP). Once.
    std::vector<std::uint16_t> connect(std::size_t count);
    // For so long, on one of the connections; of a stream, 1 GiB at most. A run without progress
    // for five seconds is an error.
    Sample run(std::size_t connection, const Case& what, std::chrono::milliseconds duration);

  private:
    Fd channel_;
    pid_t pid_ = -1;
    std::uint16_t server_port_ = 0;
};

}  // namespace sockaccel::bench
