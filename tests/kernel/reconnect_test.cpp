// SPDX-License-Identifier: GPL-2.0-or-later
// Addresses, and even sockets, are used again: nothing of the earlier connection reaches the later
// one.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kernel_test.hpp"
#include "loopback.hpp"

namespace sockaccel::test {
namespace {

// RST instead of FIN, and no TIME-WAIT.
void reset(End& end) {
    const linger at_once{1, 0};
    check(::setsockopt(end.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), "SO_LINGER");
    end.close();
}

// Reads what is there, and checks it, until the connection has ended, however it has.
void read_to_the_end(End& end) {
    const bool ended = wait_until([&end] {
        try {
            while (end.receive(65536) > 0) {
            }
        } catch (const ConnectionLost&) {
            return true;
        }
        return end.at_eof();
    });
    EXPECT_TRUE(ended) << end.text();
}

void bind_to(const Fd& socket, std::uint16_t port) {
    const sockaddr_in address = loopback(port);
    check(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
          "bind");
}

void start_connecting(const Fd& socket, std::uint16_t port) {
    const sockaddr_in address = loopback(port);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
        errno != EINPROGRESS)
        check(-1, "connect");
}

bool is_connected(const Fd& socket) {
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    return ::getpeername(socket.get(), reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

class Reconnect : public KernelTest {
  protected:
    void expect_nothing_held() {
        EXPECT_TRUE(wait_until([this] {
            const Counts now = status();
            return now.at("pairs") == 0 && now.at("budget_used_bytes") == 0;
        })) << status().at("pairs")
            << " pairs and " << status().at("budget_used_bytes") << " bytes are still held";
        EXPECT_EQ(connections().size(), 0U);
    }
};

TEST_F(Reconnect, AConnectionWithTheAddressesOfAnEarlierOneStartsAfresh) {
    start_daemon(usual_policy());
    const Netns netns;
    const Route route{.client = Place(client_, netns),
                      .server = Place(server_, netns),
                      .client_address = "127.0.0.1",
                      .client_port = 7001};
    const Listener listener(route);
    for (int round = 0; round < 2; round++) {
        SCOPED_TRACE("connection " + std::to_string(round));
        TcpPair pair = listener.connect();
        warm_up(pair);
        flood(pair.client, {.message = 1000, .most = 50000});
        pair.server.close();  // with unread data, and first: TIME-WAIT is on the server's side
    }
}

TEST_F(Reconnect, ADisconnectedSocketTakesNothingAlong) {
    start_daemon(usual_policy());
    TcpPair old = connect_pair(covered_route());
    warm_up(old);
    const std::uint64_t redirected = look(old).server.redirected_bytes;
    ASSERT_EQ(old.server.send(5000), 5000U);  // and the client does not read it
    ASSERT_EQ(look(old).server.redirected_bytes, redirected + 5000);

    sockaddr nowhere{};
    nowhere.sa_family = AF_UNSPEC;
    Fd socket = old.client.release();
    check(::connect(socket.get(), &nowhere, sizeof nowhere), "disconnect");
    const Listener listener(covered_route());
    Fd client = listener.start_client(std::move(socket));
    TcpPair fresh = listener.pair(std::move(client));
    converse(fresh, {.request = 1000, .response = 1000, .turns = 10});
    try {
        old.server.send(1000);  // to nobody: accepted, or refused by now
    } catch (const TrafficError&) {
    }
    converse(fresh, {.request = 1000, .response = 1000, .turns = 10});
    EXPECT_EQ(fresh.client.receive(1), 0U);
    BackgroundTraffic traffic(std::span(&fresh, 1));
    std::this_thread::sleep_for(std::chrono::seconds(2));
    traffic.stop();
}

TEST_F(Reconnect, AResetWithUnreadDataBothWaysGivesBackSlotAndBudget) {
    start_daemon(usual_policy());
    for (const bool by_client : {true, false})
        for (const bool other_reads : {true, false}) {
            SCOPED_TRACE(std::string(by_client ? "the client" : "the server") +
                         " resets, the other end " + (other_reads ? "reads on" : "closes"));
            TcpPair pair = connect_pair(covered_route());
            warm_up(pair);
            const std::uint64_t before = look(pair).redirected_bytes();
            ASSERT_EQ(pair.client.send(20000), 20000U);
            ASSERT_EQ(pair.server.send(30000), 30000U);
            ASSERT_EQ(look(pair).redirected_bytes(), before + 50000);
            ASSERT_GT(status().at("budget_used_bytes"), 0U);

            End& left = by_client ? pair.server : pair.client;
            reset(by_client ? pair.client : pair.server);
            if (other_reads) {
                read_to_the_end(left);
                EXPECT_THROW(left.send(1), ConnectionLost);
            } else {
                left.close();
            }
            expect_nothing_held();
        }
}

// Each round has the four addresses of the round before, on four routes at once. What was left
// unread in a round is looked at when the next one has run.
TEST_F(Reconnect, ManyConnectionsWithTheSameAddressesKeepTheirDataApart) {
    start_daemon(usual_policy());
    const Netns netns;
    std::vector<Listener> listeners;
    for (std::uint16_t i = 0; i < 4; i++)
        listeners.emplace_back(Route{.client = Place(client_, netns),
                                     .server = Place(server_, netns),
                                     .port = static_cast<std::uint16_t>(7000 + i),
                                     .client_address = "127.0.0.1",
                                     .client_port = static_cast<std::uint16_t>(8000 + i)});
    enum class Ending { client_resets, server_closes, client_closes };
    std::vector<End> earlier;
    for (int round = 0; round < 12; round++) {
        SCOPED_TRACE("round " + std::to_string(round));
        std::vector<TcpPair> pairs;
        for (const Listener& listener : listeners)
            pairs.push_back(listener.connect());
        // Some rounds are over before anything is enrolled, or in the midst of it.
        if (round % 4 == 3) {
            exchange_bytes(pairs, {.to_server = 200000, .to_client = 200000});
        } else if (round % 4 == 2) {
            BackgroundTraffic traffic(pairs);
            std::this_thread::sleep_for(std::chrono::milliseconds(700));
            traffic.stop();
        } else {
            BackgroundTraffic traffic(pairs);
            EXPECT_TRUE(wait_until([&] {
                std::size_t enrolled = 0;
                for (const Seen& seen : connections())
                    for (const TcpPair& pair : pairs)
                        if (seen.client.cookie == pair.client.cookie())
                            enrolled += seen.state == "enrolled" ? 1 : 0;
                return enrolled == pairs.size();
            }));
            traffic.stop();
        }
        for (End& end : earlier)
            read_to_the_end(end);
        earlier.clear();
        const auto ending = static_cast<Ending>(round % 3);
        for (TcpPair& pair : pairs) {
            EXPECT_EQ(pair.client.send(5000), 5000U);
            EXPECT_EQ(pair.server.send(7000), 7000U);
            if (ending == Ending::client_resets)
                reset(pair.client);
            else if (ending == Ending::server_closes)
                pair.server.close();
            else
                pair.client.close();
            earlier.push_back(
                std::move(ending == Ending::server_closes ? pair.client : pair.server));
        }
        if (ending !=
            Ending::client_resets) {  // the addresses are in use until the other end closes
            for (End& end : earlier)
                read_to_the_end(end);
            earlier.clear();
        }
        // TIME-WAIT is on the client's side, from where the kernel takes it after a second.
        if (ending == Ending::client_closes)
            std::this_thread::sleep_for(std::chrono::milliseconds(1200));
    }
    for (End& end : earlier)
        read_to_the_end(end);
    earlier.clear();
    EXPECT_GE(counters().at("enrolled"), 4U * 6);
    expect_nothing_held();
}

TEST_F(Reconnect, ASocketConnectedToItselfIsLeftAlone) {
    start_daemon(usual_policy());
    const Netns netns;
    Fd socket = Place(client_, netns).socket(AF_INET);
    bind_to(socket, 7001);
    start_connecting(socket, 7001);
    ASSERT_TRUE(wait_until([&socket] { return is_connected(socket); }));
    End self(std::move(socket), 1, 1);
    std::uint64_t turns = 0;
    EXPECT_FALSE(wait_until(
        [&] {
            if (self.send(1000) == 1000)
                while (self.received() < self.sent())
                    self.receive(1000);
            turns++;
            return status().at("pairs") != 0 || !connections().empty();
        },
        std::chrono::seconds(3)));
    EXPECT_EQ(self.received(), turns * 1000);
    EXPECT_EQ(counters().at("paired"), 0U);
}

// Neither listens. Each SYN is lost at first, so that both ends are on their way.
TEST_F(Reconnect, TwoSocketsThatConnectToEachOtherGetEachOthersData) {
    if (std::system("command -v nft >/dev/null") != 0)
        GTEST_SKIP() << "nft is not installed";
    start_daemon(usual_policy());
    const Netns netns;
    const std::string nft = "nsenter --net=" + netns.file() + " nft ";
    ASSERT_EQ(std::system((nft + "'table ip lossy {\n"
                                 "chain in {\n"
                                 "type filter hook input priority 0;\n"
                                 "tcp flags syn / syn,ack drop;\n"
                                 "}\n}'")
                              .c_str()),
              0);
    Fd a = Place(client_, netns).socket(AF_INET), b = Place(server_, netns).socket(AF_INET);
    bind_to(a, 7001);
    bind_to(b, 7002);
    start_connecting(a, 7002);
    start_connecting(b, 7001);
    ASSERT_EQ(std::system((nft + "delete table ip lossy").c_str()), 0);
    ASSERT_TRUE(wait_until([&] { return is_connected(a) && is_connected(b); }));
    TcpPair pair{End(std::move(a), 1, 2), End(std::move(b), 2, 1)};
    BackgroundTraffic traffic(std::span(&pair, 1));
    std::this_thread::sleep_for(std::chrono::milliseconds(2500));
    const auto seen = find(pair);
    traffic.stop();
    if (seen) {  // as client and server, if only one was connecting still when a SYN came
        EXPECT_EQ(seen->client.cookie + seen->server.cookie,
                  pair.client.cookie() + pair.server.cookie());
    }
    exchange_bytes(pair, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

TEST_F(Reconnect, MptcpStaysOnTcpAndItsFallbackIsRight) {
    const Netns netns;
    int enabled = 0;
    std::ifstream("/proc/sys/net/mptcp/enabled") >> enabled;
    if (enabled == 0)
        GTEST_SKIP() << "this kernel has no MPTCP";
    start_daemon(usual_policy());
    const auto route = [&](int client_protocol, int server_protocol) {
        return Route{.client = Place(client_, netns),
                     .server = Place(server_, netns),
                     .client_protocol = client_protocol,
                     .server_protocol = server_protocol};
    };
    std::vector<TcpPair> pairs;
    pairs.push_back(connect_pair(route(IPPROTO_MPTCP, IPPROTO_MPTCP)));
    BackgroundTraffic traffic(pairs);
    EXPECT_TRUE(wait_until([this] {
        const auto all = connections();
        return all.size() == 1 && all[0].reason == "mptcp";
    })) << (connections().empty() ? "not paired" : connections()[0].text());
    std::this_thread::sleep_for(std::chrono::seconds(2));
    traffic.stop();
    EXPECT_EQ(counters().at("enrolled"), 0U);

    pairs.push_back(connect_pair(route(IPPROTO_MPTCP, 0)));
    pairs.push_back(connect_pair(route(0, IPPROTO_MPTCP)));
    BackgroundTraffic mixed(pairs);
    std::this_thread::sleep_for(std::chrono::milliseconds(2500));
    mixed.stop();
    // The server's socket of the last one is like any other.
    EXPECT_LE(counters().at("enrolled"), 1U);
    exchange_bytes(pairs, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

// With TCP_DEFER_ACCEPT the server's end is there with the first data only.
TEST_F(Reconnect, AnEndThatComesLateFindsTheOtherWhenTheyTalk) {
    start_daemon(usual_policy());
    const Listener listener(covered_route());
    constexpr int kSeconds = 10;
    check(::setsockopt(listener.fd(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &kSeconds, sizeof kSeconds),
          "TCP_DEFER_ACCEPT");
    End client(listener.start_client(Place(client_).socket(AF_INET)), 1, 2);
    std::this_thread::sleep_for(std::chrono::milliseconds(2500));
    ASSERT_EQ(client.send(1000), 1000U);
    TcpPair pair{std::move(client), End(listener.accept(), 2, 1)};
    warm_up(pair);
    EXPECT_EQ(status().at("halves_expired"), 0U);
}

TEST_F(Reconnect, OneThatHasSaidLittleIsNotKnownAndCostsNothing) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    converse(pair, {.turns = 3});
    std::this_thread::sleep_for(std::chrono::milliseconds(2500));
    EXPECT_FALSE(find(pair)) << look(pair).text();
    EXPECT_EQ(counters().at("paired"), 0U);
    EXPECT_EQ(status().at("halves_expired"), 0U);
    // One direction is enough, and an acknowledgement is no word.
    for (int i = 0; i < 3; i++) {
        ASSERT_EQ(pair.client.send(10), 10U);
        read_all(pair);
    }
    EXPECT_TRUE(wait_until([&] { return find(pair).has_value(); }));
    EXPECT_EQ(counters().at("paired"), 1U);
    warm_up(pair);
}

TEST_F(Reconnect, AHalfWithoutItsOtherEndIsForgotten) {
    start_daemon(usual_policy());
    constexpr std::size_t kHalves = 20;
    const Listener listener({.client = Place(client_), .server = Place(other_)});
    std::vector<TcpPair> halves = listener.connect(kHalves);
    EXPECT_EQ(status().at("halves_expired"), 0U);
    for (TcpPair& half : halves)
        talk(half);
    // No other connection is needed for that.
    EXPECT_TRUE(wait_until([this] { return status().at("halves_expired") == kHalves; },
                           slowness() * std::chrono::seconds(3)))
        << status().at("halves_expired");
    TcpPair pair = connect_pair(covered_route());
    warm_up(pair);
    EXPECT_EQ(status().at("halves_expired"), kHalves);
    // Nothing is left that another pass could find.
    BackgroundTraffic traffic(halves);
    converse(pair, {.turns = 100});
    EXPECT_FALSE(wait_until(
        [this] { return status().at("halves_expired") != kHalves || connections().size() > 1; },
        std::chrono::seconds(2)));
    traffic.stop();
    for (TcpPair& half : halves)
        expect_untouched(half);
    // Another policy is a new beginning.
    reload(rule("other", {covered_.path(), other_.path()}));
    EXPECT_TRUE(wait_until([this] { return connections().size() == kHalves + 1; }))
        << connections().size();
}

}  // namespace
}  // namespace sockaccel::test
