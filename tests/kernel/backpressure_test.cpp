// SPDX-License-Identifier: GPL-2.0-or-later
// A reader that does not read stops its sender, as it does on plain TCP, and costs bounded memory.
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

#include "kernel_test.hpp"
#include "sockaccel.h"

namespace sockaccel::test {
namespace {

constexpr std::uint64_t kKiB = 1024, kMiB = kKiB * kKiB;
constexpr std::uint64_t kQueue = 512 * kKiB;
constexpr std::uint64_t kSlack = 512 * kKiB;  // TCP's own bound varies with how writes share pages

// Fixed, so that TCP's own bound is the same for both pairs.
void fix_buffers(const TcpPair& pair, int bytes) {
    for (const int fd : {pair.client.fd(), pair.server.fd()})
        for (const int option : {SO_SNDBUF, SO_RCVBUF})
            check(::setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof bytes), "fix a buffer");
}

class Backpressure : public KernelTest {
  protected:
    Backpressure() {
        start_daemon(usual_policy("queue = \"512KiB\""));
        plain_ = std::make_unique<TcpPair>(
            connect_pair({.client = Place(other_), .server = Place(other_)}));
        enrolled_ = std::make_unique<TcpPair>(connect_pair(covered_route()));
        fix_buffers(*plain_, 128 * kKiB);
        fix_buffers(*enrolled_, 128 * kKiB);
        warm_up(*enrolled_);
    }

    void TearDown() override {
        plain_.reset();
        enrolled_.reset();
        KernelTest::TearDown();
    }

    std::unique_ptr<TcpPair> plain_, enrolled_;
};

TEST_F(Backpressure, StopsTheSenderAfterTheQueueAndTcpsOwnBuffers) {
    for (const std::size_t message :
         {std::size_t{65536}, std::size_t{1000}, std::size_t{4 * kMiB}}) {
        SCOPED_TRACE("messages of " + std::to_string(message) + " bytes");
        const Seen before = look(*enrolled_);
        const Flooded plain = flood(plain_->client, {.message = message, .most = 64 * kMiB});
        const Flooded enrolled = flood(enrolled_->client, {.message = message, .most = 64 * kMiB});
        ASSERT_TRUE(plain.blocked);
        EXPECT_TRUE(enrolled.blocked);
        EXPECT_LE(enrolled.bytes, kQueue + plain.bytes + kSlack)
            << "plain TCP took " << plain.bytes;
        const Seen after = look(*enrolled_);
        const auto redirected = after.redirected_bytes() - before.redirected_bytes();
        EXPECT_LE(redirected, kQueue);
        if (message <= kQueue) {
            // Of a buffer whose size is set, TCP keeps a part.
            EXPECT_GE(redirected, kQueue / 8) << after.text();
        }
        read_all(*plain_);
        read_all(*enrolled_);
        converse(*enrolled_, {.turns = 100});
    }
    exchange_bytes(*enrolled_, {.to_server = 4 * kMiB, .to_client = 4 * kMiB, .finish = true});
}

TEST_F(Backpressure, BoundsTheNumberOfMessages) {
    // Long enough in turns for a stream of small messages to be borne for a while.
    converse(*enrolled_, {.turns = 2 * SA_SAMPLE_MESSAGES});
    const Seen before = look(*enrolled_);
    const Flooded plain = flood(plain_->client, {.message = 1, .most = 4 * kMiB});
    const Flooded enrolled = flood(enrolled_->client, {.message = 1, .most = 4 * kMiB});
    EXPECT_TRUE(plain.blocked);
    EXPECT_TRUE(enrolled.blocked);
    EXPECT_LE(enrolled.bytes, SA_MAX_MESSAGES + plain.bytes + kSlack)
        << "plain TCP took " << plain.bytes;
    const Seen after = look(*enrolled_);
    const auto messages = after.client.redirected_messages - before.client.redirected_messages;
    EXPECT_LE(messages, SA_MAX_MESSAGES);
    EXPECT_GE(messages, SA_MAX_MESSAGES / 2) << after.text();
    read_all(*enrolled_);
    exchange_bytes(*enrolled_, {.to_server = 4 * kMiB, .to_client = 4 * kMiB, .finish = true});
}

TEST_F(Backpressure, ASlowReaderGetsEveryByte) {
    const Habits fast{.write = {1000, 200000}};
    const Habits slow{.read = {1, 50000}, .pause_percent = 30};
    exchange_bytes(*enrolled_, {.to_server = 8 * kMiB, .client = fast, .server = slow});
    exchange_bytes(*enrolled_,
                   {.to_client = 8 * kMiB, .client = slow, .server = fast, .finish = true});
}

// Above the receiver's buffer the kernel drops segments, or closes the window. What the reader has
// made room for must come at once then, not with a retransmission's time-out.
class HandOver : public KernelTest {
  protected:
    using Milliseconds = std::chrono::milliseconds;

    // A sender fills all there is, the reader pauses, and then reads all it gets: the longest time
    // in which nothing came.
    static Milliseconds longest_gap(TcpPair& pair, std::size_t message, Milliseconds pause) {
        constexpr std::uint64_t kMore = 8 * kMiB;
        EXPECT_TRUE(flood(pair.client, {.message = message, .most = 64 * kMiB}).blocked);
        const std::uint64_t all = pair.client.sent() + kMore;
        std::atomic<bool> is_over = false;
        const auto send_more = [&] {
            while (pair.client.sent() < all && !is_over)
                if (pair.client.send(message) == 0) {
                    pollfd polled{pair.client.fd(), POLLOUT, 0};
                    ::poll(&polled, 1, 100);
                }
        };
        std::thread sender([&] { EXPECT_NO_THROW(send_more()); });
        std::this_thread::sleep_for(pause);
        Milliseconds longest{};
        auto last = std::chrono::steady_clock::now();
        while (pair.server.received() < all) {
            pollfd polled{pair.server.fd(), POLLIN, 0};
            const bool has_come = ::poll(&polled, 1, 30000) == 1;
            const auto now = std::chrono::steady_clock::now();
            longest = std::max(longest, std::chrono::duration_cast<Milliseconds>(now - last));
            last = now;
            EXPECT_TRUE(has_come) << "nothing for 30 s";
            if (!has_come)
                break;
            pair.server.receive(65536);
        }
        is_over = true;
        sender.join();
        read_all(pair);
        return longest;
    }

    // Of one that is enrolled, and of plain TCP; the readers set `buffer` if it is not 0.
    std::pair<Milliseconds, Milliseconds> gaps(int buffer, std::size_t message,
                                               Milliseconds pause) {
        // New ones: their receivers' buffers have not grown yet.
        TcpPair plain = connect_pair({.client = Place(other_), .server = Place(other_)});
        TcpPair enrolled = connect_pair(covered_route());
        for (const TcpPair* pair : {&plain, &enrolled})
            if (buffer != 0)
                check(
                    ::setsockopt(pair->server.fd(), SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer),
                    "SO_RCVBUF");
        warm_up(enrolled);
        converse(plain, {.turns = 10});
        const Milliseconds by_tcp = longest_gap(plain, message, pause);
        const Seen before = look(enrolled);
        const Milliseconds redirected = longest_gap(enrolled, message, pause);
        const Seen after = look(enrolled);
        EXPECT_GT(after.redirected_bytes(),
                  before.redirected_bytes() + (buffer != 0 ? 1 : kMiB / 2))
            << after.text();
        EXPECT_GT(after.client.reasons.count("queue"), 0U) << after.text();
        return {redirected, by_tcp};
    }

    // `buffer`: that the readers set; 0: the kernel's, which grows.
    void expect_no_wait(int buffer) {
        start_daemon(usual_policy("queue = \"1MiB\""));
        constexpr Milliseconds kLeastTimeout(200);  // of a retransmission: TCP_RTO_MIN
        for (const std::size_t message : {std::size_t{1000}, 16 * kKiB, 64 * kKiB})
            for (const Milliseconds pause : {Milliseconds(20), Milliseconds(1000)}) {
                SCOPED_TRACE(std::to_string(message) + " bytes, a pause of " +
                             std::to_string(pause.count()) + " ms");
                // A timeout would come each time, an interruption of the machine does not.
                Milliseconds gap{}, allowed{};
                for (int tries = 0; tries < 3 && gap >= allowed; tries++) {
                    const auto [redirected, by_tcp] = gaps(buffer, message, pause);
                    std::printf(
                        "writes of %zu bytes, a pause of %ld ms: the longest gap is %ld ms, by TCP "
                        "%ld ms\n",
                        message, static_cast<long>(pause.count()),
                        static_cast<long>(redirected.count()), static_cast<long>(by_tcp.count()));
                    gap = redirected;
                    allowed = std::max(kLeastTimeout * 3 / 4, 2 * by_tcp);
                }
                EXPECT_LT(gap, allowed);
            }
    }
};

TEST_F(HandOver, AReaderThatPausedIsNotMadeToWaitForARetransmission) {
    expect_no_wait(0);
}

TEST_F(HandOver, NorIsOneThatHasSetTheSizeOfItsBuffer) {
    expect_no_wait(128 * kKiB);
}

class Budget : public KernelTest {
  protected:
    static std::uint64_t queued(const std::vector<Seen>& connections) {
        std::uint64_t bytes = 0;
        for (const Seen& seen : connections)
            bytes += seen.client.redirected_bytes + seen.server.redirected_bytes;
        return bytes;
    }

    static std::uint64_t messages(const std::vector<Seen>& connections) {
        std::uint64_t count = 0;
        for (const Seen& seen : connections)
            count += seen.client.redirected_messages + seen.server.redirected_messages;
        return count;
    }
};

TEST_F(Budget, AThousandStalledReadersStayUnderTheHostWideLimitTogether) {
    constexpr std::uint64_t kBudget = 16 * kMiB;
    constexpr std::uint64_t kFlood = 64 * kKiB;  // for each connection
    start_daemon("[limits]\nmemory = \"16MiB\"\n" + usual_policy("queue = \"1MiB\""));
    std::vector<TcpPair> pairs = Listener(covered_route()).connect(1000);
    warm_up(pairs, slowness() * std::chrono::seconds(40));
    const std::vector<Seen> before = connections();
    ASSERT_EQ(before.size(), pairs.size());
    EXPECT_LE(status().at("budget_used_bytes"), kBudget);

    for (TcpPair& pair : pairs)
        for (std::uint64_t sent = 0; sent < kFlood;) {
            const std::size_t taken = pair.client.send(4096);
            if (taken == 0)
                break;
            sent += taken;
        }

    const Counts now = status();
    EXPECT_EQ(now.at("budget_bytes"), kBudget);
    EXPECT_LE(now.at("budget_used_bytes"), kBudget);
    const std::vector<Seen> after = connections();
    const std::uint64_t waiting = queued(after) - queued(before);
    const std::uint64_t waiting_messages = messages(after) - messages(before);
    EXPECT_LE(waiting + waiting_messages * SA_MESSAGE_BYTES, kBudget);
    EXPECT_GE(waiting, kBudget / 2);
    EXPECT_GT(counters().at("tcp_bytes"), 1000 * kFlood / 2);
    const std::string told = "limits.memory, 16MiB, is used up by queued data";
    EXPECT_NE(daemon_->output().find(told), std::string::npos);
    EXPECT_EQ(daemon_->output().find(told), daemon_->output().rfind(told)) << "told once";
    EXPECT_EQ(daemon_->manager().Problems().size(), 1U);

    for (TcpPair& pair : pairs)
        read_all(pair);
    for (TcpPair& pair : pairs)
        converse(pair, {.request = 10000, .response = 10000});
    pairs.clear();
    EXPECT_TRUE(wait_until([this] { return status().at("budget_used_bytes") == 0; }))
        << status().at("budget_used_bytes") << " bytes are still held";
}

}  // namespace
}  // namespace sockaccel::test
