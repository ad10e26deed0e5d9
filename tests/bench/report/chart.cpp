// SPDX-License-Identifier: GPL-2.0-or-later
#include "chart.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "picture.hpp"

namespace sockaccel::bench {
namespace {

constexpr const char* kGrey = "font-size=\"11\" fill=\"#555555\"";

struct Look {
    Way way;
    const char* color;
    const char* text;
};
// Colours that everybody can tell apart.
constexpr Look kLooks[] = {
    {Way::accelerated, "#0a6ab6", "accelerated"}, {Way::uncovered, "#7a7a7a", "not covered"},
    {Way::empty, "#c0b000", "empty program"},     {Way::tutorial, "#b5179e", "tutorial's scheme"},
    {Way::unix_socket, "#d9820f", "AF_UNIX"},     {Way::pipes, "#2a9d5c", "two pipes"}};

// From values to pixels.
class LogScale {
  public:
    LogScale(double least, double most, double from, double to)
        : least_(least), most_(most), from_(from), to_(to) {}
    [[nodiscard]] double at(double value) const {
        const double part =
            std::log(std::clamp(value, least_, most_) / least_) / std::log(most_ / least_);
        return from_ + part * (to_ - from_);
    }
    // Powers of ten are not exact.
    [[nodiscard]] bool shows(double value) const {
        return value >= least_ * 0.999 && value <= most_ * 1.001;
    }

  private:
    double least_, most_, from_, to_;
};

// --- ratios

constexpr double kWidth = 980, kLeft = 290, kRight = 40, kTop = 96, kRowHeight = 24;
constexpr double kTicks[] = {0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 1, 1.25, 1.5, 2, 3, 4, 6, 8, 12, 16};

LogScale ratio_scale(const std::vector<const Row*>& rows) {
    double least = 0.9, most = 1.3;
    for (const Row* row : rows)
        for (const auto& [way, samples] : row->samples) {
            least = std::min(least, 0.95 * row->ratio(way).low);
            most = std::max(most, 1.05 * row->ratio(way).high);
        }
    return {std::max(least, 0.1), std::min(most, 16.0), kLeft, kWidth - kRight};
}

void draw_ticks(Picture& picture, const LogScale& scale, double bottom) {
    picture.area(kLeft, kTop, scale.at(1) - kLeft, bottom - kTop, "#fbeeee");
    double last = -100;
    for (const double tick : kTicks) {
        const bool is_one = tick == 1;
        if (!scale.shows(tick) || (scale.at(tick) - last < 34 && !is_one))
            continue;
        last = scale.at(tick);
        picture.line(last, kTop, last, bottom, is_one ? "#333333" : "#dddddd", is_one ? 2 : 1);
        picture.text(
            last, kTop - 8, fmt::format("{}", tick),
            is_one ? "text-anchor=\"middle\" font-weight=\"bold\"" : "text-anchor=\"middle\"");
    }
}

void draw_row(Picture& picture, const LogScale& scale, double y, const Row& row) {
    picture.text(kLeft - 12, y + 4, row.name, "text-anchor=\"end\" font-size=\"12\"");
    picture.line(kLeft, y + kRowHeight / 2, kWidth - kRight, y + kRowHeight / 2, "#f0f0f0");
    // The accelerated one last, on top.
    for (auto look = std::rbegin(kLooks); look != std::rend(kLooks); ++look) {
        if (row.of(look->way).empty())
            continue;
        const Spread ratio = row.ratio(look->way);
        const bool is_filled = look->way != Way::accelerated || row.enrolled >= 0.5;
        picture.line(scale.at(ratio.low), y, scale.at(ratio.high), y, look->color, 2);
        picture.dot(scale.at(ratio.median), y, look->color, is_filled);
    }
}

void draw_legend(Picture& picture, const std::vector<const Row*>& rows) {
    double x = kLeft;
    for (const Look& look : kLooks) {
        if (std::ranges::none_of(rows, [&](const Row* row) { return !row->of(look.way).empty(); }))
            continue;
        picture.dot(x, 46, look.color, true);
        picture.text(x + 10, 50, look.text, "font-size=\"12\"");
        x += 130;
    }
    picture.text(kLeft, 68, "hollow: covered, but left in TCP; lines: half of the turns", kGrey);
}

// --- curves

constexpr double kCurveHeight = 420, kCurveLeft = 90, kCurveRight = 190, kCurveTop = 60,
                 kCurveBottom = 360;
constexpr const char* kColors[] = {"#0a6ab6", "#d9820f", "#2a9d5c", "#b5179e"};

struct Bounds {
    double least = 1e300, most = 0;
    void add(double value) {
        if (value <= 0)
            return;
        least = std::min(least, value);
        most = std::max(most, value);
    }
    // Whole powers of ten.
    [[nodiscard]] LogScale scale(double from, double to) const {
        if (most <= 0)
            return {1, 10, from, to};
        const double low = std::pow(10, std::floor(std::log10(least)));
        return {low, std::max(low * 10, std::pow(10, std::ceil(std::log10(most)))), from, to};
    }
};

std::string power_text(double value, const std::string& unit) {
    if (unit != "s")
        return short_number(value);
    if (value < 1e-3)
        return fmt::format("{:g} us", value * 1e6);
    return value < 1 ? fmt::format("{:g} ms", value * 1e3) : fmt::format("{:g} s", value);
}

void draw_axes(Picture& picture, const LogScale& x, const LogScale& y, const Curve& curve) {
    for (int power = -9; power <= 9; ++power) {
        const double value = std::pow(10, power);
        if (y.shows(value)) {
            picture.line(kCurveLeft, y.at(value), kWidth - kCurveRight, y.at(value), "#dddddd");
            picture.text(kCurveLeft - 8, y.at(value) + 4, power_text(value, curve.unit),
                         "text-anchor=\"end\" font-size=\"12\"");
        }
        if (x.shows(value)) {
            picture.line(x.at(value), kCurveTop, x.at(value), kCurveBottom, "#dddddd");
            picture.text(x.at(value), kCurveBottom + 20, short_number(value),
                         "text-anchor=\"middle\" font-size=\"12\"");
        }
    }
    picture.text((kCurveLeft + kWidth - kCurveRight) / 2, kCurveBottom + 42, curve.x,
                 "text-anchor=\"middle\"");
}

void draw_series(Picture& picture, const LogScale& x, const LogScale& y, const Series& series,
                 const char* color) {
    double last_x = 0, last_y = 0;
    for (const Point& point : series.points) {
        const Spread spread = spread_of(point.values);
        const double here_x = x.at(point.x), here_y = y.at(spread.median);
        picture.line(here_x, y.at(spread.low), here_x, y.at(spread.high), color, 2);
        picture.dot(here_x, here_y, color, true);
        if (&point != &series.points.front())
            picture.line(last_x, last_y, here_x, here_y, color);
        last_x = here_x;
        last_y = here_y;
    }
}

// From the first point of a series on.
void draw_linear(Picture& picture, const LogScale& x, const LogScale& y, const Series& series) {
    if (series.points.size() < 2)
        return;
    const Point& first = series.points.front();
    const Point& last = series.points.back();
    const double begin = spread_of(first.values).median;
    constexpr int kDashes = 40;
    for (int i = 0; i < kDashes; i += 2) {
        const auto at = [&](int dash) {
            return first.x * std::pow(last.x / first.x, dash / double(kDashes));
        };
        if (!y.shows(begin * at(i + 1) / first.x))
            break;
        picture.line(x.at(at(i)), y.at(begin * at(i) / first.x), x.at(at(i + 1)),
                     y.at(begin * at(i + 1) / first.x), "#999999");
    }
}

}  // namespace

std::string ratios_chart(const std::vector<const Row*>& rows, const std::string& title) {
    const double bottom = kTop + kRowHeight * static_cast<double>(rows.size());
    Picture picture(kWidth, bottom + 30);
    const LogScale scale = ratio_scale(rows);
    picture.text(kLeft, 24, title + ": how fast, compared with plain TCP?",
                 "font-size=\"16\" font-weight=\"bold\"");
    draw_legend(picture, rows);
    draw_ticks(picture, scale, bottom);
    for (std::size_t i = 0; i < rows.size(); ++i)
        draw_row(picture, scale, kTop + kRowHeight * (static_cast<double>(i) + 0.5), *rows[i]);
    picture.text(kLeft, bottom + 18, "above 1: faster; below (red): slower; logarithmic scale",
                 kGrey);
    return std::move(picture).finish();
}

std::string curve_chart(const Curve& curve) {
    Picture picture(kWidth, kCurveHeight);
    Bounds xs, ys;
    for (const Series& series : curve.series)
        for (const Point& point : series.points) {
            xs.add(point.x);
            for (const double value : point.values)
                ys.add(value);
        }
    const LogScale x = xs.scale(kCurveLeft, kWidth - kCurveRight),
                   y = ys.scale(kCurveBottom, kCurveTop);
    picture.text(kCurveLeft, 26, curve.name, "font-size=\"16\" font-weight=\"bold\"");
    picture.text(kCurveLeft, 44, "dashed: what linear growth would be; both axes logarithmic",
                 kGrey);
    draw_axes(picture, x, y, curve);
    double label = kCurveTop + 10;
    for (std::size_t i = 0; i < curve.series.size(); ++i) {
        const Series& series = curve.series[i];
        const char* color = kColors[i % std::size(kColors)];
        if (i == 0)
            draw_linear(picture, x, y, series);
        draw_series(picture, x, y, series, color);
        picture.dot(kWidth - kCurveRight + 24, label - 4, color, true);
        picture.text(kWidth - kCurveRight + 36, label, series.name, "font-size=\"12\"");
        label += 20;
    }
    return std::move(picture).finish();
}

}  // namespace sockaccel::bench
