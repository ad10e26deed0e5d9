// SPDX-License-Identifier: GPL-2.0-or-later
#include <nlohmann/json.hpp>

#include "compare.hpp"

namespace sockaccel::bench {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const Spread& spread) {
    return {{"median", spread.median}, {"low", spread.low}, {"high", spread.high}};
}

Json to_json(const CaseComparison& comparison, Way way) {
    Json rates = Json::array();
    for (const Sample& sample : comparison.of(way))
        rates.push_back(sample.per_second());
    Json json = {{"per_second", to_json(comparison.rate(way))},
                 {"samples_per_second", std::move(rates)},
                 {"ratio_to_plain", to_json(comparison.ratio(way))},
                 {"cpu_seconds_each", to_json(comparison.cpu(way))}};
    if (comparison.what.pattern == Pattern::request_response) {
        json["p50_seconds"] = comparison.p50(way);
        json["p99_seconds"] = comparison.p99(way);
    }
    return json;
}

Json to_json(const CaseComparison& comparison) {
    Json json = {
        {"pattern", to_string(comparison.what.pattern)},
        {"bytes", comparison.what.bytes},
        {"unit", comparison.what.pattern == Pattern::stream ? "bytes" : "transactions"},
        {"verdict", to_string(comparison.verdict())},
        {"state", comparison.state},
        {"reason", comparison.reason},
        {"redirected", comparison.redirected},
    };
    for (const auto& [way, samples] : comparison.samples)
        json[std::string(to_string(way))] = to_json(comparison, way);
    return json;
}

}  // namespace

std::string json_of(const Result& result) {
    Json cases = Json::array();
    for (const CaseComparison& comparison : result.comparisons)
        cases.push_back(to_json(comparison));
    const Json json = {{"version", result.host.version},     {"kernel", result.host.kernel},
                       {"machine", result.host.machine},     {"cpus", result.host.cpus},
                       {"date", result.host.date},           {"repeat", result.repeat},
                       {"sample_ms", result.sample.count()}, {"cases", std::move(cases)}};
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace sockaccel::bench
