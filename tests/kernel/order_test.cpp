// SPDX-License-Identifier: GPL-2.0-or-later
// The first bytes of a connection go by TCP; what is sent later never overtakes them.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "kernel_test.hpp"

namespace sockaccel::test {
namespace {

class Order : public KernelTest {};

void set_tcp_option(int fd, int option, int value) {
    check(::setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value), "set a TCP option");
}

// The client sends before the server has accepted.
TEST_F(Order, DataBeforeADeferredAcceptComesFirst) {
    start_daemon(usual_policy());
    const Listener listener(covered_route());
    set_tcp_option(listener.fd(), TCP_DEFER_ACCEPT, 5);
    End client(listener.start_client(covered_route().client.socket(AF_INET)), 1, 2);
    ASSERT_TRUE(wait_until([&client] { return client.send(8) == 8; }));  // "HEADERS "
    ASSERT_EQ(client.send(6), 6U);                                       // "BODY1 "
    TcpPair pair{std::move(client), End(listener.accept(), 2, 1)};
    ASSERT_EQ(pair.client.send(6), 6U);  // "BODY2 "
    read_all(pair);
    warm_up(pair);
    const Seen before = look(pair);
    exchange_bytes(pair, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
    EXPECT_EQ(before.state, "enrolled");
}

// Enrolled and its gate open, with bytes in the server's TCP queue: whatever follows has to queue
// up behind.
TEST_F(Order, UnreadTcpBytesHoldBackTheRedirect) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    ASSERT_TRUE(wait_until([this, &pair] {
        pair.client.send(10);  // which the server does not read
        pair.server.send(10);
        pair.client.receive(100);
        const auto seen = find(pair);
        return seen && seen->state == "enrolled";
    }));
    const Seen before = look(pair);
    for (int message = 0; message < 100; message++)
        ASSERT_EQ(pair.client.send(100), 100U);
    const Seen held = look(pair);
    EXPECT_EQ(held.client.redirected_bytes, 0U) << held.text();
    EXPECT_GE(held.client.reasons.count("order"), 1U) << held.text();
    read_all(pair);
    for (int message = 0; message < 100; message++) {
        ASSERT_EQ(pair.client.send(100), 100U);
        read_all(pair);
    }
    EXPECT_EQ(look(pair).client.redirected_bytes, 10000U) << look(pair).text();
}

// A receiver that blocks would wait by its TCP queue: it gets its data there.
TEST_F(Order, AnEndThatBecomesBlockingGetsItsDataByTcp) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    warm_up(pair);
    pair.server.set_blocking(true);
    const timeval patience{.tv_sec = 5, .tv_usec = 0};  // lest a fault hang the test
    check(::setsockopt(pair.server.fd(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience),
          "SO_RCVTIMEO");
    const Seen before = look(pair);
    for (int message = 0; message < 100; message++) {
        ASSERT_EQ(pair.client.send(1000), 1000U);
        ASSERT_EQ(pair.server.receive(1000), 1000U);
    }
    const Seen after = look(pair);
    EXPECT_EQ(after.client.redirected_bytes, before.client.redirected_bytes) << after.text();
    EXPECT_TRUE(wait_until([&] {
        const auto seen = find(pair);
        return seen && seen->state == "paired" && seen->reason == "blocking";
    })) << look(pair).text();
}

}  // namespace
}  // namespace sockaccel::test
