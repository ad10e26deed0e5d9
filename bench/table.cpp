// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "cells.hpp"
#include "compare.hpp"

namespace sockaccel::bench {
namespace {

// Without these, the first one first, if a line is too long.
constexpr std::string_view kExpendable[] = {"CPU/GiB",    "CPU EACH",   "p99",    "p50",
                                            "UNIX/PLAIN", "REDIRECTED", "AF_UNIX"};

// The first row has the headings.
void narrow(std::vector<Cells>& rows, std::size_t width) {
    for (const std::string_view heading : kExpendable) {
        const auto found = std::ranges::find(rows.front(), heading);
        if (found == rows.front().end() || width_of(rows) <= width)
            continue;
        const auto column = found - rows.front().begin();
        for (Cells& row : rows)
            row.erase(row.begin() + column);
    }
}

std::string ratio(const Spread& spread) {
    return fmt::format("{:.2f} ({:.2f}-{:.2f})", spread.median, spread.low, spread.high);
}

// CPU time is in microseconds for a transaction, in seconds for a GiB of a stream.
std::string cpu(const CaseComparison& comparison) {
    const bool is_stream = comparison.what.pattern == Pattern::stream;
    const double factor = is_stream ? 1024.0 * 1024 * 1024 : 1e6;
    const auto of = [&](Way way) { return factor * comparison.cpu(way).median; };
    return fmt::format("{:.{}f} > {:.{}f}{}", of(Way::plain), is_stream ? 2 : 1,
                       of(Way::accelerated), is_stream ? 2 : 1, is_stream ? " s" : " us");
}

std::string result_of(const CaseComparison& comparison) {
    const std::string left =
        comparison.state == "enrolled" ? "" : " (in TCP: " + comparison.reason + ")";
    switch (comparison.verdict()) {
        case Verdict::gain:
            return "faster" + left;
        case Verdict::none:
            return "no gain" + left;
        case Verdict::loss:
            return "SLOWER" + left;
        case Verdict::unsure:
            return "unsure" + left;
    }
    return "";
}

std::string table(const Result& result, Pattern pattern, std::size_t width) {
    const bool is_stream = pattern == Pattern::stream;
    std::vector<Cells> rows = {{is_stream ? "WRITES" : "SIZE", "PLAIN TCP", "ACCELERATED",
                                "AF_UNIX", "ACCELERATED/PLAIN", "UNIX/PLAIN"}};
    if (!is_stream)
        rows[0].insert(rows[0].end(), {"p50", "p99"});
    rows[0].insert(rows[0].end(), {is_stream ? "CPU/GiB" : "CPU EACH", "REDIRECTED", ""});
    for (const CaseComparison& comparison : result.comparisons) {
        if (comparison.what.pattern != pattern)
            continue;
        Cells row = {short_size(comparison.what.bytes)};
        for (const Way way : {Way::plain, Way::accelerated, Way::unix_socket})
            row.push_back(short_rate(comparison, way));
        row.push_back(ratio(comparison.ratio(Way::accelerated)));
        row.push_back(fmt::format("{:.2f}", comparison.ratio(Way::unix_socket).median));
        const auto microseconds = [](double plain, double accelerated) {
            return fmt::format("{:.0f} > {:.0f} us", plain * 1e6, accelerated * 1e6);
        };
        if (!is_stream) {
            row.push_back(
                microseconds(comparison.p50(Way::plain), comparison.p50(Way::accelerated)));
            row.push_back(
                microseconds(comparison.p99(Way::plain), comparison.p99(Way::accelerated)));
        }
        row.push_back(cpu(comparison));
        row.push_back(fmt::format("{:.0f} %", 100 * comparison.redirected));
        row.push_back(result_of(comparison));
        rows.push_back(std::move(row));
    }
    if (rows.size() == 1)
        return "";
    narrow(rows, width);
    return aligned(rows);
}

// "request/response of 1B, 64B (1.15 to 1.24 times plain TCP)"
std::string listed(const std::vector<const CaseComparison*>& comparisons, Pattern pattern) {
    std::string sizes;
    double least = 0, most = 0;
    for (const CaseComparison* comparison : comparisons) {
        if (comparison->what.pattern != pattern)
            continue;
        const double median = comparison->ratio(Way::accelerated).median;
        least = sizes.empty() ? median : std::min(least, median);
        most = std::max(most, median);
        sizes += (sizes.empty() ? "" : ", ") + short_size(comparison->what.bytes);
    }
    if (sizes.empty())
        return "";
    const std::string range = fmt::format("{:.2f}", least) == fmt::format("{:.2f}", most)
                                  ? fmt::format("{:.2f}", least)
                                  : fmt::format("{:.2f} to {:.2f}", least, most);
    return fmt::format("{} of {}: {} times plain TCP",
                       pattern == Pattern::stream ? "streams in writes" : "request/response", sizes,
                       range);
}

std::string sentences(const Result& result) {
    std::map<Verdict, std::vector<const CaseComparison*>> by_verdict;
    std::map<std::string, std::string> left;  // reasons why something stayed in TCP
    for (const CaseComparison& comparison : result.comparisons) {
        by_verdict[comparison.verdict()].push_back(&comparison);
        if (comparison.state != "enrolled" && !comparison.reason.empty())
            left[comparison.reason] = comparison.reason_text;
    }
    std::string text;
    const auto add = [&](Verdict verdict, std::string_view head) {
        for (const Pattern pattern : {Pattern::request_response, Pattern::stream})
            if (const std::string line = listed(by_verdict[verdict], pattern); !line.empty())
                text += fmt::format("{:<9}{}\n", head, line);
    };
    add(Verdict::gain, "faster:");
    add(Verdict::none, "no gain:");
    add(Verdict::loss, "SLOWER:");
    add(Verdict::unsure, "unsure:");
    for (const auto& [reason, what] : left)
        text += fmt::format("In TCP for the reason {}: {}.\n", reason, what);
    if (!by_verdict[Verdict::unsure].empty())
        text +=
            "Unsure: the turns do not agree; measure again when less goes on, or with a higher "
            "--repeat.\n";
    if (!by_verdict[Verdict::loss].empty())
        text += "Slower: leave such connections out of your rules on this host.\n";
    return text;
}

}  // namespace

std::string text_of(const Result& result, std::size_t width) {
    std::string text = fmt::format(
        "sockaccel {} on Linux {}, {} CPUs{}\n"
        "Medians of {} turns of {} ms, (half of the turns are between these); > is plain > "
        "accelerated.\n",
        result.host.version, result.host.kernel, result.host.cpus,
        result.host.machine.empty() ? "" : " (" + result.host.machine + ")", result.repeat,
        result.sample.count());
    const std::pair<Pattern, const char*> parts[] = {
        {Pattern::request_response, "\nRequest and response by turns\n\n"},
        {Pattern::stream, "\nOne-way streams\n\n"}};
    for (const auto& [pattern, heading] : parts)
        if (const std::string rows = table(result, pattern, width); !rows.empty())
            text += heading + rows;
    return text + "\n" + sentences(result);
}

}  // namespace sockaccel::bench
