// SPDX-License-Identifier: GPL-2.0-or-later
// Real programs, in covered cgroups, are really redirected.
#include <algorithm>
#include <string>

#include "kernel_test.hpp"

namespace sockaccel::test {
namespace {

std::string output_of(const Process& process) {
    return process.standard_output() + process.standard_error();
}

// Each test in a network namespace of its own: the ports are free.
class Programs : public KernelTest {
  protected:
    Programs() { start_daemon(usual_policy()); }

    void wait_for_enrolled(std::size_t count, const Process& program) {
        ASSERT_TRUE(wait_until([this, count] {
            const auto all = connections();
            return static_cast<std::size_t>(std::count_if(
                       all.begin(), all.end(),
                       [](const Seen& seen) { return seen.state == "enrolled"; })) >= count;
        })) << connections_text()
            << output_of(program);
    }

    [[nodiscard]] std::string connections_text() {
        std::string text;
        for (const Seen& seen : connections())
            text += seen.text() + "\n";
        return text;
    }

    const Netns netns_;
    const Place client_place_{client_, netns_}, server_place_{server_, netns_};
};

TEST_F(Programs, RedisIsRedirected) {
    Process server(server_place_.command({"redis-server", "--port", "6379", "--bind", "127.0.0.1",
                                          "--save", "", "--appendonly", "no", "--dir", "/tmp"}));
    ASSERT_TRUE(wait_until([&server] {
        return !server.runs() || output_of(server).find("Ready to accept") != std::string::npos;
    }));
    ASSERT_TRUE(server.runs()) << output_of(server);
    Process benchmark(client_place_.command({"redis-benchmark", "-p", "6379", "-c", "10", "-n",
                                             "100000000", "-d", "1000", "-t", "set", "-q"}));
    wait_for_enrolled(10, benchmark);
    ASSERT_TRUE(wait_until([this] { return counters().at("redirected_messages") > 20000; },
                           std::chrono::seconds(20)))
        << connections_text();
    const Counts counts = counters();
    const double redirected = static_cast<double>(counts.at("redirected_bytes"));
    const double tcp = static_cast<double>(counts.at("tcp_bytes"));
    RecordProperty("redirected_percent", static_cast<int>(100 * redirected / (redirected + tcp)));
    EXPECT_GE(redirected / (redirected + tcp), 0.9) << connections_text();
    EXPECT_TRUE(server.runs() && benchmark.runs()) << output_of(server) << output_of(benchmark);
}

TEST_F(Programs, Iperf3With64KiBWritesIsRedirected) {
    Process server(server_place_.command({"iperf3", "--server", "--one-off", "--forceflush"}));
    ASSERT_TRUE(wait_until([&server] {
        return !server.runs() || output_of(server).find("listening") != std::string::npos;
    }));
    ASSERT_TRUE(server.runs()) << output_of(server);
    // A rate that the reader can follow on a busy machine, too: a full queue would hand over to
    // TCP.
    Process client(client_place_.command(
        {"iperf3", "--client", "127.0.0.1", "--length", "64K", "--time", "5", "--bitrate", "2G"}));
    wait_for_enrolled(1, client);
    const auto status = client.wait(std::chrono::seconds(20));
    ASSERT_TRUE(status) << "the client does not end: " << output_of(client);
    EXPECT_EQ(*status, 0) << output_of(client) << output_of(server);
    const Counts counts = counters();
    EXPECT_GE(counts.at("redirected_bytes"), 64U << 20) << output_of(client);
    EXPECT_GE(counts.at("redirected_bytes"), counts.at("tcp_bytes")) << output_of(client);
}

}  // namespace
}  // namespace sockaccel::test
