// SPDX-License-Identifier: GPL-2.0-or-later
// One run of the benchmarks: how much is measured, on what, and what came of it so far.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "results.hpp"
#include "rig.hpp"

namespace sockaccel::bench {

// SIGINT or SIGTERM has come: everything goes that was made. No failure of what is measured.
struct Interrupted {};
void watch_for_interrupts();
void stop_if_interrupted();

// What is compared by less than 3 % takes more turns.
enum class Precision { usual, fine };

class Session {
  public:
    // `repeat` 0: the usual number of turns.
    Session(bool is_quick, unsigned repeat) : is_quick_(is_quick), repeat_(repeat) {}

    [[nodiscard]] bool is_quick() const { return is_quick_; }
    [[nodiscard]] unsigned turns(Precision precision) const;
    [[nodiscard]] std::chrono::milliseconds sample() const;

    // Started when it is first asked for.
    [[nodiscard]] Rig& rig();
    // Stops it, for a group that brings a daemon of its own.
    void end_rig() { rig_.reset(); }

    void add(Row row);
    void add(Curve curve);
    void add(Figure figure);
    void omit(const std::string& group, const std::string& name, const std::string& why);

    // On standard error, as it goes on.
    void tell(const std::string& text) const;

    Results results;

  private:
    bool is_quick_;
    unsigned repeat_;
    std::unique_ptr<Rig> rig_;
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace sockaccel::bench
