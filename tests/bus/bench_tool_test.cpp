// SPDX-License-Identifier: GPL-2.0-or-later
// What tools/bench runs works. How fast anything is, is no matter here.
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "bus_test.hpp"
#include "cgroup_tree.hpp"
#include "slowness.hpp"

namespace sockaccel::test {
namespace {

using nlohmann::json;

std::set<std::string> ways_of(const json& row) {
    std::set<std::string> ways;
    for (const auto& one : row["samples"].items())
        ways.insert(one.key());
    return ways;
}

std::string text_of(const std::filesystem::path& file) {
    std::ifstream stream(file);
    return {std::istreambuf_iterator<char>(stream), {}};
}

TEST(BenchTool, MeasuresAllWaysAndTellsWhatIsEnrolled) {
    const TemporaryDirectory directory;
    const std::filesystem::path results = directory.path() / "results.json",
                                document = directory.path() / "PERFORMANCE.md";
    std::filesystem::copy_file(from_environment("SOCKACCEL_PERFORMANCE_MD"), document);
    Process bench({{from_environment("SOCKACCEL_BENCH"), "--quick", "--repeat", "1", "--only",
                    "requests,connects", "--results", results, "--pictures", directory.path(),
                    "--document", document},
                   {},
                   {}});
    ASSERT_EQ(bench.wait(slowness() * std::chrono::seconds(60)), 0) << bench.standard_error();

    const json told = json::parse(text_of(results));
    std::map<std::string, json> rows;
    for (const json& row : told["rows"])
        rows[row["name"]] = row;
    for (const char* name : {"loopback, poll, 64B", "bridge, poll, 64B"}) {
        EXPECT_EQ(rows[name]["enrolled"], 1) << bench.standard_error();
        EXPECT_GT(rows[name]["redirected"], 0.5) << bench.standard_error();
    }
    EXPECT_EQ(ways_of(rows["loopback, poll, 64B"]),
              (std::set<std::string>{"accelerated", "pipes", "plain", "tutorial", "unix"}));
    EXPECT_EQ(ways_of(rows["one request of 64B"]),
              (std::set<std::string>{"accelerated", "empty", "plain", "tutorial", "uncovered"}));
    EXPECT_NE(bench.standard_output().find("\nGoals\n"), std::string::npos);
    EXPECT_NE(text_of(directory.path() / "requests.svg").find("loopback, poll, 64B"),
              std::string::npos);
    EXPECT_NE(text_of(document).find("| loopback, poll, 64B |"), std::string::npos);
    const std::string left = "sockaccel-test-" + std::to_string(bench.pid());
    for (const auto& entry : std::filesystem::directory_iterator(find_cgroup2_root()))
        EXPECT_EQ(entry.path().filename().string().find(left), std::string::npos) << entry.path();
}

}  // namespace
}  // namespace sockaccel::test
