// SPDX-License-Identifier: GPL-2.0-or-later
// A reader with edge-triggered epoll that takes a short read for "drained", as nginx and tokio do,
// gets every byte, also where redirected data and data by TCP meet in one read.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <thread>

#include "kernel_test.hpp"

namespace sockaccel::test {
namespace {

using Clock = std::chrono::steady_clock;

// Reads only when an edge was told, and then until a read is shorter than asked for.
class EdgeReader {
  public:
    explicit EdgeReader(End& end, std::uint32_t mode = EPOLLET)
        : end_(end), epoll_(check(::epoll_create1(EPOLL_CLOEXEC), "make an epoll")) {
        epoll_event event{};
        event.events = EPOLLIN | mode;
        check(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, end.fd(), &event), "watch a socket");
    }

    // Takes one edge within the time, and reads; false if none came.
    bool take(std::chrono::milliseconds timeout, std::size_t bytes = 65536) {
        epoll_event event{};
        if (check(::epoll_wait(epoll_.get(), &event, 1, static_cast<int>(timeout.count())),
                  "wait for an edge") == 0)
            return false;
        while (end_.receive(bytes) == bytes) {
        }
        return true;
    }

    // Until all of `bytes` are there; the longest time without an edge. Throws nothing: the caller
    // compares.
    std::chrono::milliseconds read_until(std::uint64_t bytes, std::chrono::milliseconds patience) {
        std::chrono::milliseconds longest{0};
        while (end_.received() < bytes) {
            const auto begin = Clock::now();
            if (!take(patience))
                return patience;
            longest = std::max(longest, std::chrono::duration_cast<std::chrono::milliseconds>(
                                            Clock::now() - begin));
        }
        return longest;
    }

  private:
    End& end_;
    Fd epoll_;
};

constexpr std::chrono::seconds kPatienceForAnEdge{4};

class Edge : public KernelTest {
  protected:
    // More than the queue holds, and then silence: the sender waits for an answer. The first
    // message may be the one that goes by TCP for conntrack's sake, and what follows it then does,
    // too; not twice.
    void fill_beyond_the_queue(TcpPair& pair, EdgeReader& reader) {
        Seen before = look(pair);
        ASSERT_EQ(pair.client.send(50000), 50000U);
        if (look(pair).client.reasons["conntrack"] > before.client.reasons["conntrack"]) {
            reader.read_until(pair.client.sent(), kPatienceForAnEdge);
            before = look(pair);
        }
        std::uint64_t sent = 0;
        while (sent < (600 << 10)) {
            const std::size_t taken = pair.client.send(50000);
            if (taken == 0)
                break;
            sent += taken;
        }
        const Seen after = look(pair);
        ASSERT_GT(after.client.redirected_bytes, before.client.redirected_bytes) << after.text();
        ASSERT_GT(after.client.tcp_bytes, before.client.tcp_bytes) << after.text();
    }

    void expect_all_read_at_a_full_queue(Route route, const std::string& more) {
        start_daemon(usual_policy("queue = \"256KiB\"\n" + more));
        TcpPair pair = connect_pair(route);
        EdgeReader reader(pair.server);
        warm_up_by(reader, pair);
        fill_beyond_the_queue(pair, reader);
        const auto longest = reader.read_until(pair.client.sent(), kPatienceForAnEdge);
        EXPECT_EQ(pair.server.received(), pair.client.sent())
            << "the reader waits for an edge; " << look(pair).text();
        EXPECT_LT(longest, std::chrono::milliseconds(2500));
        // That was once too often.
        BackgroundTraffic traffic(std::span(&pair, 1));
        EXPECT_TRUE(wait_until([&] {
            const auto seen = find(pair);
            return seen && seen->state == "paired" && seen->reason == "edge-triggered";
        })) << look(pair).text();
        std::this_thread::sleep_for(std::chrono::seconds(3));
        EXPECT_EQ(look(pair).reason, "edge-triggered");
        traffic.stop();
        expect_plain(pair);
    }

    // Conversation until it is enrolled, through the reader's epoll.
    void warm_up_by(EdgeReader& reader, TcpPair& pair) {
        const auto deadline = Clock::now() + slowness() * std::chrono::seconds(10);
        while (look_for_state(pair) != "enrolled") {
            ASSERT_LT(Clock::now(), deadline);
            for (int turn = 0; turn < 10; turn++) {
                ASSERT_EQ(pair.client.send(100), 100U);
                reader.read_until(pair.client.sent(), kPatienceForAnEdge);
                ASSERT_EQ(pair.server.send(100), 100U);
                read_all(pair);
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
    }

    std::string look_for_state(const TcpPair& pair) {
        const auto seen = find(pair);
        return seen ? seen->state : "";
    }
};

TEST_F(Edge, AReaderGetsEverythingWhenTheQueueWasFull) {
    expect_all_read_at_a_full_queue(covered_route(), "");
}

// Both messages have arrived when it reads, so no later segment wakes it by chance: the queue takes
// one, and the receive buffer has room for the other.
TEST_F(Edge, AReaderGetsTheLastMessageWhereNoMoreSegmentComes) {
    start_daemon(usual_policy("queue = \"64KiB\""));
    TcpPair pair = connect_pair(covered_route());
    EdgeReader reader(pair.server);
    warm_up_by(reader, pair);
    const Seen before = look(pair);
    ASSERT_EQ(pair.client.send(40000), 40000U);
    ASSERT_EQ(pair.client.send(40000), 40000U);
    const Seen after = look(pair);
    ASSERT_EQ(after.client.redirected_bytes - before.client.redirected_bytes, 40000U)
        << after.text();
    ASSERT_EQ(after.client.tcp_bytes - before.client.tcp_bytes, 40000U) << after.text();
    const auto longest = reader.read_until(pair.client.sent(), kPatienceForAnEdge);
    EXPECT_EQ(pair.server.received(), pair.client.sent())
        << "the reader waits for an edge; " << look(pair).text();
    EXPECT_LT(longest, std::chrono::milliseconds(2500));
}

// Both kinds of bytes are unread; the programs that wake it are kept by the service manager.
TEST_F(Edge, AReaderGetsEverythingThoughTheDaemonIsKilled) {
    service_manager_.emplace();
    start_daemon(usual_policy("queue = \"64KiB\""));
    TcpPair pair = connect_pair(covered_route());
    EdgeReader reader(pair.server);
    warm_up_by(reader, pair);
    const Seen before = look(pair);
    ASSERT_EQ(pair.client.send(40000), 40000U);
    ASSERT_EQ(pair.client.send(40000), 40000U);
    ASSERT_EQ(look(pair).client.tcp_bytes - before.client.tcp_bytes, 40000U);
    kill_daemon();
    const auto longest = reader.read_until(pair.client.sent(), kPatienceForAnEdge);
    EXPECT_EQ(pair.server.received(), pair.client.sent()) << "the reader waits for an edge";
    EXPECT_LT(longest, std::chrono::milliseconds(2500));
}

TEST_F(Edge, AReaderInAnotherNetworkNamespaceDoes) {
    const BridgedContainers containers;
    expect_all_read_at_a_full_queue({.client = Place(client_, containers.first),
                                     .server = Place(server_, containers.second),
                                     .address = containers.second_address},
                                    "networks = [\"0.0.0.0/0\"]");
}

TEST_F(Edge, KeepaliveSettingsAreWhatTheProgramMadeThem) {
    start_daemon(usual_policy("queue = \"256KiB\""));
    TcpPair pair = connect_pair(covered_route());
    const auto option = [&pair](int level, int name) {
        int value = -1;
        socklen_t size = sizeof value;
        check(::getsockopt(pair.server.fd(), level, name, &value, &size), "getsockopt");
        return value;
    };
    const auto settings = [&] {
        return std::array<int, 4>{
            option(SOL_SOCKET, SO_KEEPALIVE), option(IPPROTO_TCP, TCP_KEEPIDLE),
            option(IPPROTO_TCP, TCP_KEEPINTVL), option(IPPROTO_TCP, TCP_KEEPCNT)};
    };
    const auto before = settings();
    EdgeReader reader(pair.server);
    warm_up_by(reader, pair);
    fill_beyond_the_queue(pair, reader);
    reader.read_until(pair.client.sent(), kPatienceForAnEdge);
    ASSERT_EQ(pair.server.received(), pair.client.sent());
    EXPECT_TRUE(wait_until([&] { return settings() == before; }));
    converse(pair, {.turns = 20});
    EXPECT_EQ(settings(), before);
}

TEST_F(Edge, AReaderGetsEverythingWhenItsPairLeaves) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    EdgeReader reader(pair.server);
    warm_up_by(reader, pair);
    for (int round = 0; round < 5; round++) {
        ASSERT_EQ(pair.client.send(30000), 30000U);
        reload("");
        ASSERT_EQ(pair.client.send(30000), 30000U);
        reader.read_until(pair.client.sent(), kPatienceForAnEdge);
        EXPECT_EQ(pair.server.received(), pair.client.sent()) << "the reader waits for an edge";
        ASSERT_EQ(pair.server.send(100), 100U);
        read_all(pair);
        reload(usual_policy());
        warm_up_by(reader, pair);
    }
}

TEST_F(Edge, ALevelTriggeredReaderStaysEnrolled) {
    start_daemon(usual_policy("queue = \"256KiB\""));
    TcpPair pair = connect_pair(covered_route());
    EdgeReader reader(pair.server, 0);
    warm_up_by(reader, pair);
    fill_beyond_the_queue(pair, reader);
    reader.read_until(pair.client.sent(), kPatienceForAnEdge);
    EXPECT_EQ(pair.server.received(), pair.client.sent());
    const Seen before = look(pair);
    converse(pair, {.request = 1000, .response = 1000, .turns = 20});
    const Seen after = look(pair);
    EXPECT_EQ(after.state, "enrolled") << after.text();
    EXPECT_EQ(after.redirected_bytes() - before.redirected_bytes(), 40000U) << after.text();
}

}  // namespace
}  // namespace sockaccel::test
