// SPDX-License-Identifier: GPL-2.0-or-later
// Connections that were open before they were covered: found, proven and enrolled as others are,
// where the kernel allows it.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "kernel_test.hpp"
#include "netns.hpp"

namespace sockaccel::test {
namespace {

using namespace std::chrono_literals;

class Adopt : public KernelTest {
  protected:
    // In the host's namespace, where the daemon is, too.
    [[nodiscard]] Route near() const {
        return {.client = Place(client_), .server = Place(server_)};
    }

    [[nodiscard]] bool becomes(TcpPair& pair, const std::string& state, const std::string& reason) {
        return wait_until([&] {
            converse(pair, {});
            const auto seen = find(pair);
            return seen && seen->state == state && seen->reason == reason;
        });
    }

    // Registers both ends with an epoll of their own.
    struct Watched {
        Watched(const TcpPair& pair, std::uint32_t events) : epoll(::epoll_create1(EPOLL_CLOEXEC)) {
            for (const End* end : {&pair.client, &pair.server}) {
                epoll_event event{};
                event.events = events;
                check(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, end->fd(), &event), "watch");
            }
        }
        Fd epoll;
    };
};

TEST_F(Adopt, WhatWasOpenWhenTheServiceStartsIsEnrolledInTheMiddleOfItsTraffic) {
    std::vector<TcpPair> pairs;
    for (int count = 0; count < 8; count++)
        pairs.push_back(connect_pair(near()));
    BackgroundTraffic traffic(pairs);
    start_daemon(usual_policy());
    EXPECT_TRUE(wait_until([this] { return counters().at("enrolled") == 8; }))
        << counters().at("enrolled");
    std::this_thread::sleep_for(500ms);
    traffic.stop();
    for (TcpPair& pair : pairs) {
        const Seen seen = look(pair);
        EXPECT_EQ(seen.state, "enrolled") << seen.text();
        EXPECT_EQ(seen.client.cookie, pair.client.cookie()) << "the roles are right";
        EXPECT_GT(seen.redirected_bytes(), 0U);
    }
    EXPECT_EQ(counters().at("paired"), 8U);
}

TEST_F(Adopt, ANewRuleFindsThoseThatItCovers) {
    start_daemon(rule("test", {other_.path()}));
    TcpPair pair = connect_pair(near());
    converse(pair, {.turns = 10});
    EXPECT_FALSE(find(pair));
    reload(usual_policy());
    warm_up(pair);
    EXPECT_EQ(counters().at("enrolled"), 1U);
}

TEST_F(Adopt, IdleOnesAreEnrolledWhenTheyHaveTraffic) {
    TcpPair pair = connect_pair(near());
    converse(pair, {.turns = 1000});
    start_daemon(usual_policy());
    EXPECT_TRUE(wait_until([&] {
        const auto seen = find(pair);
        return seen && seen->reason == "idle";
    }));
    warm_up(pair);
}

TEST_F(Adopt, StrangersStayStrangers) {
    TcpPair half = connect_pair({.client = Place(client_), .server = Place(other_)});
    TcpPair outside = connect_pair({.client = Place(other_), .server = Place(other_)});
    TcpPair own = connect_pair(near());
    start_daemon(usual_policy());
    std::this_thread::sleep_for(3s);
    EXPECT_FALSE(find(half));
    EXPECT_FALSE(find(outside));
    expect_untouched(outside);
    EXPECT_TRUE(find(own));
    EXPECT_LE(counters().at("enrolled"), 1U);
}

// Nobody could wake an edge-triggered reader where TCP takes over.
TEST_F(Adopt, InAnyNamespaceButNotWithEdgeTriggeredReaders) {
    const Netns netns;
    const Route far{.client = Place(client_, netns), .server = Place(server_, netns)};
    TcpPair level = connect_pair(far), edge = connect_pair(far), polled = connect_pair(far);
    const Watched level_watch(level, EPOLLIN), edge_watch(edge, EPOLLIN | EPOLLET);
    start_daemon(usual_policy());
    EXPECT_TRUE(becomes(edge, "paired", "open-before")) << look(edge).text();
    for (TcpPair* pair : {&level, &polled}) {
        warm_up(*pair);
        exchange_bytes(*pair, {.to_server = 4 << 20, .to_client = 4 << 20});
        EXPECT_GT(look(*pair).redirected_bytes(), 0U) << look(*pair).text();
    }
    EXPECT_EQ(counters().at("enrolled"), 2U);
    // One that connects again is covered from the start.
    TcpPair again = connect_pair(far);
    const Watched again_watch(again, EPOLLIN | EPOLLET);
    warm_up(again);
}

TEST_F(Adopt, OneWhoseReaderBecomesEdgeTriggeredLeaves) {
    TcpPair pair = connect_pair(near());
    start_daemon(usual_policy());
    warm_up(pair);
    const Watched watch(pair, EPOLLIN | EPOLLET);
    TcpPair other = connect_pair(near());
    talk(other);  // raises a pass
    EXPECT_TRUE(becomes(pair, "paired", "open-before") || look(pair).reason == "open-before")
        << look(pair).text();
}

// Who is root of a network namespace may choose a connection's numbers there.
TEST_F(Adopt, AcrossNetworkNamespacesOnlyIfBothAreTheHosts) {
    const Tenant hosts, users(Netns::Owner::user);
    const auto connect = [this](const Tenant& tenant) {
        return connect_pair({.client = Place(client_, tenant.client),
                             .server = Place(server_, tenant.server),
                             .address = Tenant::kServerAddress});
    };
    TcpPair trusted = connect(hosts), strange = connect(users);
    const std::string policy = usual_policy("networks = [\"10.9.0.0/24\"]");
    start_daemon(policy);
    warm_up(trusted);
    EXPECT_TRUE(becomes(strange, "paired", "user-namespace")) << look(strange).text();
    // Whose handshake was seen is another matter.
    TcpPair seen = connect(users);
    warm_up(seen);
}

TEST_F(Adopt, BlockingOnesStayInTcp) {
    TcpPair pair = connect_pair(near());
    pair.server.set_blocking(true);
    start_daemon(rule("test", {covered_.path()}, {}, "blocking"));
    EXPECT_TRUE(becomes(pair, "paired", "blocking")) << look(pair).text();
    expect_plain(pair);
}

TEST_F(Adopt, OverIpv6AndMappedAddresses) {
    Route six = near(), mapped = near();
    six.address = "::1";
    mapped.listen_on = "::";
    std::vector<TcpPair> pairs;
    pairs.push_back(connect_pair(six));
    pairs.push_back(connect_pair(mapped));
    start_daemon(usual_policy());
    warm_up(pairs);
    EXPECT_EQ(counters().at("enrolled"), 2U);
}

TEST_F(Adopt, OneThatIsHalfClosedIsNot) {
    TcpPair pair = connect_pair(near());
    pair.client.shut_down_sending();
    start_daemon(usual_policy());
    std::this_thread::sleep_for(3s);
    EXPECT_FALSE(find(pair));
    EXPECT_EQ(counters().at("enrolled"), 0U);
}

// A stop and a start are no restart: nothing is carried on, and what was enrolled is found again.
TEST_F(Adopt, AfterAStopEverythingIsFoundAgain) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(near());
    warm_up(pair);
    exchange_bytes(pair, {.to_server = 1 << 20, .to_client = 1 << 20});
    ASSERT_EQ(stop_daemon(), 0);
    converse(pair, {.turns = 100});
    start_daemon(usual_policy());
    warm_up(pair);
    exchange_bytes(pair, {.to_server = 1 << 20, .to_client = 1 << 20});
}

TEST_F(Adopt, ManyAreFoundAtOnce) {
    std::vector<TcpPair> pairs = Listener(near()).connect(500);
    for (TcpPair& pair : pairs)
        converse(pair, {});
    start_daemon(usual_policy());
    EXPECT_TRUE(wait_until([this] { return counters().at("paired") == 500; }))
        << counters().at("paired");
    warm_up(pairs, slowness() * 30s);
}

}  // namespace
}  // namespace sockaccel::test
