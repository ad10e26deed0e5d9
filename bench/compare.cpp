// SPDX-License-Identifier: GPL-2.0-or-later
#include "compare.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <fstream>

#include <fmt/format.h>

#include "quantity.hpp"

namespace sockaccel::bench {
namespace {

constexpr std::size_t kFewestTurns = 3;  // fewer say nothing
constexpr double kHair = 0.02;           // a smaller difference does not matter
constexpr double kAgreement = 0.10;      // around 1: what turns may differ by and still say "none"

template <typename Value>
Spread spread_by(const std::vector<Sample>& samples, Value value) {
    std::vector<double> values;
    for (const Sample& sample : samples)
        values.push_back(value(sample));
    return spread_of(std::move(values));
}

double seconds(std::chrono::nanoseconds duration) {
    return std::chrono::duration<double>(duration).count();
}

// Linear between the values; of sorted ones.
double quantile(const std::vector<double>& values, double part) {
    const double at = part * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(at);
    const std::size_t above = std::min(below + 1, values.size() - 1);
    return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

std::string machine() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("model name"))
            return line.substr(std::min(line.find(':') + 2, line.size()));
    return "";
}

}  // namespace

std::string_view to_string(Way way) {
    switch (way) {
        case Way::plain:
            return "plain";
        case Way::accelerated:
            return "accelerated";
        case Way::unix_socket:
            return "unix";
        case Way::pipes:
            return "pipes";
        case Way::tutorial:
            return "tutorial";
        case Way::uncovered:
            return "uncovered";
        case Way::empty:
            return "empty";
    }
    return "?";
}

std::string_view to_string(Verdict verdict) {
    switch (verdict) {
        case Verdict::gain:
            return "gain";
        case Verdict::none:
            return "none";
        case Verdict::loss:
            return "loss";
        case Verdict::unsure:
            return "unsure";
    }
    return "?";
}

Spread spread_of(std::vector<double> values) {
    if (values.empty())
        return {};
    std::ranges::sort(values);
    return {quantile(values, 0.5), quantile(values, 0.25), quantile(values, 0.75)};
}

const std::vector<Sample>& Comparison::of(Way way) const {
    static const std::vector<Sample> none;
    const auto found = samples.find(way);
    return found == samples.end() ? none : found->second;
}

Spread Comparison::rate(Way way) const {
    return spread_by(of(way), [](const Sample& sample) { return sample.per_second(); });
}

Spread Comparison::ratio(Way way, Way to) const {
    std::vector<double> ratios;
    for (std::size_t turn = 0; turn < std::min(of(way).size(), of(to).size()); ++turn)
        ratios.push_back(of(way)[turn].per_second() / of(to)[turn].per_second());
    return spread_of(std::move(ratios));
}

Spread Comparison::cpu(Way way) const {
    return spread_by(of(way), [](const Sample& sample) {
        return seconds(sample.cpu) / static_cast<double>(std::max<std::uint64_t>(sample.count, 1));
    });
}

double Comparison::p50(Way way) const {
    return spread_by(of(way), [](const Sample& sample) { return seconds(sample.p50); }).median;
}

double Comparison::p99(Way way) const {
    return spread_by(of(way), [](const Sample& sample) { return seconds(sample.p99); }).median;
}

Verdict Comparison::verdict() const {
    if (of(Way::accelerated).size() < kFewestTurns)
        return Verdict::unsure;
    const Spread spread = ratio(Way::accelerated);
    if (spread.low > 1 + kHair)
        return Verdict::gain;
    if (spread.high < 1 - kHair)
        return Verdict::loss;
    const bool agrees = spread.low > 1 - kAgreement && spread.high < 1 + kAgreement;
    return agrees ? Verdict::none : Verdict::unsure;
}

void take_turn(Comparison& comparison, std::size_t turn,
               const std::vector<std::pair<Way, Measure>>& ways) {
    for (std::size_t i = 0; i < ways.size(); ++i) {
        const auto& [way, measure] = ways[(i + turn) % ways.size()];
        comparison.samples[way].push_back(measure());
    }
}

Sample run_warm(Station& station, std::size_t connection, const Case& what,
                std::chrono::milliseconds duration, const std::function<void()>& between) {
    static_cast<void>(station.run(connection, what, duration / 10));
    between();
    return station.run(connection, what, duration);
}

Host this_host(const std::string& version) {
    Host host;
    host.version = version;
    utsname name{};
    if (::uname(&name) == 0)
        host.kernel = name.release;
    host.machine = machine();
    host.cpus = static_cast<unsigned>(::sysconf(_SC_NPROCESSORS_ONLN));
    const std::time_t time = std::time(nullptr);
    std::tm utc{};
    ::gmtime_r(&time, &utc);
    host.date = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", utc.tm_year + 1900,
                            utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
    return host;
}

std::string short_size(std::size_t bytes) {
    return format_bytes(bytes);
}

std::string short_number(double value) {
    if (value >= 1e6)
        return fmt::format("{:.1f}M", value / 1e6);
    if (value >= 1e3)
        return fmt::format("{:.1f}k", value / 1e3);
    return fmt::format("{:.0f}", value);
}

std::string short_rate(const CaseComparison& comparison, Way way) {
    const double rate = comparison.rate(way).median;
    return comparison.what.pattern == Pattern::request_response
               ? short_number(rate) + "/s"
               : format_bytes(static_cast<std::uint64_t>(rate)) + "/s";
}

}  // namespace sockaccel::bench
