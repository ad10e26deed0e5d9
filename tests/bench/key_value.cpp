// SPDX-License-Identifier: GPL-2.0-or-later
// redis and memcached, by the bytes of requests that the server reads.
#include <fmt/format.h>

#include "programs.hpp"

namespace sockaccel::bench {
namespace {

struct RedisRun {
    const char* command;
    int connections, pipeline, bytes;

    [[nodiscard]] std::string name() const {
        return fmt::format("{} -c {} -P {} -d {}", command, connections, pipeline, bytes);
    }
    // A request as redis-benchmark writes it.
    [[nodiscard]] std::uint64_t request_bytes() const {
        const std::string key = "$16\r\nkey:__rand_int__\r\n";
        if (std::string(command) == "get")
            return ("*2\r\n$3\r\nGET\r\n" + key).size();
        return ("*3\r\n$3\r\nSET\r\n" + key + fmt::format("${}\r\n", bytes)).size() +
               static_cast<std::uint64_t>(bytes) + 2;
    }
};

Load start_redis(const Site& site, const RedisRun& run) {
    const std::string socket = site.directory / "redis.sock";
    Load load;
    load.processes.push_back(start(
        site.place.command({"redis-server", "--port", "6379", "--bind", "127.0.0.1", "--unixsocket",
                            socket, "--save", "", "--appendonly", "no", "--dir", site.directory})));
    await_listener(*load.processes[0], 6379);
    std::vector<std::string> client = {"redis-benchmark",
                                       "-q",
                                       "-n",
                                       "2000000000",
                                       "-t",
                                       run.command,
                                       "-c",
                                       std::to_string(run.connections),
                                       "-P",
                                       std::to_string(run.pipeline),
                                       "-d",
                                       std::to_string(run.bytes)};
    if (site.way == Way::unix_socket)
        client.insert(client.end(), {"-s", socket});
    load.processes.push_back(start(site.place.command(client)));
    load.progress = [server = load.processes[0]->pid(), each = run.request_bytes()] {
        return bytes_read_by(server) / each;
    };
    return load;
}

Load start_memcached(const Site& site, int connections, int bytes) {
    Load load;
    load.processes.push_back(start(site.place.command(
        {"memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", "11211", "-m", "256"})));
    await_listener(*load.processes[0], 11211);
    load.processes.push_back(start(site.place.command(
        {"memcaslap", "--servers=127.0.0.1:11211", "--threads=1",
         fmt::format("--concurrency={}", connections), fmt::format("--fixed_size={}", bytes),
         "--win_size=1k", "--time=24h"})));
    load.progress = [server = load.processes[0]->pid()] { return bytes_read_by(server); };
    return load;
}

}  // namespace

void measure_redis(Session& session) {
    if (!has_programs(session, "redis", {"redis-server", "redis-benchmark"}))
        return;
    std::vector<RedisRun> runs;
    for (const int bytes : {3, 16000})
        for (const int connections : {1, 50})
            for (const int pipeline : {1, 16})
                runs.push_back({"set", connections, pipeline, bytes});
    runs.push_back({"get", 50, 1, 16000});
    runs.push_back({"set", 1, 64, 16000});
    if (session.is_quick())
        runs = {runs[6]};
    for (const RedisRun& run : runs) {
        Program program{"redis",
                        run.name(),
                        "commands",
                        {Way::plain, Way::accelerated, Way::tutorial, Way::unix_socket},
                        {}};
        program.start = [&run](const Site& site) { return start_redis(site, run); };
        measure_program(session, program);
    }
}

// 90 % get, 10 % set.
void measure_memcached(Session& session) {
    if (!has_programs(session, "memcached", {"memcached", "memcaslap"}))
        return;
    for (const int connections : {1, 50})
        for (const int bytes : {100, 16000}) {
            if (session.is_quick() && (connections == 1 || bytes == 100))
                continue;
            Program program{"memcached",
                            fmt::format("{} connections, {} B", connections, bytes),
                            "bytes",
                            {Way::plain, Way::accelerated, Way::tutorial},
                            {}};
            program.start = [=](const Site& site) {
                return start_memcached(site, connections, bytes);
            };
            measure_program(session, program);
        }
}

}  // namespace sockaccel::bench
