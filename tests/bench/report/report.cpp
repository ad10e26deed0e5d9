// SPDX-License-Identifier: GPL-2.0-or-later
#include "report.hpp"

#include <algorithm>
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>

#include "cells.hpp"
#include "chart.hpp"
#include "goals.hpp"
#include "quantity.hpp"

namespace sockaccel::bench {
namespace {

constexpr const char* kPictures = "performance";  // beside the document

// --- words

std::string in_unit(double value, const std::string& unit) {
    if (unit == "bytes")
        return format_bytes(static_cast<std::uint64_t>(value));
    if (unit != "s")
        return short_number(value) + (unit.empty() ? "" : " " + unit);
    if (value >= 1)
        return fmt::format("{:.2f} s", value);
    return value >= 1e-3 ? fmt::format("{:.1f} ms", value * 1e3)
                         : fmt::format("{:.1f} us", value * 1e6);
}

std::string ratio_text(const Row& row, Way way) {
    if (row.failures.contains(way))
        return "fails";
    if (row.of(way).empty())
        return "-";
    const Spread ratio = row.ratio(way);
    return fmt::format("{:.2f} ({:.2f}-{:.2f})", ratio.median, ratio.low, ratio.high);
}

std::string short_ratio(const Row& row, Way way) {
    if (row.failures.contains(way))
        return "fails";
    return row.of(way).empty() ? "-" : fmt::format("{:.2f}", row.ratio(way).median);
}

std::string state_text(const Row& row) {
    if (row.of(Way::accelerated).empty() || row.state.empty())
        return "";
    std::string text = row.enrolled >= 1   ? "enrolled"
                       : row.enrolled <= 0 ? "in TCP"
                                           : fmt::format("{:.0f} % enrolled", 100 * row.enrolled);
    if (row.enrolled < 1 && !row.reason.empty())
        text += ": " + row.reason;
    if (row.enrolled > 0)
        text += fmt::format(", {:.0f} % redirected", 100 * row.redirected);
    return text;
}

// Of a transaction in microseconds, of a GiB in seconds.
std::string cpu_text(const Row& row) {
    const bool is_bytes = row.unit == "bytes";
    const double factor = is_bytes ? 1024.0 * 1024 * 1024 : 1e6;
    const auto of = [&](Way way) { return factor * row.cpu(way).median; };
    return fmt::format("{:.{}f} > {:.{}f}{}", of(Way::plain), is_bytes ? 2 : 1,
                       of(Way::accelerated), is_bytes ? 2 : 1, is_bytes ? " s/GiB" : " us");
}

std::string latency_text(const Row& row, double (Comparison::*percentile)(Way) const) {
    const double plain = (row.*percentile)(Way::plain);
    if (plain <= 0)
        return "-";
    return fmt::format("{:.0f} > {:.0f} us", plain * 1e6, (row.*percentile)(Way::accelerated)*1e6);
}

// --- tables

struct Column {
    const char* heading;
    std::string (*cell)(const Row&);
};

template <Way way>
std::string ratio_cell(const Row& row) {
    return short_ratio(row, way);
}

const std::vector<Column> kColumns = {
    {"", [](const Row& row) { return row.name; }},
    {"plain TCP",
     [](const Row& row) {
         return in_unit(row.rate(Way::plain).median, row.unit == "bytes" ? "bytes" : "") + "/s";
     }},
    {"accelerated", [](const Row& row) { return ratio_text(row, Way::accelerated); }},
    {"not covered", [](const Row& row) { return ratio_text(row, Way::uncovered); }},
    {"empty program", [](const Row& row) { return ratio_text(row, Way::empty); }},
    {"tutorial", ratio_cell<Way::tutorial>},
    {"AF_UNIX", ratio_cell<Way::unix_socket>},
    {"pipes", ratio_cell<Way::pipes>},
    {"p50", [](const Row& row) { return latency_text(row, &Comparison::p50); }},
    {"p99", [](const Row& row) { return latency_text(row, &Comparison::p99); }},
    {"CPU", cpu_text},
    {"turns", [](const Row& row) { return std::to_string(row.of(Way::plain).size()); }},
    {"connections", state_text},
};

// Without columns that have nothing to tell.
std::vector<Cells> table_of(const std::vector<const Row*>& rows) {
    std::vector<Cells> table(rows.size() + 1);
    for (const Column& column : kColumns) {
        Cells cells;
        for (const Row* row : rows)
            cells.push_back(column.cell(*row));
        if (std::ranges::all_of(
                cells, [](const std::string& cell) { return cell.empty() || cell == "-"; }))
            continue;
        table[0].emplace_back(column.heading);
        for (std::size_t i = 0; i < rows.size(); ++i)
            table[i + 1].push_back(cells[i]);
    }
    return table;
}

std::vector<Cells> table_of(const Curve& curve) {
    std::vector<Cells> table = {{curve.x}};
    for (const Series& series : curve.series) {
        table[0].push_back(series.name);
        for (std::size_t i = 0; i < series.points.size(); ++i) {
            if (table.size() <= i + 1)
                table.push_back({short_number(series.points[i].x)});
            table[i + 1].push_back(in_unit(spread_of(series.points[i].values).median, curve.unit));
        }
    }
    for (Cells& cells : table)
        cells.resize(table[0].size(), "-");
    return table;
}

std::vector<Cells> goals_table(const Results& results) {
    std::vector<Cells> table = {{"goal: times plain TCP", "at least", "measured", "in", "outcome"}};
    for (const Goal& goal : goals()) {
        const Judgement judgement = judge(goal, results);
        const bool is_measured = judgement.worst != nullptr;
        table.push_back({goal.text, fmt::format("{}", goal.least),
                         is_measured ? fmt::format("{:.2f} ({:.2f}-{:.2f})", judgement.ratio.median,
                                                   judgement.ratio.low, judgement.ratio.high)
                                     : "-",
                         is_measured ? judgement.worst->group + ": " + judgement.worst->name +
                                           (judgement.worst->enrolled < 1 &&
                                                    !state_text(*judgement.worst).empty() &&
                                                    goal.way == Way::accelerated
                                                ? " [" + state_text(*judgement.worst) + "]"
                                                : "")
                                     : judgement.why,
                         std::string(to_string(judgement.outcome))});
    }
    return table;
}

// --- groups

template <typename Value>
std::vector<const Value*> of_group(const std::vector<Value>& values, const std::string& group) {
    std::vector<const Value*> found;
    for (const Value& value : values)
        if (value.group == group)
            found.push_back(&value);
    return found;
}

bool is_quick(const Results& results, const std::string& group) {
    const auto any = [&](const auto& values) {
        return std::ranges::any_of(of_group(values, group),
                                   [](const auto* value) { return value->is_quick; });
    };
    return any(results.rows) || any(results.curves) || any(results.figures);
}

std::string remarks(const Results& results, const std::string& group, const char* bullet) {
    std::string text;
    for (const Row* row : of_group(results.rows, group))
        for (const auto& [way, why] : row->failures)
            text += fmt::format("{}{}, {}: {}\n", bullet, row->name, to_string(way), why);
    for (const Figure* figure : of_group(results.figures, group))
        text +=
            fmt::format("{}{}: {}\n", bullet, figure->name, in_unit(figure->value, figure->unit));
    for (const Omission* omission : of_group(results.omissions, group))
        text += fmt::format("{}not measured: {}: {}\n", bullet, omission->name, omission->why);
    return text;
}

std::string host_text(const Results& results) {
    return fmt::format("sockaccel {}, Linux {}, {} CPUs{}, {}", results.host.version,
                       results.host.kernel, results.host.cpus,
                       results.host.machine.empty() ? "" : " (" + results.host.machine + ")",
                       results.host.date);
}

constexpr const char* kQuickWarning =
    "Of a quick run: too few and too short samples to be believed.";

// --- markdown

std::string markdown(const std::vector<Cells>& table) {
    std::string text;
    for (std::size_t i = 0; i < table.size(); ++i) {
        text += "|";
        for (const std::string& cell : table[i])
            text += " " + cell + " |";
        text += "\n";
        if (i > 0)
            continue;
        text += "|---|";
        for (std::size_t j = 1; j < table[0].size(); ++j)
            text += "---:|";
        text += "\n";
    }
    return text;
}

std::string picture(const std::string& name, const std::string& text) {
    return fmt::format("![{}]({}/{}.svg)\n\n", text, kPictures, name);
}

std::string curve_file(const std::string& group, std::size_t number) {
    return fmt::format("{}-{}", group, number + 1);
}

std::string markdown_of(const Results& results, const Group& group) {
    if (!results.dates.contains(group.name))
        return "Not measured yet.\n";
    std::string text = "Measured " + results.dates.at(group.name) + ".";
    text += is_quick(results, group.name) ? fmt::format(" **{}**\n\n", kQuickWarning) : "\n\n";
    if (const auto rows = of_group(results.rows, group.name); !rows.empty())
        text += picture(group.name, group.title) + markdown(table_of(rows)) + "\n";
    const auto curves = of_group(results.curves, group.name);
    for (std::size_t i = 0; i < curves.size(); ++i)
        text += "**" + curves[i]->name + "**\n\n" +
                picture(curve_file(group.name, i), curves[i]->name) +
                markdown(table_of(*curves[i])) + "\n";
    text += remarks(results, group.name, "- ");
    text.erase(text.find_last_not_of('\n') + 1);
    return text + "\n";
}

void fill(std::string& document, const std::string& name, const std::string& text) {
    const std::string begin = "<!-- " + name + " -->\n", end = "<!-- end -->";
    const std::size_t at = document.find(begin);
    const std::size_t until = document.find(end, at == std::string::npos ? 0 : at);
    if (at == std::string::npos || until == std::string::npos)
        throw std::runtime_error("the document has no place for `" + name + "`");
    document.replace(at + begin.size(), until - at - begin.size(), text);
}

void write(const std::filesystem::path& file, const std::string& text) {
    std::ofstream stream(file);
    stream << text << std::flush;
    if (!stream)
        throw std::runtime_error("cannot write " + file.string());
}

}  // namespace

const std::vector<Group>& groups() {
    static const std::vector<Group> all = {{"requests", "Request and response by turns"},
                                           {"streams", "One-way streams"},
                                           {"iperf3", "iperf3"},
                                           {"redis", "redis"},
                                           {"memcached", "memcached"},
                                           {"pgbench", "PostgreSQL"},
                                           {"http", "nginx, and HTTP through a sidecar"},
                                           {"connects", "Connections with one request"},
                                           {"kept", "Streams that are kept in TCP"},
                                           {"idle", "Idle connections"},
                                           {"witness", "The witness"},
                                           {"scale", "Scale"}};
    return all;
}

std::string text_of(const Results& results) {
    std::string text = host_text(results) + "\n";
    for (const Group& group : groups()) {
        if (!results.dates.contains(group.name))
            continue;
        text += "\n" + group.title + "\n\n";
        if (is_quick(results, group.name))
            text += std::string(kQuickWarning) + "\n\n";
        if (const auto rows = of_group(results.rows, group.name); !rows.empty())
            text += aligned(table_of(rows));
        for (const Curve* curve : of_group(results.curves, group.name))
            text += "\n" + curve->name + "\n\n" + aligned(table_of(*curve));
        text += remarks(results, group.name, "");
    }
    return text + "\nGoals\n\n" + aligned(goals_table(results));
}

std::string filled(const std::string& document, const Results& results) {
    std::string text = document;
    fill(text, "host", host_text(results) + ".\n");
    fill(text, "goals", markdown(goals_table(results)));
    for (const Group& group : groups())
        fill(text, group.name, markdown_of(results, group));
    return text;
}

void draw(const Results& results, const std::filesystem::path& directory) {
    for (const Group& group : groups()) {
        if (const auto rows = of_group(results.rows, group.name); !rows.empty())
            write(directory / (group.name + ".svg"), ratios_chart(rows, group.title));
        const auto curves = of_group(results.curves, group.name);
        for (std::size_t i = 0; i < curves.size(); ++i)
            write(directory / (curve_file(group.name, i) + ".svg"), curve_chart(*curves[i]));
    }
}

}  // namespace sockaccel::bench
