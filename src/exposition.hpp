// SPDX-License-Identifier: GPL-2.0-or-later
// Metrics as text, in the two formats that are read: that of OpenMetrics 1.0, and the older one of
// Prometheus, which knows fewer types. Names of samples and labels are the same in both.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "histogram.hpp"

namespace sockaccel {

enum class TextFormat { openmetrics, prometheus };
[[nodiscard]] const char* content_type(TextFormat format);

// What an HTTP client wants, by its header Accept; "": there is none. OpenMetrics, unless the
// client likes text/plain better.
[[nodiscard]] TextFormat wanted_format(std::string_view accept);

class Exposition {
  public:
    explicit Exposition(TextFormat format) : format_(format) {}

    [[nodiscard]] std::string finish() &&;

  private:
    friend class Family;
    TextFormat format_;
    std::string text_;
};

struct Label {
    std::string_view name;
    std::string value;
};
using Labels = std::vector<Label>;

// One family of metrics: its heading on construction, then its samples.
class Family {
  public:
    // `type` as OpenMetrics has it; `unit` is the last word of `name`, or "".
    Family(Exposition& exposition, std::string_view type, std::string_view name,
           std::string_view unit, std::string_view help);

    void sample(const Labels& labels, std::uint64_t value);
    void sample(const Labels& labels, double value);
    void sample(const Histogram& histogram);

  private:
    void add(std::string_view suffix, const Labels& labels, const std::string& value);

    std::string& text_;
    std::string_view name_, suffix_;
};

}  // namespace sockaccel
