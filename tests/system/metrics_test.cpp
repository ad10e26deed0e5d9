// SPDX-License-Identifier: GPL-2.0-or-later
// sockaccel.socket: metrics for whoever may connect, read by another project's parser.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <map>
#include <thread>

#include "system_test.hpp"

namespace sockaccel::test {
namespace {

constexpr const char* kSocket = "/run/sockaccel-metrics.sock";

// Prints each sample as "name{label=value,...} value" and fails where the text is not OpenMetrics.
constexpr const char* kParser = R"(
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    if not family.documentation:
        sys.exit(f"{family.name} has no HELP")
    if not family.name.startswith("sockaccel_"):
        sys.exit(f"{family.name} is not ours")
    for sample in family.samples:
        labels = ",".join(f"{name}={sample.labels[name]}" for name in sorted(sample.labels))
        if sample.value == int(sample.value):
            print(f"{sample.name}{{{labels}}} {int(sample.value)}")
)";

using Samples = std::map<std::string, std::uint64_t>;

Outcome curl(const Arguments& more) {
    Arguments command = {"curl", "--silent", "--show-error", "--fail", "--max-time", "20"};
    command.insert(command.end(), more.begin(), more.end());
    return run_program(command);
}

Samples parse(const std::string& text) {
    const std::string file = "/run/metrics.txt";
    std::ofstream(file) << text;
    const std::string lines =
        succeed({"sh", "-c", "exec /usr/bin/python3 -c \"$0\" <\"$1\"", kParser, file});
    Samples samples;
    std::istringstream stream(lines);
    for (std::string line; std::getline(stream, line);) {
        const std::size_t space = line.rfind(' ');
        samples[line.substr(0, space)] = std::stoull(line.substr(space + 1));
    }
    return samples;
}

class Metrics : public SystemTest {
  protected:
    static Samples scrape() {
        const Outcome outcome = curl({"--unix-socket", kSocket, "http://localhost/metrics"});
        if (outcome.status != 0)
            throw std::runtime_error("curl: " + outcome.error);
        return parse(outcome.output);
    }

    static Fd connect_to_socket() {
        Fd client(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
                        "make a socket"));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::string(kSocket).copy(address.sun_path, sizeof address.sun_path - 1);
        // Nobody waits: a full backlog is EAGAIN, which is fine for a flood.
        static_cast<void>(
            ::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
        return client;
    }

    static bool is_ended_by_peer(const Fd& client) {
        char byte = 0;
        const ssize_t got = ::recv(client.get(), &byte, 1, MSG_DONTWAIT);
        return got == 0 || (got < 0 && errno != EAGAIN);
    }
};

TEST_F(Metrics, TheSocketStartsTheServiceAndServesWhatAParserTakes) {
    start_unit("client.service");
    start_unit("server.service");
    write_policy(rule("pair", {"system.slice/client.service", "system.slice/server.service"}));
    systemctl({"start", kSocketUnit});
    struct stat status {};
    ASSERT_EQ(::stat(kSocket, &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0660U);
    EXPECT_EQ(property(kService, "ActiveState"), "inactive");

    Samples samples = scrape();
    EXPECT_EQ(property(kService, "ActiveState"), "active");
    EXPECT_EQ(samples["sockaccel_pairs_limit{}"], 65536U);
    EXPECT_EQ(samples["sockaccel_payload_bytes_total{path=redirected,rule=pair}"], 0U);
    EXPECT_NE(property(kService, "StatusText").find("metrics served"), std::string::npos);

    TcpPair pair =
        connect_pair({.client = place_of("client.service"), .server = place_of("server.service")});
    warm_up(pair);
    exchange_bytes(pair, {.to_server = 1U << 20U, .to_client = 1U << 20U});
    EXPECT_TRUE(wait_until([&] {
        samples = scrape();
        return samples["sockaccel_payload_bytes_total{path=redirected,rule=pair}"] ==
               redirected_bytes("pair");
    }));
    EXPECT_GT(samples["sockaccel_payload_bytes_total{path=redirected,rule=pair}"], 0U);
    EXPECT_EQ(samples["sockaccel_rule_enrolled_total{rule=pair}"], 1U);
    EXPECT_EQ(samples["sockaccel_rule_state{rule=pair,sockaccel_rule_state=active}"], 1U);
    EXPECT_EQ(samples["sockaccel_rule_state{rule=pair,sockaccel_rule_state=refused}"], 0U);
    EXPECT_EQ(samples["sockaccel_pairs{}"], 1U);
}

TEST_F(Metrics, AnAnswerNamesItsTypeAndOtherRequestsAreErrors) {
    systemctl({"start", kSocketUnit});
    const Outcome heading = curl({"--unix-socket", kSocket, "--head", "http://localhost/metrics"});
    EXPECT_NE(heading.output.find(
                  "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
              std::string::npos)
        << heading.output << heading.error;
    const Outcome other = curl({"--unix-socket", kSocket, "http://localhost/"});
    EXPECT_NE(other.error.find("404"), std::string::npos) << other.error;
    const Outcome post =
        curl({"--unix-socket", kSocket, "--data", "x", "http://localhost/metrics"});
    EXPECT_NE(post.error.find("405"), std::string::npos) << post.error;
}

TEST_F(Metrics, WhoAsksForPlainTextGetsThatOfPrometheusWhichPromtoolTakes) {
    write_policy(rule("pair", {"system.slice/client.service"}));
    systemctl({"start", kSocketUnit});
    const Outcome answer = curl({"--unix-socket", kSocket, "--include", "--header",
                                 "Accept: text/plain", "http://localhost/metrics"});
    EXPECT_NE(answer.output.find("Content-Type: text/plain; version=0.0.4; charset=utf-8"),
              std::string::npos)
        << answer.output << answer.error;
    EXPECT_NE(answer.output.find("Vary: Accept"), std::string::npos);
    EXPECT_EQ(succeed({"sh", "-c",
                       "curl --silent --fail --unix-socket \"$0\" --header 'Accept: text/plain' "
                       "http://localhost/metrics | promtool check metrics 2>&1",
                       kSocket}),
              "");
}

// A process that has all descriptors of this one, for more of them than one process may have.
class Keeper {
  public:
    Keeper() : pid_(check(::fork(), "make a process")) {
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (;;)
                ::pause();
        }
    }
    ~Keeper() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    Keeper(const Keeper&) = delete;
    Keeper& operator=(const Keeper&) = delete;

  private:
    pid_t pid_;
};

// The least of several: others use this machine, too. An answer is made anew after 250 ms.
TEST_F(Metrics, AScrapeOfTenThousandConnectionsTakesLessThanFiveMilliseconds) {
    constexpr std::size_t kConnections = 10000;
    start_unit("client.service");
    start_unit("server.service");
    write_policy(rule("pair", {"system.slice/client.service", "system.slice/server.service"}));
    systemctl({"start", kSocketUnit});
    EXPECT_EQ(scrape().at("sockaccel_rule_connections{rule=pair,state=paired}"), 0U);
    succeed({"sockaccelctl", "pause"});  // else they were enrolled
    const Listener listener(
        {.client = place_of("client.service"), .server = place_of("server.service")});
    const auto make_half = [&] {
        std::vector<TcpPair> pairs = listener.connect(kConnections / 2);
        for (TcpPair& pair : pairs)
            converse(pair, {.turns = 5});
        return pairs;
    };
    std::vector<TcpPair> pairs = make_half();
    const Keeper keeper;
    pairs.clear();
    pairs = make_half();
    double least = 1000;  // seconds
    for (int turn = 0; turn < 10; ++turn) {
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        const Outcome outcome = curl({"--output", "/dev/null", "--write-out", "%{time_total}",
                                      "--unix-socket", kSocket, "http://localhost/metrics"});
        ASSERT_EQ(outcome.status, 0) << outcome.error;
        least = std::min(least, std::stod(outcome.output));
    }
    EXPECT_LT(least, 0.005 * slowness());
    const Samples samples = scrape();
    EXPECT_EQ(samples.at("sockaccel_rule_connections{rule=pair,state=paired}"), kConnections);
    std::uint64_t not_enrolled = 0;
    for (const auto& [name, value] : samples)
        if (name.starts_with("sockaccel_rule_not_enrolled{"))
            not_enrolled += value;
    EXPECT_EQ(not_enrolled, kConnections);
    succeed({"sockaccelctl", "resume"});
}

TEST_F(Metrics, ADropInAddsATcpPort) {
    write_drop_in(kSocketUnit, "[Socket]\nListenStream=127.0.0.1:9469\n");
    systemctl({"start", kSocketUnit});
    const Outcome outcome = curl({"http://127.0.0.1:9469/metrics"});
    ASSERT_EQ(outcome.status, 0) << outcome.error;
    EXPECT_EQ(parse(outcome.output).at("sockaccel_pairs{}"), 0U);
    EXPECT_EQ(scrape().at("sockaccel_pairs{}"), 0U);
}

TEST_F(Metrics, WithoutTheSocketNobodyIsServedAndTheStatusSaysSo) {
    systemctl({"start", kService});
    EXPECT_FALSE(std::filesystem::exists(kSocket));
    EXPECT_NE(property(kService, "StatusText").find("no metrics"), std::string::npos);
}

// More clients than are served at once, who send nothing, half a request, garbage, or a header that
// does not end.
TEST_F(Metrics, AFloodOfBadClientsHarmsNobodyAndEnds) {
    systemctl({"start", kSocketUnit, kService});
    std::vector<Fd> clients;
    const std::string header = "GET /metrics HTTP/1.1\r\nX: " + std::string(100000, 'x');
    for (int number = 0; number < 60; number++) {
        clients.push_back(connect_to_socket());
        const std::string text = number % 4 == 0   ? ""
                                 : number % 4 == 1 ? "GET /metr"
                                 : number % 4 == 2 ? std::string(1000, '\xff')
                                                   : header;
        static_cast<void>(
            ::send(clients.back().get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
    }
    const auto before = std::chrono::steady_clock::now();
    EXPECT_EQ(ask("status").at("version").get<std::string>(), SOCKACCEL_VERSION);
    EXPECT_LT(std::chrono::steady_clock::now() - before, slowness() * std::chrono::seconds(2));
    // All get their turn: sixteen at a time, each for a few seconds.
    EXPECT_TRUE(
        wait_until([&] { return std::all_of(clients.begin(), clients.end(), is_ended_by_peer); },
                   slowness() * std::chrono::seconds(60)));
    EXPECT_EQ(scrape().at("sockaccel_pairs{}"), 0U);
    EXPECT_EQ(property(kService, "NRestarts"), "0");
}

// A byte now and then keeps libmicrohttpd's own time-out away.
TEST_F(Metrics, AClientThatTricklesIsCutOff) {
    systemctl({"start", kSocketUnit, kService});
    const Fd client = connect_to_socket();
    const auto end = std::chrono::steady_clock::now() + slowness() * std::chrono::seconds(30);
    bool is_cut_off = false;
    while (!is_cut_off && std::chrono::steady_clock::now() < end) {
        is_cut_off = ::send(client.get(), "G", 1, MSG_NOSIGNAL) < 0 || is_ended_by_peer(client);
        std::this_thread::sleep_for(std::chrono::seconds(1));
    }
    EXPECT_TRUE(is_cut_off);
}

}  // namespace
}  // namespace sockaccel::test
