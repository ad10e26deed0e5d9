// SPDX-License-Identifier: GPL-2.0-or-later
//
// The picture answers one question: where is it faster, and by how much? So it shows ratios to
// plain TCP, on a logarithmic scale, where half as fast is as far from 1 as twice as fast.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "compare.hpp"
#include "picture.hpp"

namespace sockaccel::bench {
namespace {

constexpr double kWidth = 1120, kHeight = 560;
constexpr double kTop = 96, kBottom = 440;  // of the plots
constexpr double kLeft = 70, kGap = 70, kRight = 24, kInset = 20;
constexpr const char* kAccelerated = "#0a6ab6";  // blue and orange: told apart by everybody
constexpr const char* kUnix = "#d9820f";
constexpr double kTicks[] = {0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.25, 1.5, 2, 3, 4, 6, 8, 12, 16, 32};

// The vertical axis, the same in both plots.
class Scale {
  public:
    explicit Scale(const Result& result) {
        for (const CaseComparison& comparison : result.comparisons)
            for (const Way way : {Way::accelerated, Way::unix_socket}) {
                const Spread ratio = comparison.ratio(way);
                least_ = std::min(least_, 0.93 * ratio.low);
                most_ = std::max(most_, 1.10 * ratio.high);
            }
        least_ = std::max(least_, 0.05);
    }
    [[nodiscard]] double y(double ratio) const {
        const double part =
            std::log(std::clamp(ratio, least_, most_) / least_) / std::log(most_ / least_);
        return kBottom - part * (kBottom - kTop);
    }
    [[nodiscard]] bool shows(double ratio) const { return ratio >= least_ && ratio <= most_; }

  private:
    double least_ = 0.8, most_ = 1.6;
};

struct Frame {
    double left, right;
};

void draw_grid(Picture& picture, const Scale& scale, const Frame& frame) {
    picture.area(frame.left, scale.y(1), frame.right - frame.left, kBottom - scale.y(1), "#fbeeee");
    double last = kBottom + 100;
    for (const double tick : kTicks) {
        if (!scale.shows(tick) || (last - scale.y(tick) < 16 && tick != 1))
            continue;
        last = scale.y(tick);
        const bool is_one = tick == 1;
        picture.line(frame.left, last, frame.right, last, is_one ? "#333333" : "#dddddd",
                     is_one ? 2 : 1);
        picture.text(frame.left - 8, last + 4, fmt::format("{}", tick),
                     is_one ? "text-anchor=\"end\" font-weight=\"bold\"" : "text-anchor=\"end\"");
    }
}

void draw_value(Picture& picture, const Scale& scale, double x, const Spread& ratio,
                const std::string& color, bool is_filled) {
    picture.line(x, scale.y(ratio.low), x, scale.y(ratio.high), color, 2);
    picture.dot(x, scale.y(ratio.median), color, is_filled);
}

std::string fate(const CaseComparison& comparison) {
    if (comparison.state != "enrolled")
        return "stays in TCP";
    switch (comparison.verdict()) {
        case Verdict::gain:
            return "faster";
        case Verdict::none:
            return "no gain";
        case Verdict::loss:
            return "SLOWER";
        case Verdict::unsure:
            return "unsure";
    }
    return "";
}

void draw_column(Picture& picture, const Scale& scale, double x, const CaseComparison& comparison) {
    const Spread accelerated = comparison.ratio(Way::accelerated);
    const bool is_enrolled = comparison.state == "enrolled";
    draw_value(picture, scale, x + 12, comparison.ratio(Way::unix_socket), kUnix, true);
    draw_value(picture, scale, x - 10, accelerated, kAccelerated, is_enrolled);
    picture.text(
        x - 18, scale.y(accelerated.median) + 4, fmt::format("{:.2f}", accelerated.median),
        fmt::format("text-anchor=\"end\" fill=\"{}\" font-weight=\"bold\" paint-order=\"stroke\" "
                    "stroke=\"white\" stroke-width=\"3\"",
                    kAccelerated));
    const std::string middle = "text-anchor=\"middle\"";
    picture.text(x, kBottom + 20, short_size(comparison.what.bytes),
                 middle + " font-weight=\"bold\"");
    picture.text(x, kBottom + 38, short_rate(comparison, Way::plain),
                 middle + " font-size=\"11\" fill=\"#555555\"");
    picture.text(x, kBottom + 56, fate(comparison),
                 middle + fmt::format(" font-size=\"11\" fill=\"{}\"",
                                      fate(comparison) == "faster" ? kAccelerated : "#555555"));
}

void draw_part(Picture& picture, const Scale& scale, const Frame& frame, const Result& result,
               Pattern pattern) {
    std::vector<const CaseComparison*> shown;
    for (const CaseComparison& comparison : result.comparisons)
        if (comparison.what.pattern == pattern)
            shown.push_back(&comparison);
    picture.text((frame.left + frame.right) / 2, kTop - 12,
                 pattern == Pattern::stream ? "One-way streams, by size of the writes"
                                            : "Request and response by turns, by size",
                 "text-anchor=\"middle\" font-size=\"15\" font-weight=\"bold\"");
    draw_grid(picture, scale, frame);
    const double left = frame.left + kInset;  // room for the first value
    const double step = (frame.right - left) / static_cast<double>(shown.size());
    for (std::size_t i = 0; i < shown.size(); ++i)
        draw_column(picture, scale, left + step * (static_cast<double>(i) + 0.5), *shown[i]);
}

void draw_legend(Picture& picture, const Result& result) {
    picture.text(kLeft, 28, "How fast, compared with plain TCP over loopback?",
                 "font-size=\"19\" font-weight=\"bold\"");
    const double y = 52;
    picture.dot(kLeft + 6, y - 4, kAccelerated, true);
    picture.text(kLeft + 18, y, "accelerated by sockaccel");
    picture.dot(kLeft + 212, y - 4, kAccelerated, false);
    picture.text(kLeft + 224, y, "the same rule, but left in TCP");
    picture.dot(kLeft + 456, y - 4, kUnix, true);
    picture.text(kLeft + 468, y, "AF_UNIX socket, for comparison");
    picture.text(kLeft + 706, y, "above 1: faster, below (red): slower", "fill=\"#555555\"");
    picture.text(kLeft, kHeight - 34,
                 fmt::format("Dots: medians of {} turns; lines: half of the turns. Grey: what "
                             "plain TCP does. Logarithmic scale.",
                             result.repeat),
                 "font-size=\"11\" fill=\"#555555\"");
    picture.text(
        kLeft, kHeight - 16,
        fmt::format("sockaccel {}, Linux {}, {} CPUs {}, {}", result.host.version,
                    result.host.kernel, result.host.cpus, result.host.machine, result.host.date),
        "font-size=\"11\" fill=\"#555555\"");
}

}  // namespace

std::string svg_of(const Result& result) {
    Picture picture(kWidth, kHeight);
    const Scale scale(result);
    draw_legend(picture, result);
    const auto has = [&](Pattern pattern) {
        return std::ranges::any_of(result.comparisons, [&](const CaseComparison& comparison) {
            return comparison.what.pattern == pattern;
        });
    };
    std::vector<Pattern> parts;
    for (const Pattern pattern : {Pattern::request_response, Pattern::stream})
        if (has(pattern))
            parts.push_back(pattern);
    const double count = static_cast<double>(parts.size());
    const double width = (kWidth - kLeft - kRight - kGap * (count - 1)) / count;
    double left = kLeft;
    for (const Pattern pattern : parts) {
        draw_part(picture, scale, {left, left + width}, result, pattern);
        left += width + kGap;
    }
    return std::move(picture).finish();
}

}  // namespace sockaccel::bench
