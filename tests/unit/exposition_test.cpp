// SPDX-License-Identifier: GPL-2.0-or-later
#include "exposition.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace sockaccel {
namespace {

using std::chrono::milliseconds;

TEST(Exposition, HasTheTypesOfOpenMetrics) {
    Exposition text(TextFormat::openmetrics);
    Family(text, "counter", "a_bytes", "bytes", "Bytes.")
        .sample({{"rule", "x\"y\\z\n"}, {"path", "tcp"}}, std::uint64_t{7});
    Family(text, "info", "a_build", "", "Build.").sample({{"version", "1"}}, std::uint64_t{1});
    EXPECT_EQ(std::move(text).finish(),
              "# TYPE a_bytes counter\n"
              "# UNIT a_bytes bytes\n"
              "# HELP a_bytes Bytes.\n"
              "a_bytes_total{rule=\"x\\\"y\\\\z\\n\",path=\"tcp\"} 7\n"
              "# TYPE a_build info\n"
              "# HELP a_build Build.\n"
              "a_build_info{version=\"1\"} 1\n"
              "# EOF\n");
}

TEST(Exposition, HasThoseOfPrometheusWithTheSameSamples) {
    Exposition text(TextFormat::prometheus);
    Family(text, "counter", "a_bytes", "bytes", "Bytes.").sample({}, std::uint64_t{7});
    Family(text, "info", "a_build", "", "Build.").sample({{"version", "1"}}, std::uint64_t{1});
    EXPECT_EQ(std::move(text).finish(),
              "# HELP a_bytes_total Bytes.\n"
              "# TYPE a_bytes_total counter\n"
              "a_bytes_total 7\n"
              "# HELP a_build_info Build.\n"
              "# TYPE a_build_info gauge\n"
              "a_build_info{version=\"1\"} 1\n");
}

TEST(Exposition, AHistogramCountsWhatIsAtMostItsBounds) {
    Histogram histogram;
    histogram.add(milliseconds(1));
    histogram.add(milliseconds(2));
    histogram.add(std::chrono::seconds(5));
    Exposition exposition(TextFormat::openmetrics);
    Family(exposition, "histogram", "a_seconds", "seconds", "Times.").sample(histogram);
    const std::string text = std::move(exposition).finish();
    EXPECT_NE(text.find("\na_seconds_bucket{le=\"0.0005\"} 0\n"
                        "a_seconds_bucket{le=\"0.001\"} 1\n"
                        "a_seconds_bucket{le=\"0.0025\"} 2\n"),
              std::string::npos)
        << text;
    EXPECT_NE(text.find("\na_seconds_bucket{le=\"2.5\"} 2\n"
                        "a_seconds_bucket{le=\"+Inf\"} 3\n"
                        "a_seconds_sum 5.003\n"
                        "a_seconds_count 3\n"),
              std::string::npos)
        << text;
}

TEST(Exposition, IsInTheFormatThatTheClientLikesBest) {
    const auto openmetrics = TextFormat::openmetrics, prometheus = TextFormat::prometheus;
    EXPECT_EQ(wanted_format(""), openmetrics);
    EXPECT_EQ(wanted_format("*/*"), openmetrics);
    EXPECT_EQ(wanted_format("text/plain"), prometheus);
    EXPECT_EQ(wanted_format("Text/Plain; version=0.0.4"), prometheus);
    EXPECT_EQ(wanted_format("text/html, */*;q=0.1"), openmetrics);
    EXPECT_EQ(wanted_format("text/plain;q=0.5, */*;q=0.1"), prometheus);
    // Prometheus 2.42's own.
    EXPECT_EQ(wanted_format("application/openmetrics-text;version=1.0.0,"
                            "application/openmetrics-text;version=0.0.1;q=0.75,"
                            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
              openmetrics);
    EXPECT_EQ(wanted_format("application/openmetrics-text;q=0.2,text/plain;q=0.9"), prometheus);
    EXPECT_EQ(wanted_format(",;=,;;q=,q="), openmetrics);
}

}  // namespace
}  // namespace sockaccel
