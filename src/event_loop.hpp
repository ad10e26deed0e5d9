// SPDX-License-Identifier: GPL-2.0-or-later
// The daemon's one event loop: sd-event behind owning types. Callbacks may throw: the loop then
// ends and run() throws on.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>

struct sd_event;
struct sd_event_source;

namespace sockaccel {

class EventLoop;

// A registration; the callback is never called after its Source is gone.
class Source {
  public:
    Source() = default;
    Source(Source&&) noexcept;
    Source& operator=(Source&&) noexcept;
    ~Source();

    // Waits its turn behind everything else that is ready.
    void be_last();

  private:
    friend class EventLoop;
    friend class Timer;
    struct State;
    explicit Source(std::shared_ptr<State> state);
    // Shared with the callback that is running: it may end its own registration.
    std::shared_ptr<State> state_;
};

// One shot, on CLOCK_MONOTONIC; disarmed when made.
class Timer {
  public:
    void arm(std::chrono::nanoseconds at);
    void disarm();

  private:
    friend class EventLoop;
    explicit Timer(Source source) : source_(std::move(source)) {}
    Source source_;
};

class EventLoop {
  public:
    EventLoop();
    ~EventLoop();
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    // Runs until exit(); returns its status. Rethrows what a callback threw.
    int run();
    void exit(int status);

    // The descriptor stays the caller's.
    [[nodiscard]] Source on_readable(int fd, std::function<void()> callback);
    // Asked before each wait: which events are waited for (EPOLLIN and the like; poll(2)'s are the
    // same), and until when (CLOCK_MONOTONIC; max: for ever).
    struct Wanted {
        std::uint32_t events;
        std::chrono::nanoseconds until;
    };
    [[nodiscard]] Source on_io(int fd, std::function<Wanted()> wanted,
                               std::function<void()> callback);
    // Blocks the signal for this process, for good.
    [[nodiscard]] Source on_signal(int signal, std::function<void()> callback);
    [[nodiscard]] Timer timer(std::function<void()> callback);
    // Runs once, as soon as the loop gets to it.
    [[nodiscard]] Source defer(std::function<void()> callback);

    // Answers the service manager's watchdog, if it asks for one.
    void enable_watchdog();

    // For what attaches itself.
    [[nodiscard]] sd_event* handle() { return event_; }

  private:
    struct Trampoline;
    void keep(std::exception_ptr error);
    sd_event* event_ = nullptr;
    std::exception_ptr error_;
};

[[nodiscard]] std::chrono::nanoseconds now();       // CLOCK_MONOTONIC
[[nodiscard]] std::chrono::nanoseconds cpu_time();  // that this thread has used

}  // namespace sockaccel
