// SPDX-License-Identifier: GPL-2.0-or-later
// What it costs to be covered, or to be of a cgroup that a rule selects, where there is nothing to
// gain: connections that carry one request, and streams that are kept in TCP.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "event_loop.hpp"
#include "measures.hpp"
#include "worker.hpp"

namespace sockaccel::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint16_t kCoveredPort = kUncoveredPort + 1;  // the first of them
constexpr std::size_t kMessage = 64;
constexpr std::size_t kBatch = 64U << 10U, kMostMessages = 64;  // buffers have room for it
constexpr int kShorter = 10;     // one process agrees with itself in shorter turns, too
constexpr seconds kPatience{8};  // for the steward to decide

const std::vector<Way> kWays = {Way::plain, Way::accelerated, Way::uncovered, Way::empty,
                                Way::tutorial};
const std::vector<std::size_t> kWrites = {64, 1024, 16384};

// What a worker is told: something for each way.
struct Task {
    std::uint32_t kind;
    Way way;

    [[nodiscard]] std::uint32_t number() const {
        return kind * static_cast<std::uint32_t>(kWays.size()) +
               static_cast<std::uint32_t>(std::ranges::find(kWays, way) - kWays.begin());
    }
    [[nodiscard]] std::uint16_t port() const {
        return static_cast<std::uint16_t>(way == Way::uncovered ? kUncoveredPort
                                                                : kCoveredPort + number());
    }
};

Task task_of(std::uint32_t number) {
    const auto ways = static_cast<std::uint32_t>(kWays.size());
    return {number / ways, kWays[number % ways]};
}

void send_whole(const Fd& socket, std::size_t bytes) {
    static const std::array<char, kBatch> kBytes{};
    if (::send(socket.get(), kBytes.data(), bytes, MSG_NOSIGNAL) != static_cast<ssize_t>(bytes))
        throw StationError("a message does not fit");
}

void receive_whole(const Fd& socket, std::size_t bytes) {
    static std::array<char, kBatch> buffer;
    while (bytes > 0) {
        const ssize_t got = ::recv(socket.get(), buffer.data(), bytes, 0);
        if (got == 0)
            throw StationError("a connection has ended");
        if (got < 0 && errno == EAGAIN)
            continue;  // what is on its way comes without this process's help
        bytes -= static_cast<std::size_t>(check(static_cast<int>(got), "receive"));
    }
}

Worker::Act begin_connects() {
    auto listeners = std::make_shared<std::map<std::uint32_t, Fd>>();
    return [listeners](std::uint32_t what) -> std::uint64_t {
        Fd& listener = (*listeners)[what];
        if (!listener)
            listener = listen_at(task_of(what).port());
        // The server's end is closed first, so that it, and not the client's port, waits in
        // TIME_WAIT.
        const std::pair<Fd, Fd> ends = connect_through(listener);
        const auto& [client, server] = ends;
        send_whole(client, kMessage);
        receive_whole(server, kMessage);
        send_whole(server, kMessage);
        receive_whole(client, kMessage);
        return 1;
    };
}

std::pair<Fd, Fd> stream_of(std::uint16_t port) {
    auto ends = connect_through(listen_at(port));
    for (const Fd* end : {&ends.first, &ends.second})
        check(::fcntl(end->get(), F_SETFL, O_NONBLOCK), "make a socket non-blocking");
    const int on = 1;  // or the rest of a batch would wait for an acknowledgement
    ::setsockopt(ends.first.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return ends;
}

Worker::Act begin_streams() {
    auto streams = std::make_shared<std::map<std::uint32_t, std::pair<Fd, Fd>>>();
    return [streams](std::uint32_t what) -> std::uint64_t {
        const Task task = task_of(what);
        auto& [client, server] = (*streams)[what];
        if (!client)
            std::tie(client, server) = stream_of(task.port());
        const std::size_t bytes = kWrites[task.kind],
                          all = bytes * std::min(kMostMessages, kBatch / bytes);
        for (std::size_t sent = 0; sent < all; sent += bytes)
            send_whole(client, bytes);
        receive_whole(server, all);
        return all;
    };
}

// In many more and shorter turns than usual.
void take_turns(Session& session, Worker& worker, std::uint32_t kind, Row& row) {
    const milliseconds sample = session.sample() / kShorter;
    std::vector<std::pair<Way, Measure>> ways;
    for (const Way way : kWays)
        ways.emplace_back(way, [&, sample, task = Task{kind, way}] {
            worker.move_to(session.rig().cgroup(task.way));
            static_cast<void>(worker.run(task.number(), sample / 10));
            return worker.run(task.number(), sample);
        });
    for (unsigned turn = 0; turn < session.turns(Precision::fine) * kShorter; ++turn) {
        stop_if_interrupted();
        take_turn(row, turn, ways);
    }
}

// Until the steward has put the stream aside.
void await_standing(Session& session, Worker& worker, const Task& task, Row& row) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    Standing standing;
    worker.move_to(session.rig().cgroup(task.way));
    do {
        stop_if_interrupted();
        static_cast<void>(worker.run(task.number(), milliseconds(100)));
        standing = session.rig().standing([&](const Dict& connection) {
            return connection.at("server_port").get<std::uint16_t>() == task.port();
        });
    } while (!standing.is_settled && std::chrono::steady_clock::now() < deadline);
    row.state = standing.state;
    row.reason = standing.reason;
    row.reason_text = standing.reason_text;
    row.enrolled = standing.enrolled;
}

}  // namespace

void measure_connects(Session& session) {
    Worker worker(session.rig().cgroup(Way::plain), "connects", begin_connects);
    Row row;
    row.group = "connects";
    row.name = "one request of 64B";
    row.unit = "connections";
    take_turns(session, worker, 0, row);
    session.add(std::move(row));
}

void measure_kept(Session& session) {
    Worker worker(session.rig().cgroup(Way::plain), "kept", begin_streams);
    for (std::uint32_t kind = 0; kind < kWrites.size(); ++kind) {
        Row row;
        row.group = "kept";
        row.name = "writes of " + short_size(kWrites[kind]);
        row.unit = "bytes";
        await_standing(session, worker, {kind, Way::accelerated}, row);
        take_turns(session, worker, kind, row);
        session.add(std::move(row));
    }
}

}  // namespace sockaccel::bench
