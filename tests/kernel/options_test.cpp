// SPDX-License-Identifier: GPL-2.0-or-later
// What a program sets on a socket of an enrolled pair, and redirect cannot honour: the pair leaves
// at the first message that meets it, and comes back when the program has changed its mind.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <string>

#include "kernel_test.hpp"
#include "sockaccel.h"

namespace sockaccel::test {
namespace {

using Act = std::function<int(int fd)>;  // as a system call returns

Act option(int level, int name, int value) {
    return [=](int fd) { return ::setsockopt(fd, level, name, &value, sizeof value); };
}

int set_filter(int fd) {
    sock_filter accept_all{.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0xffffffff};
    const sock_fprog program{.len = 1, .filter = &accept_all};
    return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

int set_tls(int fd) {
    return ::setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof "tls");
}

Act blocking(bool wanted) {
    return [=](int fd) {
        const int flags = ::fcntl(fd, F_GETFL);
        return ::fcntl(fd, F_SETFL, wanted ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
    };
}

struct Option {
    std::string name, reason;
    Act set, unset = {};        // unset: none, it is for ever
    bool is_of_sender = false;  // else the receiver sets it
    bool is_everywhere = true;  // else kernels without it, or that refuse it, are right
};

const Option kOptions[] = {
    {"RcvLowat", "rcvlowat", option(SOL_SOCKET, SO_RCVLOWAT, 2),
     option(SOL_SOCKET, SO_RCVLOWAT, 1)},
    {"Timestamp", "timestamps", option(SOL_SOCKET, SO_TIMESTAMP, 1),
     option(SOL_SOCKET, SO_TIMESTAMP, 0)},
    {"Timestamping", "timestamps",
     option(SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE),
     option(SOL_SOCKET, SO_TIMESTAMPING, 0)},
    {"Inq", "timestamps", option(IPPROTO_TCP, TCP_INQ, 1), option(IPPROTO_TCP, TCP_INQ, 0)},
    {"Filter", "socket-filter", set_filter, option(SOL_SOCKET, SO_DETACH_FILTER, 0)},
    {.name = "PeekOffset",
     .reason = "peek-offset",
     .set = option(SOL_SOCKET, SO_PEEK_OFF, 0),
     .unset = option(SOL_SOCKET, SO_PEEK_OFF, -1),
     .is_everywhere = false},
    {.name = "Zerocopy",
     .reason = "zerocopy",
     .set = option(SOL_SOCKET, SO_ZEROCOPY, 1),
     .unset = option(SOL_SOCKET, SO_ZEROCOPY, 0),
     .is_of_sender = true},
    {.name = "Tls", .reason = "ulp", .set = set_tls, .is_everywhere = false},
    {"Blocking", "blocking", blocking(true), blocking(false)},
};

class OptionTest : public KernelTest, public ::testing::WithParamInterface<Option> {};

TEST_P(OptionTest, SetOnAnEnrolledPairMakesItLeaveAtTheNextMessage) {
    const Option& option = GetParam();
    start_daemon(usual_policy());
    subscribe();
    TcpPair pair = connect_pair(covered_route());
    warm_up(pair);
    const End& end = option.is_of_sender ? pair.client : pair.server;
    if (option.set(end.fd()) != 0) {
        ASSERT_FALSE(option.is_everywhere);
        GTEST_SKIP() << "this kernel refuses it: " << std::strerror(errno);
    }
    const Seen before = look(pair);
    ASSERT_EQ(pair.client.send(1000), 1000U);
    read_all(pair);
    // Sooner than a pair is taken out that only does not gain.
    constexpr std::chrono::nanoseconds kLosing{SA_LOSING_NS};
    EXPECT_TRUE(wait_until([&] { return look(pair).state == "paired"; },
                           slowness() * std::chrono::duration_cast<Timeout>(kLosing / 3)))
        << look(pair).text();
    for (int turn = 0; turn < 30; turn++) {
        converse(pair, {.request = 1000, .response = 1000});
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    const Seen after = look(pair);
    EXPECT_EQ(after.state, "paired") << after.text();
    EXPECT_EQ(after.reason, option.reason) << after.text();
    EXPECT_EQ(after.redirected_bytes(), before.redirected_bytes()) << after.text();
    EXPECT_EQ(counters().at("left"), 1U);
    const auto all = events();
    ASSERT_FALSE(all.empty());
    EXPECT_EQ(all.back().kind, "left");
    EXPECT_EQ(all.back().reason, option.reason);

    if (option.unset) {
        ASSERT_EQ(option.unset(end.fd()), 0);
        warm_up(pair);
        converse(pair, {.request = 1000, .response = 1000, .turns = 10});
        EXPECT_GE(look(pair).redirected_bytes() - after.redirected_bytes(), 20000U)
            << look(pair).text();
    }
    exchange_bytes(pair, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

INSTANTIATE_TEST_SUITE_P(, OptionTest, ::testing::ValuesIn(kOptions),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace sockaccel::test
