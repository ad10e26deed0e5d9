// SPDX-License-Identifier: GPL-2.0-or-later
#include "picture.hpp"

#include <utility>

#include <fmt/format.h>

namespace sockaccel::bench {
namespace {

std::string escaped(const std::string& text) {
    std::string result;
    for (const char character : text) {
        if (character == '<')
            result += "&lt;";
        else if (character == '&')
            result += "&amp;";
        else
            result += character;
    }
    return result;
}

}  // namespace

Picture::Picture(double width, double height)
    : text_(fmt::format(
          "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 "
          "{0} {1}\" font-family=\"DejaVu Sans, Helvetica, Arial, sans-serif\" "
          "font-size=\"13\">\n"
          "<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n",
          width, height)) {}

void Picture::line(double x1, double y1, double x2, double y2, const std::string& color,
                   double width) {
    text_ += fmt::format(
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" "
        "stroke-width=\"{}\"/>\n",
        x1, y1, x2, y2, color, width);
}

void Picture::dot(double x, double y, const std::string& color, bool is_filled) {
    text_ += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"5\" fill=\"{}\" stroke=\"{}\" "
        "stroke-width=\"2\"/>\n",
        x, y, is_filled ? color : "white", color);
}

void Picture::area(double x, double y, double width, double height, const std::string& color) {
    text_ += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"/>\n", x, y,
        width, height, color);
}

void Picture::text(double x, double y, const std::string& text, const std::string& more) {
    text_ +=
        fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, more, escaped(text));
}

std::string Picture::finish() && {
    return std::move(text_) + "</svg>\n";
}

}  // namespace sockaccel::bench
