// SPDX-License-Identifier: GPL-2.0-or-later
// The checks themselves: on plain TCP they pass, and they see what must not be.
#include "traffic.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <vector>

namespace sockaccel::test {
namespace {

TEST(Stream, TellsWhereBytesWereLost) {
    const Stream stream(7);
    std::vector<std::byte> sent(1000), received;
    stream.fill(50, sent);
    received = sent;
    received.erase(received.begin() + 300, received.begin() + 303);
    EXPECT_EQ(
        stream.differs(50, received),
        "byte 350 is wrong (300 bytes into a read of 997); the 3 bytes before 353 are missing "
        "or come later");
}

TEST(Stream, TellsWhereBytesWereRepeated) {
    const Stream stream(7);
    std::vector<std::byte> received(1000);
    stream.fill(0, received);
    stream.fill(400, std::span(received).subspan(500));
    EXPECT_EQ(stream.differs(0, received),
              "byte 500 is wrong (500 bytes into a read of 1000); byte 400 is there, 100 earlier: "
              "repeated or late");
}

TEST(Stream, TellsBytesOfAnotherStream) {
    std::vector<std::byte> foreign(64);
    Stream(1).fill(0, foreign);
    EXPECT_EQ(Stream(2).differs(0, foreign),
              "byte 0 is wrong (0 bytes into a read of 64); what is there is from elsewhere");
}

TEST(Traffic, PassesOnPlainTcp) {
    TcpPair pair = connect_pair({});
    for (const std::size_t size : {std::size_t{1}, std::size_t{1000}, std::size_t{4} << 20})
        converse(pair, {.request = size, .response = size, .turns = 3});
    const Habits habits{.write = {1, 100000}, .read = {1, 100000}, .pause_percent = 20};
    exchange_bytes(
        pair, {.to_server = 3 << 20, .to_client = 2 << 20, .client = habits, .server = habits});
    BackgroundTraffic traffic(std::span(&pair, 1));
    while (traffic.bytes() < 1 << 20)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    traffic.stop();
    exchange_bytes(pair, {.to_server = 1000, .to_client = 1000, .finish = true});
    EXPECT_TRUE(pair.client.at_eof() && pair.server.at_eof());
    EXPECT_EQ(pair.client.received(), pair.server.sent());
    EXPECT_EQ(pair.server.received(), pair.client.sent());
}

TEST(Traffic, SeesAnEndThatComesTooEarly) {
    TcpPair one = connect_pair({}), other = connect_pair({});
    other.client.shut_down_sending();
    TcpPair mixed{std::move(one.client), std::move(other.server)};
    EXPECT_THROW(converse(mixed, {}), TrafficError);
}

TEST(Traffic, SeesBytesThatWereNotSent) {
    TcpPair pair = connect_pair({});
    const std::array<char, 3> intruder{'a', 'b', 'c'};
    ASSERT_EQ(::send(pair.client.fd(), intruder.data(), intruder.size(), 0), 3);
    EXPECT_THROW(converse(pair, {}), TrafficError);
}

TEST(Traffic, EndsByItsDeadline) {
    TcpPair pair = connect_pair({});
    const Habits sleepy{.pause_percent = 100, .longest_pause = std::chrono::seconds(9)};
    const Exchange plan{.to_server = 1 << 20, .server = sleepy};
    EXPECT_THROW(exchange_bytes(pair, plan, std::chrono::milliseconds(200)), TrafficError);
}

TEST(Traffic, FloodStopsAtAFullSocket) {
    TcpPair pair = connect_pair({});
    const Flooded flooded = flood(pair.client, {.message = 65536, .most = 64 << 20});
    EXPECT_TRUE(flooded.blocked);
    EXPECT_GT(flooded.bytes, 100000U);
    read_all(pair);
    EXPECT_EQ(pair.server.received(), flooded.bytes);
}

}  // namespace
}  // namespace sockaccel::test
