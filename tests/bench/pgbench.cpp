// SPDX-License-Identifier: GPL-2.0-or-later
// PostgreSQL, by the log of pgbench, which has the time of each transaction.
#include <algorithm>
#include <csignal>
#include <fstream>
#include <map>
#include <stdexcept>

#include <fmt/format.h>

#include "programs.hpp"
#include "temporary_directory.hpp"
#include "wait_until.hpp"

namespace sockaccel::bench {
namespace {

namespace fs = std::filesystem;
using std::chrono::microseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using test::Place;
using test::Process;

fs::path binaries() {
    fs::path found;
    std::error_code none;
    for (const auto& version : fs::directory_iterator("/usr/lib/postgresql", none))
        found = version.path() / "bin";
    return found;
}

test::Command as_postgres(const Place& place, const std::vector<std::string>& program) {
    std::vector<std::string> all = {"setpriv", "--reuid=postgres", "--regid=postgres",
                                    "--clear-groups"};
    all.insert(all.end(), program.begin(), program.end());
    test::Command command = place.command(all);
    command.environment["LC_ALL"] = "C";
    return command;
}

void succeed(const test::Command& command) {
    const test::Outcome outcome = test::run(command, seconds(120));
    if (outcome.status != 0)
        throw std::runtime_error(outcome.output + outcome.error);
}

std::unique_ptr<Process> start_server(const Place& place, const fs::path& data) {
    auto server = start(as_postgres(
        place, {binaries() / "postgres", "-D", data, "-k", data, "-c", "listen_addresses=127.0.0.1",
                "-c", "fsync=off", "-c", "autovacuum=off"}));
    await_listener(*server, 5432);
    const test::Command is_ready =
        as_postgres(place, {binaries() / "pg_isready", "--host=127.0.0.1"});
    if (!test::wait_until([&] { return test::run(is_ready).status == 0; }))
        throw std::runtime_error("PostgreSQL is not ready: " + server->standard_error());
    return server;
}

// A database filled for pgbench, made once and copied for each way.
class Template {
  public:
    Template() : data_(directory_.path() / "data") {
        fs::permissions(directory_.path(), fs::perms(0755));
        fs::create_directory(data_);
        succeed(Place().command({"chown", "postgres:postgres", data_}));
        const test::Netns netns;
        const test::TestCgroup cgroup;
        const Place place(cgroup, netns);
        succeed(as_postgres(place, {binaries() / "initdb", "--pgdata=" + data_.string(),
                                    "--auth=trust", "--no-sync"}));
        const std::unique_ptr<Process> server = start_server(place, data_);
        succeed(as_postgres(place, {binaries() / "pgbench", "--host=127.0.0.1", "--initialize",
                                    "--quiet", "--scale=2", "postgres"}));
        server->signal(SIGINT);
        static_cast<void>(server->wait());
    }

    void copy_to(const fs::path& directory) const {
        succeed(Place().command({"cp", "-a", data_, directory}));
    }

  private:
    TemporaryDirectory directory_;
    fs::path data_;
};

struct Transaction {
    nanoseconds end{}, latency{};
};

// "client number latency_us script epoch_s us"
std::vector<Transaction> transactions_in(const fs::path& directory) {
    std::vector<Transaction> all;
    for (const auto& entry : fs::directory_iterator(directory)) {
        if (!entry.path().filename().string().starts_with("log."))
            continue;
        std::ifstream file(entry.path());
        std::int64_t client = 0, number = 0, latency = 0, script = 0, second = 0, usec = 0;
        while (file >> client >> number >> latency >> script >> second >> usec)
            all.push_back({seconds(second) + microseconds(usec), microseconds(latency)});
    }
    return all;
}

nanoseconds percentile(std::vector<nanoseconds>& values, std::size_t percent) {
    if (values.empty())
        return {};
    const auto at =
        values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) * percent / 100);
    std::nth_element(values.begin(), at, values.end());
    return *at;
}

std::vector<Sample> account(const fs::path& directory, const std::vector<Window>& windows) {
    const std::vector<Transaction> transactions = transactions_in(directory);
    std::vector<Sample> samples;
    for (const Window& window : windows) {
        std::vector<nanoseconds> latencies;
        for (const Transaction& one : transactions)
            if (one.end >= window.begin && one.end < window.end)
                latencies.push_back(one.latency);
        Sample& sample = samples.emplace_back();
        sample.count = latencies.size();
        sample.p50 = percentile(latencies, 50);
        sample.p99 = percentile(latencies, 99);
    }
    return samples;
}

Load start_pgbench(const Site& site, const Template& database,
                   const std::vector<std::string>& options) {
    database.copy_to(site.directory);
    const fs::path data = site.directory / "data", logs = site.directory / "logs";
    fs::create_directory(logs);
    succeed(Place().command({"chown", "postgres:postgres", logs}));
    Load load;
    load.processes.push_back(start_server(site.place, data));
    std::vector<std::string> client = {
        binaries() / "pgbench",
        "--host=" + (site.way == Way::unix_socket ? data.string() : std::string("127.0.0.1")),
        "--client=4",
        "--jobs=1",
        "--time=86400",
        "--protocol=prepared",
        "--no-vacuum",
        "--log",
        "--log-prefix=" + (logs / "log").string()};
    client.insert(client.end(), options.begin(), options.end());
    client.emplace_back("postgres");
    load.processes.push_back(start(as_postgres(site.place, client)));
    load.account = [logs](const std::vector<Window>& windows) { return account(logs, windows); };
    return load;
}

}  // namespace

void measure_pgbench(Session& session) {
    if (!has_programs(session, "pgbench", {(binaries() / "pgbench").string(), "setpriv"}))
        return;
    const Template database;
    const std::vector<std::pair<std::string, std::vector<std::string>>> runs = {
        {"-S, 4 clients", {"--select-only"}}, {"TPC-B, 4 clients", {}}};
    for (const auto& [name, options] : runs) {
        Program program{"pgbench",
                        name,
                        "transactions",
                        {Way::plain, Way::accelerated, Way::tutorial, Way::unix_socket},
                        {}};
        program.start = [&, &more = options](const Site& site) {
            return start_pgbench(site, database, more);
        };
        measure_program(session, program);
    }
}

}  // namespace sockaccel::bench
