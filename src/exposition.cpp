// SPDX-License-Identifier: GPL-2.0-or-later
#include "exposition.hpp"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

namespace sockaccel {
namespace {

using Seconds = std::chrono::duration<double>;

// Both formats escape these three.
std::string escaped(const std::string& value) {
    std::string result;
    for (const char character : value) {
        if (character == '\\' || character == '"')
            result += '\\';
        if (character == '\n')
            result += "\\n";
        else
            result += character;
    }
    return result;
}

std::string_view suffix_of(std::string_view type) {
    if (type == "counter")
        return "_total";
    return type == "info" ? "_info" : "";
}

// Prometheus knows neither info nor stateset.
std::string_view prometheus_type(std::string_view type) {
    return type == "info" || type == "stateset" ? "gauge" : type;
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kBlanks = " \t";
    const std::size_t first = text.find_first_not_of(kBlanks);
    if (first == std::string_view::npos)
        return {};
    return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// Cuts off what is before the separator, and the separator.
std::string_view take_until(char separator, std::string_view& text) {
    const std::size_t end = std::min(text.find(separator), text.size());
    const std::string_view part = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    return part;
}

std::string lower_case(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(), [](unsigned char character) {
        return static_cast<char>(std::tolower(character));
    });
    return result;
}

// Of one media range with its parameters, such as "text/plain;version=0.0.4;q=0.5".
double quality_of(std::string_view parameters) {
    while (!parameters.empty()) {
        const std::string parameter = lower_case(take_until(';', parameters));
        if (parameter.starts_with("q="))
            return std::strtod(parameter.c_str() + 2, nullptr);
    }
    return 1;
}

}  // namespace

const char* content_type(TextFormat format) {
    return format == TextFormat::openmetrics
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

TextFormat wanted_format(std::string_view accept) {
    if (trimmed(accept).empty())
        return TextFormat::openmetrics;
    double openmetrics = 0, plain = 0, any = 0;
    while (!accept.empty()) {
        std::string_view range = take_until(',', accept);
        const std::string type = lower_case(take_until(';', range));
        const double quality = quality_of(range);
        if (type == "application/openmetrics-text")
            openmetrics = std::max(openmetrics, quality);
        else if (type == "text/plain" || type == "text/*")
            plain = std::max(plain, quality);
        else if (type == "*/*" || type == "application/*")
            any = std::max(any, quality);
    }
    return plain > std::max(openmetrics, any) ? TextFormat::prometheus : TextFormat::openmetrics;
}

std::string Exposition::finish() && {
    if (format_ == TextFormat::openmetrics)
        text_ += "# EOF\n";
    return std::move(text_);
}

Family::Family(Exposition& exposition, std::string_view type, std::string_view name,
               std::string_view unit, std::string_view help)
    : text_(exposition.text_), name_(name), suffix_(suffix_of(type)) {
    if (exposition.format_ == TextFormat::prometheus) {
        text_ += fmt::format("# HELP {}{} {}\n", name, suffix_, help);
        text_ += fmt::format("# TYPE {}{} {}\n", name, suffix_, prometheus_type(type));
        return;
    }
    text_ += fmt::format("# TYPE {} {}\n", name, type);
    if (!unit.empty())
        text_ += fmt::format("# UNIT {} {}\n", name, unit);
    text_ += fmt::format("# HELP {} {}\n", name, help);
}

void Family::sample(const Labels& labels, std::uint64_t value) {
    add(suffix_, labels, fmt::format("{}", value));
}

void Family::sample(const Labels& labels, double value) {
    add(suffix_, labels, fmt::format("{}", value));
}

void Family::sample(const Histogram& histogram) {
    for (std::size_t i = 0; i < Histogram::kBounds.size(); ++i)
        add("_bucket", {{"le", fmt::format("{}", Seconds(Histogram::kBounds[i]).count())}},
            fmt::format("{}", histogram.buckets()[i]));
    add("_bucket", {{"le", "+Inf"}}, fmt::format("{}", histogram.count()));
    add("_sum", {}, fmt::format("{}", Seconds(histogram.sum()).count()));
    add("_count", {}, fmt::format("{}", histogram.count()));
}

void Family::add(std::string_view suffix, const Labels& labels, const std::string& value) {
    text_ += name_;
    text_ += suffix;
    char separator = '{';
    for (const Label& label : labels) {
        text_ += fmt::format("{}{}=\"{}\"", separator, label.name, escaped(label.value));
        separator = ',';
    }
    text_ += labels.empty() ? " " : "} ";
    text_ += value;
    text_ += '\n';
}

}  // namespace sockaccel
