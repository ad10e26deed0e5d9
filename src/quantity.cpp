// SPDX-License-Identifier: GPL-2.0-or-later
#include "quantity.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <stdexcept>
#include <system_error>

#include <fmt/format.h>

namespace sockaccel {
namespace {

constexpr std::array<std::string_view, 7> kByteUnits = {"B",   "KiB", "MiB", "GiB",
                                                        "TiB", "PiB", "EiB"};

struct TimeUnit {
    std::int64_t milliseconds;
    std::array<std::string_view, 5> names;  // the first one is written, all are read
};

constexpr std::array<TimeUnit, 5> kTimeUnits = {{
    {86'400'000, {"d", "day", "days"}},
    {3'600'000, {"h", "hr", "hour", "hours"}},
    {60'000, {"min", "m", "minute", "minutes"}},
    {1'000, {"s", "sec", "second", "seconds"}},
    {1, {"ms", "msec"}},
}};

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result)
        if (c >= 'A' && c <= 'Z')
            c = static_cast<char>(c - 'A' + 'a');
    return result;
}

void skip_spaces(std::string_view& text) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
}

// Takes the digits off the front of `text`.
std::uint64_t take_number(std::string_view& text, std::string_view example) {
    if (text.starts_with('-'))
        throw std::invalid_argument("must not be negative");
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc::result_out_of_range)
        throw std::invalid_argument("the number is too large");
    if (error != std::errc())
        throw std::invalid_argument(
            fmt::format("expected a number and a unit, such as {}", example));
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.starts_with('.') || text.starts_with(','))
        throw std::invalid_argument("fractions are not taken: use a smaller unit");
    return number;
}

// The exponent of 1024.
std::size_t byte_unit(std::string_view text) {
    const std::string wanted = lower(text);
    for (std::size_t power = 0; power < kByteUnits.size(); ++power) {
        const std::string unit = lower(kByteUnits[power]);
        if (wanted == unit || wanted == unit.substr(0, 1))
            return power;
        if (power > 0 && wanted == unit.substr(0, 1) + "b")
            throw std::invalid_argument(
                fmt::format("unit `{}` is ambiguous: write {}", text, kByteUnits[power]));
    }
    throw std::invalid_argument(
        fmt::format("unknown unit `{}`: use B, KiB, MiB, GiB or TiB", text));
}

std::size_t time_unit(std::string_view text) {
    for (std::size_t i = 0; i < kTimeUnits.size(); ++i)
        for (const std::string_view name : kTimeUnits[i].names)
            if (!name.empty() && text == name)
                return i;
    throw std::invalid_argument(fmt::format("unknown unit `{}`: use d, h, min, s or ms", text));
}

}  // namespace

std::uint64_t parse_bytes(std::string_view text) {
    const std::uint64_t number = take_number(text, "1MiB");
    skip_spaces(text);
    const std::size_t power = text.empty() ? 0 : byte_unit(text);
    std::uint64_t bytes = 0;
    if (__builtin_mul_overflow(number, std::uint64_t{1} << (10 * power), &bytes))
        throw std::invalid_argument("the size is too large");
    return bytes;
}

std::chrono::milliseconds parse_duration(std::string_view text) {
    std::int64_t total = 0;
    std::size_t smallest_allowed = 0;
    do {
        const std::uint64_t number = take_number(text, "5min");
        skip_spaces(text);
        const std::size_t length = std::min(text.find_first_of(" 0123456789"), text.size());
        if (length == 0)
            throw std::invalid_argument(
                fmt::format("the unit is missing: did you mean {}s?", number));
        const std::size_t unit = time_unit(text.substr(0, length));
        if (unit < smallest_allowed)
            throw std::invalid_argument("write each unit once, the larger one first");
        smallest_allowed = unit + 1;
        text.remove_prefix(length);
        skip_spaces(text);

        std::int64_t part = 0;
        if (__builtin_mul_overflow(number, kTimeUnits[unit].milliseconds, &part) ||
            __builtin_add_overflow(total, part, &total))
            throw std::invalid_argument("the duration is too large");
    } while (!text.empty());
    return std::chrono::milliseconds(total);
}

std::string format_bytes(std::uint64_t bytes) {
    std::size_t power = 0;
    while (power + 1 < kByteUnits.size() && bytes >> (10 * (power + 1)) != 0)
        ++power;
    const std::uint64_t unit = std::uint64_t{1} << (10 * power);
    const std::uint64_t rest = bytes % unit;
    if (rest == 0)
        return fmt::format("{}{}", bytes / unit, kByteUnits[power]);
    const std::uint64_t tenth = rest * 10 / unit;  // below 2^60 * 10, which fits
    return fmt::format("{}.{}{}", bytes / unit, tenth, kByteUnits[power]);
}

std::string format_duration(std::chrono::milliseconds duration) {
    if (duration == std::chrono::milliseconds::zero())
        return "0s";
    const bool negative = duration < std::chrono::milliseconds::zero();
    // Negated as unsigned: the most negative value has no positive counterpart.
    std::uint64_t left = static_cast<std::uint64_t>(duration.count());
    if (negative)
        left = 0 - left;
    std::string text;
    for (const TimeUnit& unit : kTimeUnits) {
        const auto size = static_cast<std::uint64_t>(unit.milliseconds);
        if (left / size != 0)
            text += fmt::format("{}{}{}", text.empty() ? "" : " ", left / size, unit.names[0]);
        left %= size;
    }
    return negative ? "-" + text : text;
}

}  // namespace sockaccel
