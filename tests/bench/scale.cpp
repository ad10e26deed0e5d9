// SPDX-License-Identifier: GPL-2.0-or-later
// How the daemon's work grows with connections and rules.
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <thread>

#include <fmt/format.h>

#include "crowd.hpp"
#include "measures.hpp"
#include "temporary_directory.hpp"

namespace sockaccel::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kMemoryOfEach = 16384;  // a generous guess, to know whether they fit

double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

// A socket of the service manager's, that the daemon serves its metrics on.
class MetricsSocket {
  public:
    MetricsSocket()
        : listener_(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "make a socket")) {
        const std::string path = directory_.path() / "metrics";
        std::strncpy(address_.sun_path, path.c_str(), sizeof address_.sun_path - 1);
        check(::bind(listener_.get(), generic_address(), sizeof address_), "bind to " + path);
        check(::listen(listener_.get(), 16), "listen at " + path);
    }

    [[nodiscard]] int fd() const { return listener_.get(); }

    void scrape() const {
        const Fd socket(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "make a socket"));
        check(::connect(socket.get(), generic_address(), sizeof address_), "connect for metrics");
        const std::string request =
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        check(static_cast<int>(::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL)),
              "ask for metrics");
        std::array<char, 65536> buffer{};
        std::size_t all = 0;
        while (const int count =
                   check(static_cast<int>(::recv(socket.get(), buffer.data(), buffer.size(), 0)),
                         "read metrics"))
            all += static_cast<std::size_t>(count);
        if (all < 1000)
            throw std::runtime_error("these are no metrics");
    }

  private:
    [[nodiscard]] const sockaddr* generic_address() const {
        return reinterpret_cast<const sockaddr*>(&address_);
    }

    TemporaryDirectory directory_;
    sockaddr_un address_{AF_UNIX, {}};
    Fd listener_;
};

// All rules select the cgroup; the first one, by its ports, the connections.
std::string policy(const test::TestCgroup& cgroup, std::size_t rules, const char* queue) {
    std::string text = "[limits]\nconnections = 131072\n";
    for (std::size_t i = 0; i < rules; ++i)
        text += fmt::format(
            "[[rule]]\nname = \"r{}\"\ncgroups = [\"{}\"]\nports = [\"{}-{}\"]\nprove = \"0s\"\n"
            "tolerate = [\"fionread\", \"splice\", \"waitall\"]\nqueue = \"{}\"\n",
            100 + i, cgroup.path(), i == 0 ? 1000 : i, i == 0 ? 65535 : i, queue);
    return text;
}

// One number of rules.
class Growth {
  public:
    Growth(Session& session, std::size_t rules)
        : session_(session),
          rules_(rules),
          daemon_(policy(cgroup_, rules, "1MiB"), {}, test::PrivateBus::Kind::open, nullptr,
                  {{"metrics", metrics_.fd()}}) {
        for (Series* series : {&enrolled, &pass, &listing, &scrape, &reload})
            series->name = fmt::format("{} rule{}", rules, rules == 1 ? "" : "s");
    }

    void measure(std::size_t count) {
        Crowd crowd(cgroup_, count);
        const double x = static_cast<double>(count);
        const auto [longest, pairs] = enrol(crowd);
        enrolled.points.push_back({x, {pairs}});
        pass.points.push_back({x, {longest}});
        listing.points.push_back({x, repeat([&] {
                                      const auto begin = Clock::now();
                                      static_cast<void>(daemon_.connections());
                                      return seconds_since(begin);
                                  })});
        // What an answer counts is done after it, for the next one.
        scrape.points.push_back(
            {x, repeat([&] {
                 const auto before = cpu_of(daemon_.pid());
                 metrics_.scrape();
                 std::this_thread::sleep_for(milliseconds(300));
                 return std::chrono::duration<double>(cpu_of(daemon_.pid()) - before).count();
             })});
        bool is_large = false;
        reload.points.push_back({x, repeat([&] {
                                     is_large = !is_large;
                                     daemon_.write_policy(
                                         policy(cgroup_, rules_, is_large ? "2MiB" : "1MiB"));
                                     const auto begin = Clock::now();
                                     daemon_.manager().Reload();
                                     return seconds_since(begin);
                                 })});
        session_.tell(fmt::format("scale: {} rules, {} connections: {} enrolled, pass {:.1f} ms",
                                  rules_, count, pairs, 1e3 * longest));
    }

    Series enrolled, pass, listing, scrape, reload;

  private:
    // The longest of the steward's passes meanwhile, and how many are enrolled in the end.
    std::pair<double, double> enrol(Crowd& crowd) {
        const auto patience = session_.is_quick() ? seconds(6) : seconds(80);
        const auto begin = Clock::now();
        std::uint64_t longest = 0;
        std::uint32_t pairs = 0;
        while (pairs < crowd.size() && Clock::now() - begin < patience) {
            stop_if_interrupted();
            crowd.converse();
            std::this_thread::sleep_for(milliseconds(50));
            const Dict status = daemon_.status();
            longest = std::max(longest, status.at("pass_usec").get<std::uint64_t>());
            pairs = status.at("pairs").get<std::uint32_t>();
        }
        return {static_cast<double>(longest) / 1e6, static_cast<double>(pairs)};
    }

    template <typename Action>
    [[nodiscard]] std::vector<double> repeat(Action action) const {
        std::vector<double> values;
        for (int i = 0; i < (session_.is_quick() ? 2 : 5); ++i)
            values.push_back(action());
        stop_if_interrupted();
        return values;
    }

    Session& session_;
    std::size_t rules_;
    test::TestCgroup cgroup_;
    MetricsSocket metrics_;
    test::Daemon daemon_;
};

}  // namespace

void measure_scale(Session& session) {
    session.end_rig();
    std::vector<std::size_t> counts = {1000, 10000, 100000}, rules = {1, 16, 64};
    if (session.is_quick()) {
        counts = {200, 1000};
        rules = {1, 64};
    }
    if (host_memory("MemAvailable") < kMemoryOfEach * counts.back()) {
        session.omit("scale", fmt::format("{} connections", counts.back()), "too little memory");
        counts.pop_back();
    }
    std::array<Curve, 5> curves = {
        Curve{"scale",
              "The steward's longest pass while they become enrolled: CPU time",
              "s",
              "connections",
              {}},
        Curve{"scale",
              "Listing connections (of which 2,700 at most are told): time",
              "s",
              "connections",
              {}},
        Curve{"scale",
              "A scrape of the metrics: CPU time of the daemon in the next 0.3 s",
              "s",
              "connections",
              {}},
        Curve{"scale", "A reload: time until its answer", "s", "connections", {}},
        Curve{"scale", "Enrolled in the end", "", "connections", {}}};
    for (const std::size_t number : rules) {
        Growth growth(session, number);
        for (const std::size_t count : counts)
            growth.measure(count);
        std::array<Series*, 5> series = {&growth.pass, &growth.listing, &growth.scrape,
                                         &growth.reload, &growth.enrolled};
        for (std::size_t i = 0; i < curves.size(); ++i)
            curves[i].series.push_back(std::move(*series[i]));
    }
    for (Curve& curve : curves)
        session.add(std::move(curve));
}

}  // namespace sockaccel::bench
