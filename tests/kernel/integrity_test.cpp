// SPDX-License-Identifier: GPL-2.0-or-later
// Every byte arrives, once and in order, while it is redirected.
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <thread>

#include "kernel_test.hpp"

namespace sockaccel::test {
namespace {

class Integrity : public KernelTest {};

struct Family {
    std::string name, address, listen_on;
};

class IntegrityByFamily : public KernelTest, public ::testing::WithParamInterface<Family> {};

TEST_P(IntegrityByFamily, EveryMessageSizeIsRedirectedByteExactBothWays) {
    start_daemon(usual_policy("queue = \"8MiB\""));
    Route route = covered_route();
    route.address = GetParam().address;
    route.listen_on = GetParam().listen_on;
    constexpr std::size_t kKiB = 1024, kMiB = kKiB * kKiB;
    constexpr std::array kSizes{std::size_t{1}, std::size_t{2}, std::size_t{100}, std::size_t{1448},
                                4 * kKiB,       16 * kKiB + 1,  64 * kKiB,        64 * kKiB + 1,
                                256 * kKiB,     kMiB,           4 * kMiB};
    // One for each, as a pair leaves for a moment that begins with large ones.
    std::vector<TcpPair> pairs = Listener(route).connect(kSizes.size());
    warm_up(pairs);
    for (std::size_t i = 0; i < kSizes.size(); i++) {
        const std::size_t size = kSizes[i];
        TcpPair& pair = pairs[i];
        SCOPED_TRACE("messages of " + std::to_string(size) + " bytes");
        const auto turns = static_cast<unsigned>(std::clamp<std::size_t>(32 * kMiB / size, 4, 500));
        const Seen before = look(pair);
        converse(pair, {.request = size, .response = size, .turns = turns});
        const Seen after = look(pair);
        EXPECT_GE(after.redirected_bytes() - before.redirected_bytes(), size * turns)
            << "of " << 2 * size * turns << " bytes: " << after.text();
    }
}

INSTANTIATE_TEST_SUITE_P(, IntegrityByFamily,
                         ::testing::Values(Family{"Ipv4", "127.0.0.1", ""},
                                           Family{"Ipv6", "::1", ""},
                                           Family{"MappedListener", "127.0.0.1", "::"},
                                           Family{"MappedBoth", "::ffff:127.0.0.1", "::"}),
                         [](const auto& test) { return test.param.name; });

// What has no room goes by TCP, which takes an enrolled socket longer than a plain one.
TEST_F(Integrity, AMebibyteAndItsHeaderFitIntoTheDefaultQueue) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    warm_up(pair);
    const Seen before = look(pair);
    constexpr std::size_t kResponse = (1 << 20) + 300;
    EXPECT_EQ(pair.server.send(kResponse), kResponse);
    const Seen after = look(pair);
    EXPECT_EQ(after.redirected_bytes() - before.redirected_bytes(), kResponse) << after.text();
    read_all(pair);
}

TEST_F(Integrity, FullDuplexStreamsAreByteExact) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    warm_up(pair);
    const Seen before = look(pair);
    for (const std::size_t largest : {std::size_t{64}, std::size_t{65536}, std::size_t{4} << 20}) {
        SCOPED_TRACE("writes of up to " + std::to_string(largest) + " bytes");
        const std::uint64_t bytes = largest < 1024 ? 100 << 10 : 64 << 20;
        const Habits habits{.write = {1, largest}, .read = {1, 1 << 20}, .pause_percent = 5};
        exchange_bytes(
            pair, {.to_server = bytes, .to_client = bytes, .client = habits, .server = habits});
    }
    EXPECT_GT(look(pair).redirected_bytes(), before.redirected_bytes()) << look(pair).text();
}

TEST_F(Integrity, FiftyConnectionsInParallelAreByteExact) {
    start_daemon(usual_policy());
    std::vector<TcpPair> pairs = Listener(covered_route()).connect(50);
    warm_up(pairs);
    const Counts before = counters();
    const Habits habits{.write = {1, 65536}, .read = {1, 65536}, .pause_percent = 20};
    constexpr std::uint64_t kBytes = 1 << 20;
    exchange_bytes(pairs,
                   {.to_server = kBytes, .to_client = kBytes, .client = habits, .server = habits},
                   std::chrono::seconds(60));
    const Counts after = counters();
    EXPECT_GE(after.at("redirected_bytes") - before.at("redirected_bytes"), 50 * kBytes)
        << "of " << 100 * kBytes
        << " bytes; left to TCP: " << after.at("tcp_bytes") - before.at("tcp_bytes");
}

TEST_F(Integrity, HalfCloseEndsOneDirectionOnly) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    warm_up(pair);
    flood(pair.client, {.message = 1000, .most = 100000});
    pair.client.shut_down_sending();
    const Seen before = look(pair);
    EXPECT_GT(before.server.queued_bytes, 0U);
    read_all(pair);
    EXPECT_EQ(pair.server.receive(1), 0U);
    EXPECT_TRUE(pair.server.at_eof());
    for (int message = 0; message < 100; message++) {
        ASSERT_EQ(pair.server.send(5000), 5000U);
        read_all(pair);
    }
    EXPECT_FALSE(pair.client.at_eof());
    pair.server.shut_down_sending();
    EXPECT_TRUE(
        wait_until([&pair] { return pair.client.receive(1) == 0 && pair.client.at_eof(); }));
}

// Programs of the simplest kind: write, shut down, wait for the answer, and nobody is O_NONBLOCK.
// Enrolled, most of such readers would be woken by the FIN's acknowledgement, with EAGAIN.
TEST_F(Integrity, BlockingEndsThatHalfCloseGetTheirAnswers) {
    start_daemon(usual_policy());
    const Listener listener(covered_route());
    for (int round = 0; round < 200; round++) {
        SCOPED_TRACE("round " + std::to_string(round));
        TcpPair pair = listener.connect();
        const timeval patience{.tv_sec = 5 * slowness(), .tv_usec = 0};  // lest a fault hang it
        for (End* end : {&pair.client, &pair.server}) {
            end->set_blocking(true);
            check(::setsockopt(end->fd(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience),
                  "SO_RCVTIMEO");
        }
        constexpr std::uint64_t kRequest = 100000;
        std::thread server([&pair] {
            EXPECT_NO_THROW({
                while (!pair.server.at_eof())
                    if (pair.server.receive(65536) == 0 && !pair.server.at_eof())
                        throw TrafficError("EAGAIN on a blocking socket");
                pair.server.send(8);
            });
        });
        while (pair.client.sent() < kRequest)
            ASSERT_GT(pair.client.send(1000), 0U);
        pair.client.shut_down_sending();
        EXPECT_EQ(pair.client.receive(8), 8U);
        server.join();
        EXPECT_EQ(pair.server.received(), kRequest);
        if (HasFailure())
            return;
    }
}

TEST_F(Integrity, DataBeforeACloseArrivesWhole) {
    start_daemon(usual_policy());
    std::vector<TcpPair> pairs = Listener(covered_route()).connect(20);
    warm_up(pairs);
    for (TcpPair& pair : pairs) {
        const Seen before = look(pair);
        const Flooded flooded = flood(pair.client, {.message = 3000, .most = 150000});
        ASSERT_FALSE(flooded.blocked);
        EXPECT_GT(look(pair).redirected_bytes(), before.redirected_bytes());
        pair.client.close();
        read_all(pair);
        EXPECT_TRUE(
            wait_until([&pair] { return pair.server.receive(1) == 0 && pair.server.at_eof(); }));
    }
}

}  // namespace
}  // namespace sockaccel::test
