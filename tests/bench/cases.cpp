// SPDX-License-Identifier: GPL-2.0-or-later
// Requests and streams of our own client and server, over the paths that connections take.
#include <algorithm>
#include <memory>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "measures.hpp"
#include "nat_host.hpp"
#include "netns.hpp"

namespace sockaccel::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kKiB = 1024, kMiB = 1024 * kKiB;
constexpr milliseconds kWarmUp{10};  // of each connection in turn
constexpr milliseconds kAfterTrial{
    200};                             // what is put aside has been tried, and TCP shows it a while
constexpr seconds kEnrolPatience{6};  // enrolment takes a second and a bit
constexpr unsigned kCasts = 6;

const std::vector<Way> kNearWays = {Way::plain, Way::accelerated, Way::tutorial, Way::unix_socket,
                                    Way::pipes};
const std::vector<Way> kNearStreamWays = {Way::plain, Way::accelerated, Way::tutorial,
                                          Way::unix_socket};
const std::vector<Way> kFarWays = {Way::plain, Way::accelerated, Way::tutorial};

struct Path {
    std::string name;
    Route route;
    std::vector<Way> ways;
};

Transport transport_of(Way way) {
    if (way == Way::unix_socket)
        return Transport::unix_socket;
    return way == Way::pipes ? Transport::pipes : Transport::tcp;
}

std::vector<Case> cases_of(Pattern pattern, const std::vector<std::size_t>& sizes,
                           Reader reader = Reader::eager) {
    std::vector<Case> cases;
    for (const std::size_t bytes : sizes)
        cases.push_back({pattern, bytes, reader});
    return cases;
}

// Processes and connections of all ways over one path, one for each case.
class Cast {
  public:
    Cast(Session& session, const Path& path, const std::vector<Case>& cases)
        : session_(session), cases_(cases) {
        for (const Way way : path.ways) {
            Route route = path.route;
            route.transport = transport_of(way);
            auto station = std::make_unique<Station>(route);
            move_to(session.rig().cgroup(way, route.waiting), station->pid());
            auto ports = station->connect(cases_.size());
            if (way == Way::accelerated)
                ports_ = std::move(ports);
            stations_.emplace_back(way, std::move(station));
        }
        warm_up();
    }

    void take_turn(Row& row, unsigned turn, std::size_t index, Rig::Bytes& bytes) {
        stop_if_interrupted();
        std::vector<std::pair<Way, Measure>> ways;
        for (const auto& one : stations_)
            ways.emplace_back(one.first, [&, &station = *one.second, way = one.first] {
                Rig::Bytes before;
                const bool is_ours = way == Way::accelerated;
                const Sample sample =
                    run_warm(station, index, cases_[index], session_.sample(), [&] {
                        if (is_ours)
                            before = session_.rig().bytes();
                    });
                if (is_ours) {
                    const Rig::Bytes after = session_.rig().bytes();
                    bytes.redirected += after.redirected - before.redirected;
                    bytes.tcp += after.tcp - before.tcp;
                }
                return sample;
            });
        bench::take_turn(row, turn, ways);
    }

    [[nodiscard]] Standing standing_of(std::size_t index) {
        return session_.rig().standing(
            [&](const Dict& connection) { return client_port(connection) == ports_[index]; });
    }

  private:
    Station& station(Way wanted) {
        return *std::ranges::find(stations_, wanted, [](const auto& one) {
                    return one.first;
                })->second;
    }

    // Each connection with its own traffic, as what is enrolled is decided by that.
    void warm_up() {
        const auto deadline = std::chrono::steady_clock::now() + kEnrolPatience;
        Standing standing;
        do {
            run_each(kWarmUp);
            standing = session_.rig().standing([&](const Dict& connection) {
                return std::ranges::find(ports_, client_port(connection)) != ports_.end();
            });
        } while (!standing.is_settled && std::chrono::steady_clock::now() < deadline);
        if (standing.enrolled < 1)
            run_each(kAfterTrial);
    }

    void run_each(milliseconds duration) {
        for (std::size_t i = 0; i < cases_.size(); ++i) {
            stop_if_interrupted();
            static_cast<void>(station(Way::accelerated).run(i, cases_[i], duration));
        }
    }

    [[nodiscard]] static std::uint16_t client_port(const Dict& connection) {
        return connection.at("client_port").get<std::uint16_t>();
    }

    Session& session_;
    const std::vector<Case>& cases_;
    std::vector<std::pair<Way, std::unique_ptr<Station>>> stations_;
    std::vector<std::uint16_t> ports_;  // of the accelerated way's clients
};

// The same cases, in all ways over one path, by several casts: two connections of one way may
// differ by more than two ways do, for as long as they are.
class Contest {
  public:
    Contest(Session& session, const Path& path, std::vector<Case> cases)
        : session_(session), path_(path), cases_(std::move(cases)), rows_(cases_.size()) {}

    void measure(const std::string& group, Precision precision) {
        const unsigned turns = session_.turns(precision);
        const unsigned each = (turns + kCasts - 1) / kCasts;
        for (unsigned turn = 0; turn < turns; turn += each)
            measure_one(turn, std::min(turn + each, turns));
        for (std::size_t i = 0; i < cases_.size(); ++i) {
            Row& row = rows_[i];
            row.group = group;
            row.name = name_of(cases_[i]);
            row.unit = cases_[i].pattern == Pattern::stream ? "bytes" : "transactions";
            const double all = static_cast<double>(bytes_[i].redirected + bytes_[i].tcp);
            row.redirected = all > 0 ? static_cast<double>(bytes_[i].redirected) / all : 0;
            session_.add(std::move(row));
        }
    }

  private:
    void measure_one(unsigned first, unsigned end) {
        Cast cast(session_, path_, cases_);
        for (unsigned turn = first; turn < end; ++turn)
            for (std::size_t i = 0; i < cases_.size(); ++i)
                cast.take_turn(rows_[i], turn, i, bytes_[i]);
        for (std::size_t i = 0; i < cases_.size(); ++i)
            note(rows_[i], cast.standing_of(i));
    }

    // If one is not enrolled, that is what is told.
    static void note(Row& row, const Standing& standing) {
        if (!row.state.empty() && standing.enrolled >= 1)
            return;
        row.state = standing.state;
        row.reason = standing.reason;
        row.reason_text = standing.reason_text;
        row.enrolled = standing.enrolled;
    }

    [[nodiscard]] std::string name_of(const Case& what) const {
        std::string name = path_.name + ", ";
        if (what.pattern == Pattern::request_response)
            name += std::string(to_string(path_.route.waiting)) + ", ";
        return name + short_size(what.bytes) + (what.reader == Reader::slow ? ", slow reader" : "");
    }

    Session& session_;
    const Path& path_;
    std::vector<Case> cases_;
    std::vector<Row> rows_;
    std::vector<Rig::Bytes> bytes_ = std::vector<Rig::Bytes>(cases_.size());
};

// Over two network namespaces and, if this kernel has it, NAT between them.
void over_far_paths(Session& session, const std::string& group,
                    const std::function<void(const Path&)>& measure) {
    {
        const test::BridgedContainers containers;
        Route route;
        route.client_netns = containers.first.file();
        route.server_netns = containers.second.file();
        route.connect_to = route.listen_at = containers.second_address;
        measure({"bridge", route, kFarWays});
    }
    try {
        const test::NatHost nat;
        test::load_rules(nat.host,
                         fmt::format("chain publish {{ type nat hook prerouting priority -100;\n"
                                     "ip daddr {} tcp dport 1024-65535 dnat to {}; }}\n",
                                     nat.host_to_client, nat.server_address));
        Route route;
        route.client_netns = nat.client.file();
        route.server_netns = nat.server.file();
        route.connect_to = nat.host_to_client;
        route.listen_at = nat.server_address;
        measure({"DNAT", route, kFarWays});
    } catch (const std::runtime_error& error) {
        session.omit(group, "through DNAT", error.what());
    }
}

}  // namespace

void measure_requests(Session& session) {
    const std::vector<std::size_t> sizes =
        session.is_quick() ? std::vector<std::size_t>{64, 16 * kKiB}
                           : std::vector<std::size_t>{1, 64, kKiB, 4 * kKiB, 16 * kKiB, 64 * kKiB};
    const std::vector<Case> cases = cases_of(Pattern::request_response, sizes);
    for (const Waiting waiting : {Waiting::poll, Waiting::epoll, Waiting::blocking}) {
        Route route;
        route.waiting = waiting;
        const Path path{"loopback", route, kNearWays};
        session.rig().tolerate_blocking(waiting == Waiting::blocking);
        Contest(session, path, cases)
            .measure("requests", waiting == Waiting::poll ? Precision::fine : Precision::usual);
    }
    session.rig().tolerate_blocking(false);
    over_far_paths(session, "requests", [&](const Path& path) {
        Contest(session, path, cases).measure("requests", Precision::usual);
    });
}

void measure_streams(Session& session) {
    const std::vector<std::size_t> sizes =
        session.is_quick()
            ? std::vector<std::size_t>{kKiB, 256 * kKiB}
            : std::vector<std::size_t>{64, kKiB, 16 * kKiB, 64 * kKiB, 256 * kKiB, kMiB};
    const Path near{"loopback", {}, kNearStreamWays};
    const std::vector<Case> cases = cases_of(Pattern::stream, sizes);
    Contest(session, near, cases).measure("streams", Precision::fine);
    Contest(session, near, cases_of(Pattern::stream, sizes, Reader::slow))
        .measure("streams", Precision::usual);
    over_far_paths(session, "streams", [&](const Path& path) {
        Contest(session, path, cases).measure("streams", Precision::usual);
    });
}

}  // namespace sockaccel::bench
