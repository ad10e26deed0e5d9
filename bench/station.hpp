// SPDX-License-Identifier: GPL-2.0-or-later
// Two processes of their own, a client and a server, with connections between them, which send what
// they are told and count. Their sockets are O_NONBLOCK, and they wait in poll(2).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "case.hpp"
#include "fd.hpp"

namespace sockaccel::bench {

enum class Transport { tcp, unix_socket };

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
    explicit Station(Transport transport);
    ~Station();
    Station(const Station&) = delete;
    Station& operator=(const Station&) = delete;

    // Put into a cgroup before connect(), its sockets belong to that one.
    [[nodiscard]] pid_t pid() const { return pid_; }
    // A port of 127.0.0.1, bound already.
    [[nodiscard]] std::uint16_t server_port() const { return server_port_; }

    // Makes the connections; returns the clients' ports (0: no TCP). Once.
    std::vector<std::uint16_t> connect(std::size_t count);
    // For so long, on one of the connections. A run without progress for five seconds is an error.
    Sample run(std::size_t connection, const Case& what, std::chrono::milliseconds duration);

  private:
    Fd channel_;
    pid_t pid_ = -1;
    std::uint16_t server_port_ = 0;
};

}  // namespace sockaccel::bench
