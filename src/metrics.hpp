// SPDX-License-Identifier: GPL-2.0-or-later
// What the service counts, as text for a monitoring system (sockaccel-metrics(5)). As many series
// as rules, reasons and states: nothing that traffic can grow.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "engine.hpp"
#include "exposition.hpp"
#include "histogram.hpp"
#include "reloads.hpp"

namespace sockaccel {

struct ConnectionCounts {
    std::map<ConnectionState, std::uint64_t> states;
    std::map<Reason, std::uint64_t> reasons;  // of those that are not enrolled
};

class Metrics {
  public:
    // `kernel`: its release. The references have to outlive this.
    Metrics(EventLoop& loop, Engine& engine, const Reloads& reloads, std::string version,
            std::string kernel)
        : loop_(loop),
          engine_(engine),
          reloads_(reloads),
          version_(std::move(version)),
          kernel_(std::move(kernel)) {}

    [[nodiscard]] std::string text(TextFormat format);

  private:
    void count_connections();
    void add_service(Exposition& text);
    void add_work(Exposition& text);

    EventLoop& loop_;
    Engine& engine_;
    const Reloads& reloads_;
    std::string version_, kernel_;
    Histogram durations_;        // of text()
    Histogram count_durations_;  // of count_connections()
    // With many connections it takes some milliseconds to count them, so that is done after an
    // answer, for the next one.
    std::map<std::string, ConnectionCounts> connections_;  // by rule
    std::optional<Instant> counted_at_;
    Instant counting_took_{};
    Source recount_;
};

}  // namespace sockaccel
