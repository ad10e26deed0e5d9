// SPDX-License-Identifier: GPL-2.0-or-later
// What a run of the benchmarks has measured, as values and as JSON.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "compare.hpp"

namespace sockaccel::bench {

// One thing that was measured in several ways.
struct Row : Comparison {
    std::string group, name;  // together unique: "requests", "loopback, poll, 64B"
    std::string unit;         // what is counted: "transactions", "bytes", …
    double enrolled = 0;      // what part of the accelerated way's connections was, at the end
    bool is_quick = false;    // too few or too short samples to believe
    std::map<Way, std::string> failures;  // ways that could not be measured to the end, and why
};

// A value at some numbers of connections.
struct Point {
    double x = 0;
    std::vector<double> values;
};
struct Series {
    std::string name;
    std::vector<Point> points;
};
struct Curve {
    std::string group, name, unit, x;  // x: what the values are drawn over
    std::vector<Series> series;
    bool is_quick = false;
};

// A single value.
struct Figure {
    std::string group, name, unit;
    double value = 0;
    bool is_quick = false;
};

struct Omission {
    std::string group, name, why;
};

struct Results {
    Host host;
    std::map<std::string, std::string> dates;  // of each group that was measured
    std::vector<Row> rows;
    std::vector<Curve> curves;
    std::vector<Figure> figures;
    std::vector<Omission> omissions;

    [[nodiscard]] const Row* find(const std::string& group, const std::string& name) const;
    // Takes groups that `newer` has from there, whole. Throws std::runtime_error if it is of
    // another machine or kernel.
    void merge(Results newer);
};

[[nodiscard]] std::string json_of(const Results& results);
// Throws std::runtime_error.
[[nodiscard]] Results results_of(const std::string& json);

}  // namespace sockaccel::bench
