// SPDX-License-Identifier: GPL-2.0-or-later
// sockaccel-bench: see tools/bench.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "against.hpp"
#include "measures.hpp"
#include "report.hpp"

namespace sockaccel::bench {
namespace {

namespace fs = std::filesystem;

constexpr int kInterrupted = 130;  // as a shell has it

struct Options {
    bool is_quick = false;
    unsigned repeat = 0;
    std::vector<std::string> only;
    std::string results = "bench-results.json";
    std::string pictures, against, document;
};

// In the order of groups().
using Measurement = void (*)(Session&);
constexpr std::pair<std::string_view, Measurement> kMeasurements[] = {
    {"requests", measure_requests}, {"streams", measure_streams},     {"iperf3", measure_iperf3},
    {"redis", measure_redis},       {"memcached", measure_memcached}, {"pgbench", measure_pgbench},
    {"http", measure_http},         {"connects", measure_connects},   {"kept", measure_kept},
    {"idle", measure_idle},         {"witness", measure_witness},     {"scale", measure_scale}};

std::string read(const fs::path& file) {
    std::ifstream stream(file);
    if (!stream)
        throw std::runtime_error("cannot read " + file.string());
    return {std::istreambuf_iterator<char>(stream), {}};
}

void write(const fs::path& file, const std::string& text) {
    std::ofstream stream(file);
    stream << text << std::flush;
    if (!stream)
        throw std::runtime_error("cannot write " + file.string());
}

bool is_wanted(const Options& options, std::string_view group) {
    return options.only.empty() ||
           std::find(options.only.begin(), options.only.end(), group) != options.only.end();
}

// What was measured before it fails is kept; a group counts only if it comes to its end.
int measure(const Options& options, Session& session) {
    int status = EXIT_SUCCESS;
    for (const auto& [group, measurement] : kMeasurements) {
        if (!is_wanted(options, group))
            continue;
        session.tell(fmt::format("-- {}", group));
        const Results before = session.results;
        try {
            measurement(session);
            session.results.dates[std::string(group)] = this_host("").date;
        } catch (const std::exception& error) {
            stop_if_interrupted();  // which ends what is measured, too
            fmt::print(stderr, "sockaccel-bench: {}: {}\n", group, error.what());
            session.results = before;
            status = EXIT_FAILURE;
        }
    }
    return status;
}

Results merged(const Options& options, Results fresh) {
    if (!fs::exists(options.results))
        return fresh;
    Results all = results_of(read(options.results));
    all.merge(std::move(fresh));
    return all;
}

int run(const Options& options) {
    const std::string earlier = options.against.empty() ? "" : read(options.against);
    Session session(options.is_quick, options.repeat);
    session.results.host = this_host(SOCKACCEL_VERSION);
    const int status = measure(options, session);
    const Results results = merged(options, std::move(session.results));
    write(options.results, json_of(results));
    fmt::print("{}", text_of(results));
    if (!options.pictures.empty()) {
        fs::create_directories(options.pictures);
        draw(results, options.pictures);
    }
    if (!options.document.empty())
        write(options.document, filled(read(options.document), results));
    if (!options.against.empty())
        fmt::print("\nAgainst {}\n\n{}", options.against,
                   text_of(changes(results_of(earlier), results)));
    return status;
}

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Measures sockaccel against plain TCP and other ways, on this machine. Root.",
                 "sockaccel-bench");
    app.add_flag("--quick", options.is_quick, "little of everything, too short to be believed");
    app.add_option("--repeat", options.repeat,
                   "turns of each measurement; else 7, or 30 where it matters")
        ->type_name("TIMES");
    std::vector<std::string> names;
    for (const Group& group : groups())
        names.push_back(group.name);
    app.add_option("--only", options.only, "only these groups; others keep their former results")
        ->type_name("GROUP,...")
        ->delimiter(',')
        ->check(CLI::IsMember(names));
    app.add_option("--results", options.results, "the JSON file that results are merged into")
        ->type_name("FILE");
    app.add_option("--pictures", options.pictures, "where to draw SVGs")->type_name("DIRECTORY");
    app.add_option("--document", options.document,
                   "the document whose generated parts are made anew")
        ->type_name("FILE");
    app.add_option("--against", options.against, "tell what differs from these earlier results")
        ->type_name("FILE");
    CLI11_PARSE(app, argc, argv);
    if (::geteuid() != 0)
        throw std::runtime_error("needs root");
    ::signal(SIGPIPE, SIG_IGN);
    watch_for_interrupts();
    try {
        return run(options);
    } catch (const Interrupted&) {
        fmt::print(stderr, "interrupted: nothing is left behind, no results are kept\n");
        return kInterrupted;
    }
}

}  // namespace
}  // namespace sockaccel::bench

int main(int argc, char** argv) {
    try {
        return sockaccel::bench::main(argc, argv);
    } catch (const std::exception& error) {
        fmt::print(stderr, "sockaccel-bench: {}\n", error.what());
        return EXIT_FAILURE;
    }
}
