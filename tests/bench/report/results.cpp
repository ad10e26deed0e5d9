// SPDX-License-Identifier: GPL-2.0-or-later
#include "results.hpp"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

namespace sockaccel::bench {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::nanoseconds;

constexpr int kFormat = 1;
constexpr Way kAllWays[] = {Way::plain,    Way::accelerated, Way::unix_socket, Way::pipes,
                            Way::tutorial, Way::uncovered,   Way::empty};

Way way_of(const std::string& name) {
    for (const Way way : kAllWays)
        if (name == to_string(way))
            return way;
    throw std::runtime_error("an unknown way: " + name);
}

// Nanoseconds, but for the counts.
Json to_json(const std::vector<Sample>& samples) {
    Json all = Json::array();
    for (const Sample& sample : samples)
        all.push_back({sample.count, sample.elapsed.count(), sample.cpu.count(), sample.p50.count(),
                       sample.p99.count()});
    return all;
}

std::vector<Sample> samples_of(const Json& json) {
    std::vector<Sample> samples;
    for (const Json& one : json) {
        const auto time = [&](std::size_t i) { return nanoseconds(one.at(i).get<std::int64_t>()); };
        samples.push_back({one.at(0).get<std::uint64_t>(), time(1), time(2), time(3), time(4)});
    }
    return samples;
}

Json to_json(const Row& row) {
    Json ways = Json::object(), ratios = Json::object(), failures = Json::object();
    for (const auto& [way, samples] : row.samples) {
        ways[std::string(to_string(way))] = to_json(samples);
        const Spread ratio = row.ratio(way);
        ratios[std::string(to_string(way))] = {ratio.low, ratio.median, ratio.high};
    }
    for (const auto& [way, why] : row.failures)
        failures[std::string(to_string(way))] = why;
    return {{"group", row.group},
            {"name", row.name},
            {"unit", row.unit},
            {"quick", row.is_quick},
            {"state", row.state},
            {"reason", row.reason},
            {"reason_text", row.reason_text},
            {"enrolled", row.enrolled},
            {"redirected", row.redirected},
            {"ratios_to_plain", std::move(ratios)},  // quartile, median, quartile: for readers
            {"samples", std::move(ways)},
            {"failures", std::move(failures)}};
}

Row row_of(const Json& json) {
    Row row;
    row.group = json.at("group");
    row.name = json.at("name");
    row.unit = json.at("unit");
    row.is_quick = json.at("quick");
    row.state = json.at("state");
    row.reason = json.at("reason");
    row.reason_text = json.at("reason_text");
    row.enrolled = json.at("enrolled");
    row.redirected = json.at("redirected");
    for (const auto& [way, samples] : json.at("samples").items())
        row.samples[way_of(way)] = samples_of(samples);
    for (const auto& [way, why] : json.at("failures").items())
        row.failures[way_of(way)] = why;
    return row;
}

Json to_json(const Curve& curve) {
    Json all = Json::array();
    for (const Series& series : curve.series) {
        Json points = Json::array();
        for (const Point& point : series.points)
            points.push_back({{"x", point.x}, {"values", point.values}});
        all.push_back({{"name", series.name}, {"points", std::move(points)}});
    }
    return {{"group", curve.group}, {"name", curve.name},      {"unit", curve.unit},
            {"x", curve.x},         {"quick", curve.is_quick}, {"series", std::move(all)}};
}

Curve curve_of(const Json& json) {
    Curve curve{json.at("group"), json.at("name"), json.at("unit"), json.at("x"), {},
                json.at("quick")};
    for (const Json& series : json.at("series")) {
        Series& added = curve.series.emplace_back();
        added.name = series.at("name");
        for (const Json& point : series.at("points"))
            added.points.push_back({point.at("x"), point.at("values")});
    }
    return curve;
}

Json to_json(const Figure& figure) {
    return {{"group", figure.group},
            {"name", figure.name},
            {"unit", figure.unit},
            {"value", figure.value},
            {"quick", figure.is_quick}};
}

Figure figure_of(const Json& json) {
    return {json.at("group"), json.at("name"), json.at("unit"), json.at("value"), json.at("quick")};
}

Json to_json(const Omission& omission) {
    return {{"group", omission.group}, {"name", omission.name}, {"why", omission.why}};
}

Omission omission_of(const Json& json) {
    return {json.at("group"), json.at("name"), json.at("why")};
}

template <typename Value>
Json to_json_list(const std::vector<Value>& values) {
    Json list = Json::array();
    for (const Value& value : values)
        list.push_back(to_json(value));
    return list;
}

template <typename Value>
std::vector<Value> list_of(const Json& json, Value (*value_of)(const Json&)) {
    std::vector<Value> values;
    for (const Json& one : json)
        values.push_back(value_of(one));
    return values;
}

template <typename Value>
void replace(std::vector<Value>& values, std::vector<Value>& newer,
             const std::map<std::string, std::string>& groups) {
    std::erase_if(values, [&](const Value& value) { return groups.contains(value.group); });
    std::move(newer.begin(), newer.end(), std::back_inserter(values));
}

// Each array of numbers in a line of its own.
std::string dumped(const Json& json) {
    std::string text = "{\n";
    for (const auto& [key, value] : json.items()) {
        text += text.size() > 2 ? ",\n" : "";
        text += "\"" + key + "\": ";
        if (!value.is_array()) {
            text += value.dump();
            continue;
        }
        text += "[";
        for (std::size_t i = 0; i < value.size(); ++i)
            text += (i == 0 ? "\n" : ",\n") + value[i].dump();
        text += "]";
    }
    return text + "\n}\n";
}

}  // namespace

const Row* Results::find(const std::string& group, const std::string& name) const {
    const auto found = std::ranges::find_if(
        rows, [&](const Row& row) { return row.group == group && row.name == name; });
    return found == rows.end() ? nullptr : &*found;
}

void Results::merge(Results newer) {
    if (host.kernel != newer.host.kernel || host.machine != newer.host.machine ||
        host.cpus != newer.host.cpus)
        throw std::runtime_error("these results are of another machine or kernel: Linux " +
                                 host.kernel + ", " + host.machine);
    host = newer.host;
    replace(rows, newer.rows, newer.dates);
    replace(curves, newer.curves, newer.dates);
    replace(figures, newer.figures, newer.dates);
    replace(omissions, newer.omissions, newer.dates);
    for (const auto& [group, date] : newer.dates)
        dates[group] = date;
}

std::string json_of(const Results& results) {
    return dumped({{"format", kFormat},
                   {"version", results.host.version},
                   {"kernel", results.host.kernel},
                   {"machine", results.host.machine},
                   {"cpus", results.host.cpus},
                   {"date", results.host.date},
                   {"dates", results.dates},
                   {"rows", to_json_list(results.rows)},
                   {"curves", to_json_list(results.curves)},
                   {"figures", to_json_list(results.figures)},
                   {"omissions", to_json_list(results.omissions)}});
}

Results results_of(const std::string& text) {
    try {
        const Json json = Json::parse(text);
        if (json.at("format") != kFormat)
            throw std::runtime_error("results of another format: measure again");
        Results results;
        results.host = {json.at("version"), json.at("kernel"), json.at("machine"), json.at("date"),
                        json.at("cpus")};
        for (const auto& [group, date] : json.at("dates").items())
            results.dates[group] = date;
        results.rows = list_of(json.at("rows"), row_of);
        results.curves = list_of(json.at("curves"), curve_of);
        results.figures = list_of(json.at("figures"), figure_of);
        results.omissions = list_of(json.at("omissions"), omission_of);
        return results;
    } catch (const Json::exception& error) {
        throw std::runtime_error(std::string("no results of the benchmarks: ") + error.what());
    }
}

}  // namespace sockaccel::bench
