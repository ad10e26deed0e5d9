// SPDX-License-Identifier: GPL-2.0-or-later
// A reader that stalls inside recv(), as its memory does not come: what that does to its sender.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <span>
#include <thread>
#include <vector>

#include "kernel_test.hpp"
#include "sockaccel.h"

namespace sockaccel::test {
namespace {

using Milliseconds = std::chrono::milliseconds;

// A page of memory that is not there until serve(), as if it were on a disk that does not answer.
class MissingPage {
  public:
    MissingPage()
        : faults_(check(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK)),
                        "userfaultfd")) {
        uffdio_api api{};
        api.api = UFFD_API;
        check(::ioctl(faults_.get(), UFFDIO_API, &api), "UFFDIO_API");
        memory_ =
            ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory_ == MAP_FAILED)
            check(-1, "mmap");
        uffdio_register registered{};
        registered.range = range();
        registered.mode = UFFDIO_REGISTER_MODE_MISSING;
        check(::ioctl(faults_.get(), UFFDIO_REGISTER, &registered), "UFFDIO_REGISTER");
    }
    ~MissingPage() { ::munmap(memory_, kSize); }
    MissingPage(const MissingPage&) = delete;
    MissingPage& operator=(const MissingPage&) = delete;

    [[nodiscard]] std::span<std::byte> memory() const {
        return {static_cast<std::byte*>(memory_), kSize};
    }
    // Waits until somebody waits for it.
    [[nodiscard]] bool is_waited_for() const {
        pollfd polled{faults_.get(), POLLIN, 0};
        return ::poll(&polled, 1, 5000) == 1 && polled.revents == POLLIN;
    }
    void serve() {
        uffdio_zeropage zero{};
        zero.range = range();
        check(::ioctl(faults_.get(), UFFDIO_ZEROPAGE, &zero), "UFFDIO_ZEROPAGE");
    }

  private:
    [[nodiscard]] uffdio_range range() const {
        return {.start = reinterpret_cast<std::uint64_t>(memory_), .len = kSize};
    }

    static constexpr std::size_t kSize = 4096;
    Fd faults_;
    void* memory_ = nullptr;
};

class Stall : public KernelTest {
  protected:
    // How long one send() of the client takes while the server's recv() waits `stall` for memory.
    static Milliseconds measure(TcpPair& pair, Milliseconds stall) {
        MissingPage page;
        std::size_t read = 0;
        Milliseconds took{};
        EXPECT_EQ(pair.client.send(1000), 1000U);
        EXPECT_TRUE(wait_until([&] {
            pollfd polled{pair.server.fd(), POLLIN, 0};
            return ::poll(&polled, 1, 0) == 1;
        }));
        std::thread reader([&] {
            // Else a failure would be lost with the thread.
            EXPECT_NO_THROW(read = pair.server.receive_into(page.memory()));
        });
        EXPECT_TRUE(page.is_waited_for());
        std::thread sender([&] {
            const auto start = std::chrono::steady_clock::now();
            EXPECT_NO_THROW(EXPECT_EQ(pair.client.send(1000), 1000U));
            took =
                std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - start);
        });
        std::this_thread::sleep_for(stall);
        page.serve();
        reader.join();
        sender.join();
        EXPECT_GT(read, 0U);
        read_all(pair);
        return took;
    }
};

// sockaccel(7), "Stalled readers".
TEST_F(Stall, HoldsTheSenderUntilTheMemoryComesAndNoLonger) {
    constexpr Milliseconds kNoise{200};
    start_daemon(usual_policy());
    TcpPair plain = connect_pair({.client = Place(other_), .server = Place(other_)});
    TcpPair enrolled = connect_pair(covered_route());
    converse(plain, {.turns = 10});
    warm_up(enrolled);
    for (const Milliseconds stall : {Milliseconds(100), Milliseconds(500)}) {
        const Milliseconds by_tcp = measure(plain, stall);
        const Seen before = look(enrolled);
        const Milliseconds redirected = measure(enrolled, stall);
        EXPECT_EQ(look(enrolled).client.redirected_bytes - before.client.redirected_bytes, 2000U)
            << before.text() << "\nthen " << look(enrolled).text();
        std::printf("a reader stalls for %ld ms: its sender's send() takes %ld ms, by TCP %ld ms\n",
                    static_cast<long>(stall.count()), static_cast<long>(redirected.count()),
                    static_cast<long>(by_tcp.count()));
        EXPECT_LE(by_tcp, kNoise);
        EXPECT_LE(redirected, stall + kNoise);
        EXPECT_EQ(look(enrolled).state, "enrolled");
    }
    const Exchange more{.to_server = 1 << 20, .to_client = 1 << 20, .finish = true};
    exchange_bytes(plain, more);
    exchange_bytes(enrolled, more);
}

// The server's send() sleeps over its memory and holds its socket, so the client's message is under
// way to it and queued nowhere yet: no time-out tells that from a pair with nothing to lose.
TEST_F(Stall, APairDoesNotLeaveWhileAMessageIsUnderWay) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    warm_up(pair);
    MissingPage page;
    std::thread stalled([&] {
        EXPECT_EQ(
            ::send(pair.server.fd(), page.memory().data(), page.memory().size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(page.memory().size()));
    });
    EXPECT_TRUE(page.is_waited_for());
    std::thread sender([&] { EXPECT_NO_THROW(EXPECT_EQ(pair.client.send(1000), 1000U)); });
    std::this_thread::sleep_for(Milliseconds(100));
    reload(rule("another", {other_.path()}));
    // Longer than a pair that leaves waits for anything.
    std::this_thread::sleep_for(3 * std::chrono::nanoseconds(SA_LEAVE_NS));
    EXPECT_EQ(look(pair).state, "draining") << look(pair).text();
    page.serve();
    stalled.join();
    sender.join();
    read_all(pair, Milliseconds(5000));
    std::vector<char> zeros(page.memory().size());
    EXPECT_EQ(::recv(pair.client.fd(), zeros.data(), zeros.size(), 0),
              static_cast<ssize_t>(zeros.size()));
    EXPECT_TRUE(wait_until([&] { return look(pair).state == "paired"; })) << look(pair).text();
    exchange_bytes(pair, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

}  // namespace
}  // namespace sockaccel::test
