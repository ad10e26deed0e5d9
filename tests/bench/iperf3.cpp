// SPDX-License-Identifier: GPL-2.0-or-later
// iperf3, by what its reader reads. It waits in select(2), on sockets that do not block.
#include "programs.hpp"

namespace sockaccel::bench {
namespace {

constexpr std::uint16_t kPort = 5201;
constexpr std::uint16_t kFirstStream =
    5301;  // the streams' client ports; not the control connection's
constexpr std::uint16_t kMostStreams = 16;
constexpr std::uint64_t kEnoughMemory = 8ULL << 30U;  // for a queue without a limit

struct Run {
    std::string name;
    std::vector<std::string> options;
};

// The tutorial's queue grows as long as the writer is faster, so what is written there is bounded.
Load start_iperf3(const Site& site, const Run& run) {
    Load load;
    load.processes.push_back(
        start(site.place.command({"iperf3", "--server", "--version4", "--interval", "0"})));
    await_listener(*load.processes[0], kPort);
    std::vector<std::string> client = {"iperf3",
                                       "--client",
                                       "127.0.0.1",
                                       "--interval",
                                       "0",
                                       "--cport",
                                       std::to_string(kFirstStream)};
    if (site.way == Way::tutorial)
        client.insert(client.end(), {"--bytes", "6G"});
    else
        client.insert(client.end(), {"--time", "86400"});
    client.insert(client.end(), run.options.begin(), run.options.end());
    load.processes.push_back(start(site.place.command(client)));
    load.progress = [server = load.processes[0]->pid(), client = load.processes[1]->pid()] {
        return bytes_read_by(server) + bytes_read_by(client);
    };
    return load;
}

}  // namespace

void measure_iperf3(Session& session) {
    if (!has_programs(session, "iperf3", {"iperf3"}))
        return;
    std::vector<Run> runs;
    for (const char* length : {"1K", "16K", "64K", "128K"}) {
        const std::string name = std::string("-l ") + length;
        runs.push_back({name, {"--length", length}});
        runs.push_back({name + " -P 4", {"--length", length, "--parallel", "4"}});
    }
    runs.push_back({"-l 64K -R", {"--length", "64K", "--reverse"}});
    runs.push_back({"-l 64K --bidir", {"--length", "64K", "--bidir"}});
    if (session.is_quick())
        runs = {runs[0], runs[4]};
    std::vector<Way> ways = {Way::plain, Way::accelerated, Way::tutorial};
    if (host_memory("MemAvailable") < kEnoughMemory) {
        ways.pop_back();
        session.omit("iperf3", "the tutorial's scheme",
                     "its queues have no limit, and less than 8 GiB of memory are available");
    }
    for (const Run& run : runs) {
        Program program{"iperf3", run.name, "bytes", ways, {}};
        program.is_measured = [](const Dict& connection) {
            const auto port = connection.at("client_port").get<std::uint16_t>();
            return port >= kFirstStream && port < kFirstStream + kMostStreams;
        };
        program.stretch = 5;  // a stream that TCP has taken over does not come back soon
        program.start = [&run](const Site& site) { return start_iperf3(site, run); };
        measure_program(session, program);
    }
}

}  // namespace sockaccel::bench
