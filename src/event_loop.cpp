// SPDX-License-Identifier: GPL-2.0-or-later
#include "event_loop.hpp"

#include <sys/epoll.h>
#include <systemd/sd-event.h>

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <limits>
#include <string>
#include <utility>

#include "fd.hpp"

namespace sockaccel {
namespace {

constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kAccuracyUsec = 1000;

// Rounded up: a timer is never early.
std::uint64_t to_usec(std::chrono::nanoseconds at) {
    if (at == std::chrono::nanoseconds::max())
        return kNever;
    if (at < std::chrono::nanoseconds::zero())
        return 0;
    return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::microseconds>(at).count());
}

std::chrono::nanoseconds read_clock(clockid_t clock) {
    timespec time{};
    check(::clock_gettime(clock, &time), "read the clock");
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

struct Source::State : std::enable_shared_from_this<State> {
    State(EventLoop& its_loop, std::function<void()> its_callback)
        : loop(its_loop), callback(std::move(its_callback)) {}
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() { end(); }

    void end() {
        main = sd_event_source_disable_unref(main);
        deadline = sd_event_source_disable_unref(deadline);
    }

    EventLoop& loop;
    std::function<void()> callback;
    std::function<EventLoop::Wanted()> wanted;
    sd_event_source* main = nullptr;
    sd_event_source* deadline = nullptr;  // of on_io
};

Source::Source(std::shared_ptr<State> state) : state_(std::move(state)) {}
Source::Source(Source&&) noexcept = default;

Source& Source::operator=(Source&& other) noexcept {
    if (state_ && state_ != other.state_)
        state_->end();
    state_ = std::move(other.state_);
    return *this;
}

Source::~Source() {
    if (state_)
        state_->end();
}

void Source::be_last() {
    for (sd_event_source* source : {state_->main, state_->deadline})
        if (source != nullptr)
            check_negative(sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IDLE),
                           "put something last");
}

void Timer::arm(std::chrono::nanoseconds at) {
    sd_event_source* source = source_.state_->main;
    check_negative(sd_event_source_set_time(source, to_usec(at)), "set a timer");
    check_negative(sd_event_source_set_enabled(source, SD_EVENT_ONESHOT), "arm a timer");
}

void Timer::disarm() {
    check_negative(sd_event_source_set_enabled(source_.state_->main, SD_EVENT_OFF),
                   "disarm a timer");
}

// Where sd-event's C calls into us: nothing may be thrown from here.
struct EventLoop::Trampoline {
    template <typename Act>
    static int guarded(void* userdata, Act act) noexcept {
        const auto state = static_cast<Source::State*>(userdata)->shared_from_this();
        try {
            act(*state);
        } catch (...) {
            state->loop.keep(std::current_exception());
        }
        return 0;
    }

    static int call(void* userdata) noexcept {
        return guarded(userdata, [](Source::State& state) { state.callback(); });
    }

    static int on_io(sd_event_source*, int, std::uint32_t, void* userdata) noexcept {
        return call(userdata);
    }
    static int on_time(sd_event_source*, std::uint64_t, void* userdata) noexcept {
        return call(userdata);
    }
    static int on_signal(sd_event_source*, const signalfd_siginfo*, void* userdata) noexcept {
        return call(userdata);
    }
    static int on_defer(sd_event_source*, void* userdata) noexcept { return call(userdata); }

    static int prepare(sd_event_source*, void* userdata) noexcept {
        return guarded(userdata, [](Source::State& state) {
            const Wanted wanted = state.wanted();
            if (!state.main)
                return;  // it ended its own registration
            check_negative(sd_event_source_set_io_events(state.main, wanted.events),
                           "choose the events to wait for");
            check_negative(sd_event_source_set_time(state.deadline, to_usec(wanted.until)),
                           "set a deadline");
            check_negative(sd_event_source_set_enabled(
                               state.deadline, wanted.until == std::chrono::nanoseconds::max()
                                                   ? SD_EVENT_OFF
                                                   : SD_EVENT_ONESHOT),
                           "arm a deadline");
        });
    }
};

EventLoop::EventLoop() {
    check_negative(sd_event_new(&event_), "make an event loop");
}

EventLoop::~EventLoop() {
    sd_event_unref(event_);
}

int EventLoop::run() {
    const int status = sd_event_loop(event_);
    if (error_)
        std::rethrow_exception(std::exchange(error_, nullptr));
    return check_negative(status, "run the event loop");
}

void EventLoop::exit(int status) {
    check_negative(sd_event_exit(event_, status), "end the event loop");
}

void EventLoop::keep(std::exception_ptr error) {
    if (!error_)
        error_ = std::move(error);
    sd_event_exit(event_, EXIT_FAILURE);
}

Source EventLoop::on_readable(int fd, std::function<void()> callback) {
    auto state = std::make_shared<Source::State>(*this, std::move(callback));
    check_negative(
        sd_event_add_io(event_, &state->main, fd, EPOLLIN, Trampoline::on_io, state.get()),
        "wait for a file descriptor");
    return Source(std::move(state));
}

Source EventLoop::on_io(int fd, std::function<Wanted()> wanted, std::function<void()> callback) {
    auto state = std::make_shared<Source::State>(*this, std::move(callback));
    state->wanted = std::move(wanted);
    check_negative(sd_event_add_io(event_, &state->main, fd, 0, Trampoline::on_io, state.get()),
                   "wait for a file descriptor");
    check_negative(sd_event_add_time(event_, &state->deadline, CLOCK_MONOTONIC, kNever,
                                     kAccuracyUsec, Trampoline::on_time, state.get()),
                   "make a deadline");
    check_negative(sd_event_source_set_enabled(state->deadline, SD_EVENT_OFF), "disarm a deadline");
    check_negative(sd_event_source_set_prepare(state->main, Trampoline::prepare),
                   "prepare a file descriptor's wait");
    return Source(std::move(state));
}

Source EventLoop::on_signal(int signal, std::function<void()> callback) {
    // Stays blocked when the Source is gone, so that a second SIGTERM does not cut a stop short.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, signal);
    check_negative(-pthread_sigmask(SIG_BLOCK, &signals, nullptr),
                   "block signal " + std::to_string(signal));
    auto state = std::make_shared<Source::State>(*this, std::move(callback));
    check_negative(
        sd_event_add_signal(event_, &state->main, signal, Trampoline::on_signal, state.get()),
        "wait for signal " + std::to_string(signal));
    return Source(std::move(state));
}

Timer EventLoop::timer(std::function<void()> callback) {
    auto state = std::make_shared<Source::State>(*this, std::move(callback));
    check_negative(sd_event_add_time(event_, &state->main, CLOCK_MONOTONIC, kNever, kAccuracyUsec,
                                     Trampoline::on_time, state.get()),
                   "make a timer");
    check_negative(sd_event_source_set_enabled(state->main, SD_EVENT_OFF), "disarm a timer");
    return Timer(Source(std::move(state)));
}

Source EventLoop::defer(std::function<void()> callback) {
    auto state = std::make_shared<Source::State>(*this, std::move(callback));
    check_negative(sd_event_add_defer(event_, &state->main, Trampoline::on_defer, state.get()),
                   "defer a call");
    return Source(std::move(state));
}

void EventLoop::enable_watchdog() {
    check_negative(sd_event_set_watchdog(event_, true), "answer the watchdog");
}

std::chrono::nanoseconds now() {
    return read_clock(CLOCK_MONOTONIC);
}

std::chrono::nanoseconds cpu_time() {
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

}  // namespace sockaccel
