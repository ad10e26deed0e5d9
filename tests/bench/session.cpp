// SPDX-License-Identifier: GPL-2.0-or-later
#include "session.hpp"

#include <csignal>
#include <cstdio>
#include <utility>

#include <fmt/format.h>

namespace sockaccel::bench {
namespace {

constexpr unsigned kTurns = 7, kFineTurns = 30, kQuickTurns = 3;
constexpr std::chrono::milliseconds kSample{200}, kQuickSample{50};

volatile std::sig_atomic_t is_interrupted = 0;

}  // namespace

void watch_for_interrupts() {
    struct sigaction act {};
    act.sa_handler = [](int) { is_interrupted = 1; };
    for (const int signal : {SIGINT, SIGTERM})
        ::sigaction(signal, &act, nullptr);
}

void stop_if_interrupted() {
    if (is_interrupted != 0)
        throw Interrupted();
}

unsigned Session::turns(Precision precision) const {
    if (repeat_ != 0)
        return repeat_;
    if (is_quick_)
        return kQuickTurns;
    return precision == Precision::fine ? kFineTurns : kTurns;
}

std::chrono::milliseconds Session::sample() const {
    return is_quick_ ? kQuickSample : kSample;
}

Rig& Session::rig() {
    if (!rig_) {
        tell("starting the daemon");
        rig_ = std::make_unique<Rig>();
    }
    return *rig_;
}

void Session::add(Row row) {
    row.is_quick = is_quick_;
    const Spread ratio = row.ratio(Way::accelerated);
    tell(fmt::format("{}: {}: {:.2f} ({:.2f}-{:.2f}) {}", row.group, row.name, ratio.median,
                     ratio.low, ratio.high,
                     row.enrolled >= 1 ? "enrolled" : row.state + " " + row.reason));
    for (const auto& [way, why] : row.failures)
        tell(fmt::format("{}: {}: {}: {}", row.group, row.name, to_string(way), why));
    results.rows.push_back(std::move(row));
}

void Session::add(Curve curve) {
    curve.is_quick = is_quick_;
    results.curves.push_back(std::move(curve));
}

void Session::add(Figure figure) {
    figure.is_quick = is_quick_;
    tell(fmt::format("{}: {}: {:g} {}", figure.group, figure.name, figure.value, figure.unit));
    results.figures.push_back(std::move(figure));
}

void Session::omit(const std::string& group, const std::string& name, const std::string& why) {
    tell(fmt::format("{}: not measured: {}: {}", group, name, why));
    results.omissions.push_back({group, name, why});
}

void Session::tell(const std::string& text) const {
    const auto passed =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - begin_);
    fmt::print(stderr, "{:02}:{:02} {}\n", passed.count() / 60, passed.count() % 60, text);
}

}  // namespace sockaccel::bench
