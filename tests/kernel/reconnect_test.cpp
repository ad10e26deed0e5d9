// SPDX-License-Identifier: GPL-2.0-or-later
// Addresses, and even sockets, are used again: nothing of the earlier connection reaches the later
// one.
#include <sys/socket.h>

#include <span>
#include <thread>

#include "kernel_test.hpp"

namespace sockaccel::test {
namespace {

class Reconnect : public KernelTest {};

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

}  // namespace
}  // namespace sockaccel::test
