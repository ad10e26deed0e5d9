// SPDX-License-Identifier: GPL-2.0-or-later
// Serves the metrics over HTTP on sockets that the service manager listens on. In the daemon's one
// thread and event loop; whatever a client does costs a bounded amount of memory and time.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "event_loop.hpp"
#include "exposition.hpp"
#include "fd.hpp"

namespace sockaccel {

class MetricsServer {
  public:
    // `listeners` are stream sockets that listen, AF_UNIX or TCP. `content` makes the answer, four
    // times a second at most in each format. `noticed` is called whenever a client has come, gone
    // or asked. Throws std::runtime_error.
    MetricsServer(EventLoop& loop, std::vector<Fd> listeners,
                  std::function<std::string(TextFormat)> content, std::function<void()> noticed);
    ~MetricsServer();
    MetricsServer(const MetricsServer&) = delete;
    MetricsServer& operator=(const MetricsServer&) = delete;

    // A client is connected.
    [[nodiscard]] bool is_busy() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sockaccel
