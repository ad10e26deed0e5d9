// SPDX-License-Identifier: GPL-2.0-or-later
// A process that does both sides of something alone, when it is told. It stays on one CPU: so what
// is compared is what it costs, and not who was woken where.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <utility>

#include "cgroup.hpp"
#include "fd.hpp"
#include "station.hpp"

namespace sockaccel::bench {

class Worker {
  public:
    // Does a little of what is meant by the number, and tells how much that was.
    using Act = std::function<std::uint64_t(std::uint32_t what)>;

    // `begin` is called in the process, which is in the cgroup; then what it returns, as often as
    // it takes. What goes wrong there is told on standard error, after `name`.
    Worker(const test::TestCgroup& cgroup, const char* name, const std::function<Act()>& begin);
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // Sockets that it makes from now on are of that cgroup.
    void move_to(const test::TestCgroup& cgroup) const;
    // Throws StationError if the process has ended.
    [[nodiscard]] Sample run(std::uint32_t what, std::chrono::milliseconds duration);

  private:
    Fd channel_;
    pid_t pid_ = -1;
};

// --- sockets for it; all throw std::system_error

[[nodiscard]] Fd tcp_socket();
// At 127.0.0.1; port 0: any.
[[nodiscard]] Fd listen_at(std::uint16_t port);
// A client's and a server's end.
[[nodiscard]] std::pair<Fd, Fd> connect_through(const Fd& listener);

}  // namespace sockaccel::bench
