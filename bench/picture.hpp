// SPDX-License-Identifier: GPL-2.0-or-later
// An SVG picture, by its elements.
#pragma once

#include <string>

namespace sockaccel::bench {

class Picture {
  public:
    Picture(double width, double height);

    void line(double x1, double y1, double x2, double y2, const std::string& color,
              double width = 1);
    void dot(double x, double y, const std::string& color, bool is_filled);
    void area(double x, double y, double width, double height, const std::string& color);
    // `more`: further attributes.
    void text(double x, double y, const std::string& text, const std::string& more = "");
    [[nodiscard]] std::string finish() &&;

  private:
    std::string text_;
};

}  // namespace sockaccel::bench
