// SPDX-License-Identifier: GPL-2.0-or-later
// Rules that tolerate "blocking": both ends enter at connect, before anybody can read, and are
// enrolled or let go as others are.
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "kernel_test.hpp"
#include "nat_host.hpp"

namespace sockaccel::test {
namespace {

using namespace std::chrono_literals;

class Blocking : public KernelTest {
  protected:
    [[nodiscard]] std::string tolerant(const std::string& more = {}) const {
        return rule("test", {covered_.path()}, more, "blocking");
    }

    // As a program has them that knows nothing of O_NONBLOCK; a fault shall not hang the test.
    static void block(TcpPair& pair) {
        const timeval patience{.tv_sec = 20 * slowness(), .tv_usec = 0};
        for (End* end : {&pair.client, &pair.server}) {
            end->set_blocking(true);
            for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO})
                check(::setsockopt(end->fd(), SOL_SOCKET, option, &patience, sizeof patience),
                      "set a timeout");
        }
    }
    [[nodiscard]] static TcpPair blocking_pair(const Route& route) {
        TcpPair pair = connect_pair(route);
        block(pair);
        return pair;
    }

    // Requests and answers of ends that sleep in recv(2) until there is something.
    static void ask(TcpPair& pair, std::chrono::milliseconds time) {
        std::atomic<std::uint64_t> last = 0;  // the request that no other follows
        std::thread server([&] {
            EXPECT_NO_THROW({
                for (std::uint64_t turn = 1;; turn++) {
                    receive(pair.server, kRequest);
                    send(pair.server, kAnswer);
                    if (turn == last)
                        return;
                }
            });
        });
        EXPECT_NO_THROW({
            const auto end = std::chrono::steady_clock::now() + time;
            for (std::uint64_t turn = 1; turn - 1 != last || last == 0; turn++) {
                if (std::chrono::steady_clock::now() >= end)
                    last = turn;
                send(pair.client, kRequest);
                receive(pair.client, kAnswer);
            }
        });
        server.join();
    }

    [[nodiscard]] bool becomes(const TcpPair& pair, const std::string& state,
                               const std::string& reason) {
        return wait_until([&] {
            const auto seen = find(pair);
            return seen && seen->state == state && seen->reason == reason;
        });
    }

    static constexpr std::size_t kRequest = 300, kAnswer = 5000;

  private:
    static void send(End& end, std::size_t bytes) {
        for (std::size_t left = bytes; left > 0;) {
            const std::size_t taken = end.send(left);
            if (taken == 0)
                throw TrafficError("a blocking send does not go on");
            left -= taken;
        }
    }
    static void receive(End& end, std::size_t bytes) {
        for (std::size_t left = bytes; left > 0;) {
            const std::size_t got = end.receive(left);
            if (got == 0)
                throw TrafficError("EAGAIN on a blocking socket, or its end");
            left -= got;
        }
    }
};

TEST_F(Blocking, EndsThatSleepInRecvFromTheFirstByteOnAreEnrolled) {
    start_daemon(tolerant());
    std::vector<TcpPair> pairs;
    for (int count = 0; count < 4; count++)
        pairs.push_back(blocking_pair(covered_route()));
    std::vector<std::thread> askers;
    for (TcpPair& pair : pairs)
        askers.emplace_back([&pair] { ask(pair, slowness() * 2000ms); });
    EXPECT_TRUE(wait_until([this] { return counters().at("enrolled") == 4; }));
    for (std::thread& asker : askers)
        asker.join();
    for (const Seen& seen : connections()) {
        EXPECT_EQ(seen.state, "enrolled") << seen.text();
        EXPECT_GT(seen.client.redirected_bytes, 0U) << seen.text();
        EXPECT_GT(seen.server.redirected_bytes, seen.server.tcp_bytes) << seen.text();
    }
}

// What the rule does not tolerate stays as it was.
TEST_F(Blocking, WithoutTheToleranceNoSocketIsTouchedAtConnect) {
    start_daemon(usual_policy());
    TcpPair pair = blocking_pair(covered_route());
    ask(pair, 500ms);
    EXPECT_EQ(look(pair).reason, "blocking");
    expect_plain(pair);
    EXPECT_EQ(status().at("pairs"), 0U);
}

// Of each end one thread sends and another reads. Where the sender has waited and finds room again,
// that wakes the reader, too, with EAGAIN: sockaccel(7). Nothing is lost by it.
TEST_F(Blocking, LargeStreamsOfBlockingEndsArriveWhole) {
    start_daemon(tolerant());
    TcpPair pair = blocking_pair(covered_route());
    constexpr std::uint64_t kBytes = 64 << 20;
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    const auto carry = [deadline](End& from, End& to) {
        std::thread reader([&to, deadline] {
            EXPECT_NO_THROW({
                while (to.received() < kBytes)
                    if (to.receive(1 << 20) == 0 &&
                        (to.at_eof() || std::chrono::steady_clock::now() > deadline))
                        throw TrafficError("the stream ends too early: " + to.text());
            });
        });
        EXPECT_NO_THROW({
            while (from.sent() < kBytes)
                if (from.send(std::min<std::uint64_t>(256 << 10, kBytes - from.sent())) == 0)
                    throw TrafficError("a blocking send does not go on: " + from.text());
        });
        reader.join();
    };
    std::thread there([&] { carry(pair.client, pair.server); });
    carry(pair.server, pair.client);
    there.join();
    EXPECT_EQ(pair.server.received(), kBytes);
    EXPECT_EQ(pair.client.received(), kBytes);
}

TEST_F(Blocking, NonBlockingEndsOfSuchARuleAreEnrolledTheSameWay) {
    start_daemon(tolerant());
    std::vector<TcpPair> pairs = Listener(covered_route()).connect(5);
    warm_up(pairs);
    exchange_bytes(pairs, {.to_server = 1 << 20, .to_client = 1 << 20});
    EXPECT_EQ(counters().at("enrolled"), 5U);
}

// Announced was a listener that the rule does not cover: the client comes out again.
TEST_F(Blocking, AClientWhoseServerIsNotCoveredIsLetGo) {
    start_daemon(tolerant() + rule("others", {other_.path()}));
    TcpPair stranger = blocking_pair({.client = Place(client_), .server = Place(other_)});
    ask(stranger, 500ms);
    EXPECT_TRUE(wait_until([this] { return status().at("pairs") == 0; }));
    expect_untouched(stranger);
    TcpPair covered = blocking_pair(covered_route());
    ask(covered, slowness() * 1500ms);
    EXPECT_EQ(counters().at("enrolled"), 1U);
}

TEST_F(Blocking, NothingIsLeftOfManyShortConnections) {
    start_daemon(tolerant());
    const Listener listener(covered_route());
    for (int count = 0; count < 500; count++) {
        TcpPair brief = listener.connect();
        converse(brief, {.request = 1000, .response = 1000, .turns = 2});
    }
    EXPECT_TRUE(wait_until([this] { return status().at("pairs") == 0; }));
    EXPECT_EQ(counters().at("enrolled"), 0U);
    EXPECT_TRUE(wait_until([this] { return connections().empty(); }));
}

// A log: small writes, one way. An enrolled socket's sendmsg is slower, so it is let go, and as its
// reader blocks it cannot come back.
TEST_F(Blocking, WhatDoesNotGainIsLetGoForGood) {
    start_daemon(tolerant());
    TcpPair pair = blocking_pair(covered_route());
    std::atomic<bool> is_over = false;
    std::thread reader([&pair] {
        EXPECT_NO_THROW({
            while (!pair.server.at_eof())
                pair.server.receive(65536);
        });
    });
    std::thread writer([&] {
        while (!is_over) {
            pair.client.send(100);
            std::this_thread::sleep_for(1ms);
        }
        pair.client.shut_down_sending();
    });
    EXPECT_TRUE(wait_until([this] { return status().at("pairs") == 0; }));
    const std::string reason = look(pair).reason;
    EXPECT_TRUE(reason == "cooling" || reason == "pattern" || reason == "blocking") << reason;
    std::this_thread::sleep_for(2s);
    EXPECT_EQ(status().at("pairs"), 0U);
    is_over = true;
    writer.join();
    reader.join();
    EXPECT_EQ(counters().at("enrolled"), 0U);
}

TEST_F(Blocking, OneWithoutTrafficWaitsForItWithTheGateShut) {
    start_daemon(tolerant());
    TcpPair pair = blocking_pair(covered_route());
    std::this_thread::sleep_for(slowness() * 1500ms);
    EXPECT_EQ(look(pair).reason, "idle");
    EXPECT_EQ(status().at("pairs"), 1U);
    ask(pair, slowness() * 1500ms);
    EXPECT_EQ(counters().at("enrolled"), 1U);
}

TEST_F(Blocking, ConnectionsBeforeTheProofIsOverStayInTcp) {
    start_daemon(rule("test", {covered_.path()}, {}, "blocking"));
    reload("[[rule]]\nname = \"test\"\ncgroups = [\"" + covered_.path() + "\"]\nprove = \"" +
           std::to_string(2 * slowness()) +
           "s\"\ntolerate = [\"fionread\", \"splice\", \"waitall\", \"blocking\"]\n");
    // The proof is of a port.
    const Listener listener(covered_route());
    TcpPair early = listener.connect();
    block(early);
    EXPECT_TRUE(becomes(early, "paired", "blocking")) << look(early).text();
    std::this_thread::sleep_for(slowness() * 2500ms);
    TcpPair late = listener.connect();
    block(late);
    ask(late, slowness() * 1500ms);
    EXPECT_EQ(look(late).state, "enrolled") << look(late).text();
    EXPECT_EQ(look(early).reason, "blocking");
    expect_plain(early);
}

TEST_F(Blocking, AReloadThatEndsTheToleranceEndsIt) {
    start_daemon(tolerant());
    TcpPair pair = connect_pair(covered_route());
    warm_up(pair);
    block(pair);
    std::thread asker([&pair] { ask(pair, slowness() * 3000ms); });
    EXPECT_TRUE(wait_until([&] { return look(pair).redirected_bytes() > 100000; }));
    reload(usual_policy());
    // Redirect ends at once; the pair leaves when both ends are awake for a moment.
    std::this_thread::sleep_for(100ms);
    const std::uint64_t then = counters().at("redirected_bytes");
    std::this_thread::sleep_for(500ms);
    EXPECT_EQ(counters().at("redirected_bytes"), then);
    asker.join();
}

TEST_F(Blocking, APauseHoldsForThemAndForThoseThatComeMeanwhile) {
    start_daemon(tolerant());
    TcpPair pair = connect_pair(covered_route());
    warm_up(pair);
    block(pair);
    std::thread asker([&pair] { ask(pair, slowness() * 3000ms); });
    EXPECT_TRUE(wait_until([&] { return look(pair).redirected_bytes() > 100000; }));
    daemon_->manager().Pause("test");
    const std::uint64_t then = counters().at("redirected_bytes");
    TcpPair other = blocking_pair(covered_route());
    ask(other, 500ms);
    EXPECT_LE(counters().at("redirected_bytes"), then + kRequest + kAnswer);
    asker.join();
    EXPECT_EQ(look(other).redirected_bytes(), 0U);
    daemon_->manager().Resume("test");
}

TEST_F(Blocking, AStopInTheMiddleOfTrafficLosesNothing) {
    start_daemon(tolerant());
    std::vector<TcpPair> pairs = Listener(covered_route()).connect(4);
    warm_up(pairs);
    std::vector<std::thread> askers;
    for (TcpPair& pair : pairs) {
        block(pair);
        askers.emplace_back([&pair] { ask(pair, slowness() * 3000ms); });
    }
    std::this_thread::sleep_for(1s);
    EXPECT_EQ(stop_daemon(), 0);
    for (std::thread& asker : askers)
        asker.join();
}

TEST_F(Blocking, OneThatIsConnectedAgainBeginsAnew) {
    start_daemon(tolerant());
    const Listener listener(covered_route());
    TcpPair first = listener.connect();
    warm_up(first);
    const int fd = first.client.fd();
    sockaddr nobody{};
    nobody.sa_family = AF_UNSPEC;
    check(::connect(fd, &nobody, sizeof nobody), "disconnect");
    TcpPair second = listener.pair(listener.start_client(first.client.release()));
    block(second);
    ask(second, slowness() * 1500ms);
    EXPECT_TRUE(look(second).state == "enrolled" || look(second).reason == "foreign")
        << look(second).text();
}

TEST_F(Blocking, BehindDnatBothEndsEnter) {
    if (std::system("command -v nft >/dev/null") != 0)
        GTEST_SKIP() << "nft is not installed";
    const NatHost nat;
    nat.publish();
    start_daemon(tolerant("networks = [\"10.98.0.0/24\"]\nports = [8080]"));
    TcpPair pair = blocking_pair({.client = Place(client_, nat.client),
                                  .server = Place(server_, nat.server),
                                  .address = nat.host_to_client,
                                  .port = 80,
                                  .listen_on = nat.server_address,
                                  .connect_port = 8080});
    ask(pair, slowness() * 1500ms);
    EXPECT_EQ(counters().at("enrolled"), 1U);
}

}  // namespace
}  // namespace sockaccel::test
