// SPDX-License-Identifier: GPL-2.0-or-later
// Ways to connect, compared: all of them run in turn, again and again, so that what else goes on
// the machine meets all alike. Only the ratios within one turn count.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "case.hpp"
#include "station.hpp"

namespace sockaccel::bench {

enum class Way {
    plain,        // TCP as it is
    accelerated,  // TCP that a rule covers
    unix_socket,
    pipes,      // one each way
    tutorial,   // TCP in the scheme of the published tutorials: see tests/bench
    uncovered,  // TCP of a cgroup that a rule selects, with a port that none does
    empty,      // TCP of a cgroup whose sock_ops program does nothing: see tests/bench
};
[[nodiscard]] std::string_view to_string(Way way);  // "plain", "accelerated", "unix", …

// Median, and what half of the values are between.
struct Spread {
    double median = 0, low = 0, high = 0;
};
[[nodiscard]] Spread spread_of(std::vector<double> values);

enum class Verdict {
    gain,    // faster in three of four turns, and not by a hair
    none,    // no difference that matters
    loss,    // slower in three of four turns
    unsure,  // the turns do not agree, or are fewer than three
};
[[nodiscard]] std::string_view to_string(Verdict verdict);

// One thing, measured in some ways, among them plain TCP.
struct Comparison {
    std::map<Way, std::vector<Sample>> samples;  // as many of each
    // Of the accelerated way: how it stood at the end, and why not otherwise; what part of its
    // bytes was redirected.
    std::string state, reason, reason_text;
    double redirected = 0;

    [[nodiscard]] const std::vector<Sample>& of(Way way) const;
    [[nodiscard]] Spread rate(Way way) const;                        // per second
    [[nodiscard]] Spread ratio(Way way, Way to = Way::plain) const;  // of the rates
    [[nodiscard]] Spread cpu(Way way) const;  // seconds for a transaction, or for a byte
    [[nodiscard]] double p50(Way way) const;  // seconds; medians
    [[nodiscard]] double p99(Way way) const;
    [[nodiscard]] Verdict verdict() const;
};

struct CaseComparison : Comparison {
    Case what;
};

// Measures a way once.
using Measure = std::function<Sample()>;

// Each way once: `turn` decides who is first.
void take_turn(Comparison& comparison, std::size_t turn,
               const std::vector<std::pair<Way, Measure>>& ways);

// TCP begins slowly after a pause, so there is a short run, and `between`, before the one that
// counts.
[[nodiscard]] Sample run_warm(
    Station& station, std::size_t connection, const Case& what, std::chrono::milliseconds duration,
    const std::function<void()>& between = [] {});

struct Host {
    std::string version, kernel, machine, date;
    unsigned cpus = 0;
};
[[nodiscard]] Host this_host(const std::string& version);

struct Result {
    Host host;
    unsigned repeat = 0;
    std::chrono::milliseconds sample{};
    std::vector<CaseComparison> comparisons;
};

// Tables, and then in words where there is a gain and where there is none. A table that is wider
// than this goes without what matters least.
[[nodiscard]] std::string text_of(const Result& result, std::size_t width);
[[nodiscard]] std::string json_of(const Result& result);
// An SVG picture.
[[nodiscard]] std::string svg_of(const Result& result);

// "64B", "4KiB"; "12.3k".
[[nodiscard]] std::string short_size(std::size_t bytes);
[[nodiscard]] std::string short_number(double value);
[[nodiscard]] std::string short_rate(const CaseComparison& comparison, Way way);

}  // namespace sockaccel::bench
