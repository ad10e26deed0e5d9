// SPDX-License-Identifier: GPL-2.0-or-later
// What the service counts, as OpenMetrics text (sockaccel-metrics(5)). As many series as rules,
// reasons and states: nothing that traffic can grow.
#pragma once

#include <string>

#include "engine.hpp"

namespace sockaccel {

inline constexpr const char* kOpenMetricsType =
    "application/openmetrics-text; version=1.0.0; charset=utf-8";

// `kernel`: its release.
[[nodiscard]] std::string open_metrics(Engine& engine, const std::string& version,
                                       const std::string& kernel);

}  // namespace sockaccel
