// SPDX-License-Identifier: GPL-2.0-or-later
#include "scenarios.hpp"

#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include "loopback.hpp"
#include "wait_until.hpp"

namespace sockaccel::test {

namespace {

using Redirects = Scenario::Redirects;
using Tolerated = Scenario::Tolerated;
using namespace std::string_literals;

constexpr std::size_t kKiB = 1024, kMiB = kKiB * kKiB;

void set_timeout(const Side& side, int option, std::chrono::milliseconds timeout) {
    const timeval value{timeout.count() / 1000, timeout.count() % 1000 * 1000};
    check(::setsockopt(side.fd(), SOL_SOCKET, option, &value, sizeof value), "set a timeout");
}

// Reads on while the other end writes, both without waiting.
void pump(Wire& wire, Side& from, Side& to, std::size_t size, std::size_t per_read) {
    const std::string bytes = text(size, 7);
    std::string got;
    std::size_t sent = 0;
    const bool arrived = wait_until([&] {
        if (sent < size) {
            const ssize_t taken = ::send(from.fd(), bytes.data() + sent, size - sent, MSG_NOSIGNAL);
            from.count_sent(taken);
            sent += taken > 0 ? static_cast<std::size_t>(taken) : 0;
        }
        std::vector<char> buffer(per_read);
        for (ssize_t count = 1; count > 0;) {
            count = ::recv(to.fd(), buffer.data(), buffer.size(), 0);
            if (count > 0)
                got.append(buffer.data(), static_cast<std::size_t>(count));
        }
        return got.size() >= size;
    });
    wire.client.say("{} of {} bytes arrive, {}", got.size(), size,
                    arrived && got == bytes ? "the right ones" : "not the right ones");
}

// --- messages

void one_message(Wire& wire) {
    wire.client.send("hello");
    wire.settle();
    wire.server.receive(100);
    wire.server.receive(100);
}

void by_turns(Wire& wire) {
    for (const std::size_t size : {1U, 100U, 1448U, 16384U, 70000U}) {
        wire.client.send(text(size));
        wire.server.receive_all(size);
        wire.server.send(text(size, 2));
        wire.client.receive_all(size);
    }
}

void small_messages_are_read_as_one(Wire& wire) {
    for (int i = 0; i < 10; i++)
        wire.client.send(std::to_string(i));
    wire.settle();
    wire.server.receive(100);
}

void one_message_is_read_in_pieces(Wire& wire) {
    wire.client.send("abcdefghijklmnopqrstuvwxyz");
    wire.settle();
    for (const std::size_t size : {1U, 2U, 10U, 12U, 10U, 10U})
        wire.server.receive(size);
}

void pieces_across_messages(Wire& wire) {
    for (const char* message : {"abc", "defg", "h", "ijklmnop"})
        wire.client.send(message);
    wire.settle();
    for (const std::size_t size : {2U, 4U, 1U, 6U, 20U})
        wire.server.receive(size);
}

void nothing_to_send(Wire& wire) {
    wire.client.send("");
    wire.server.expect_silence();
    wire.server.receive(10);
}

void nothing_to_read(Wire& wire) {
    wire.server.receive(10);
    wire.server.receive(10, MSG_DONTWAIT);
    wire.server.receive(10, MSG_PEEK);
    wire.server.receive(10, MSG_WAITALL);
    wire.server.receive(10, MSG_ERRQUEUE);
}

void zero_bytes_are_read(Wire& wire) {
    wire.client.send("hello");
    wire.settle();
    wire.server.receive(0);
    wire.server.receive(10);
}

void zero_bytes_are_read_where_nothing_is(Wire& wire) {
    wire.server.receive(0);
}

void vectors(Wire& wire) {
    std::string first = "first ", second, third = "third";
    const std::array<iovec, 3> out{
        {{first.data(), first.size()}, {second.data(), 0}, {third.data(), third.size()}}};
    const ssize_t taken = ::writev(wire.client.fd(), out.data(), 3);
    wire.client.say("writev -> {}", Side::result_of(taken));
    wire.client.count_sent(taken);
    wire.settle();
    std::string a(4, '-'), b(4, '-'), c(9, '-');
    const std::array<iovec, 3> in{{{a.data(), 4}, {b.data(), 4}, {c.data(), 9}}};
    const std::string got = Side::result_of(::readv(wire.server.fd(), in.data(), 3));
    wire.server.say("readv -> {} \"{}\" \"{}\" \"{}\"", got, a, b, c);
}

void many_vectors(Wire& wire) {
    std::string bytes = text(1000);
    std::vector<iovec> vector;
    for (std::size_t i = 0; i < bytes.size(); i += 4)
        vector.push_back({&bytes[i], 4});
    const ssize_t taken =
        ::writev(wire.client.fd(), vector.data(), static_cast<int>(vector.size()));
    wire.client.say("writev -> {}", Side::result_of(taken));
    wire.client.count_sent(taken);
    wire.server.receive_all(1000);
}

void message_headers(Wire& wire) {
    wire.client.send("hello");
    wire.settle();
    std::array<char, 100> buffer{}, control{};
    iovec vector{buffer.data(), buffer.size()};
    sockaddr_storage name{};
    msghdr header{};
    header.msg_name = &name;
    header.msg_namelen = sizeof name;
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const std::string got = Side::result_of(::recvmsg(wire.server.fd(), &header, 0));
    wire.server.say("recvmsg -> {}, name of {}, control of {}, flags {:#x}", got,
                    header.msg_namelen, header.msg_controllen, header.msg_flags);
}

void several_messages_a_call(Wire& wire) {
    std::array<std::string, 3> bytes{"one", "two", "three"};
    std::array<iovec, 3> vectors{};
    std::array<mmsghdr, 3> messages{};
    for (std::size_t i = 0; i < 3; i++) {
        vectors[i] = {bytes[i].data(), bytes[i].size()};
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    const std::string sent = Side::result_of(::sendmmsg(wire.client.fd(), messages.data(), 3, 0));
    wire.client.say("sendmmsg -> {}, {} {} {} bytes", sent, messages[0].msg_len,
                    messages[1].msg_len, messages[2].msg_len);
    for (const mmsghdr& message : messages)
        wire.client.count_sent(message.msg_len);
    wire.settle();
    std::array<std::string, 2> got{std::string(4, '-'), std::string(4, '-')};
    for (std::size_t i = 0; i < 2; i++)
        vectors[i] = {got[i].data(), got[i].size()};
    const std::string received =
        Side::result_of(::recvmmsg(wire.server.fd(), messages.data(), 2, MSG_DONTWAIT, nullptr));
    wire.server.say("recvmmsg -> {} \"{}\" \"{}\"", received, got[0], got[1]);
    wire.server.receive(100);
}

void read_and_write(Wire& wire) {
    const ssize_t taken = ::write(wire.client.fd(), "hello", 5);
    wire.client.say("write -> {}", Side::result_of(taken));
    wire.client.count_sent(taken);
    wire.settle();
    std::array<char, 10> buffer{};
    wire.server.say("pread -> {}",
                    Side::result_of(::pread(wire.server.fd(), buffer.data(), buffer.size(), 0)));
    const std::string got = Side::result_of(::read(wire.server.fd(), buffer.data(), buffer.size()));
    wire.server.say("read -> {} \"{}\"", got, buffer.data());
    const std::string more =
        Side::result_of(::read(wire.server.fd(), buffer.data(), buffer.size()));
    wire.server.say("read -> {}", more);
}

void peek(Wire& wire) {
    wire.client.send("hello ");
    wire.client.send("world");
    wire.settle();
    wire.server.receive(3, MSG_PEEK);
    wire.server.receive(100, MSG_PEEK);
    wire.server.receive(3);
    wire.server.receive(100, MSG_PEEK);
    wire.server.receive(100);
    wire.server.receive(100, MSG_PEEK);
}

void discard(Wire& wire) {
    wire.client.send("discarded, kept");
    wire.settle();
    std::string buffer(11, '-');
    const std::string got =
        Side::result_of(::recv(wire.server.fd(), buffer.data(), buffer.size(), MSG_TRUNC));
    wire.server.say("recv(11, TRUNC) -> {} \"{}\"", got, buffer);
    wire.server.receive(100);
}

void discard_to_nowhere(Wire& wire) {
    wire.client.send("discarded, kept");
    wire.settle();
    const std::string got = Side::result_of(::recv(wire.server.fd(), nullptr, 11, MSG_TRUNC));
    wire.server.say("recv(no buffer, 11, TRUNC) -> {}", got);
    wire.server.receive(100);
}

void more_follows(Wire& wire) {
    wire.client.send("first, ", MSG_MORE);
    wire.server.expect_silence();
    wire.client.send("second");
    wire.server.receive_all(13);
}

void cork(Wire& wire) {
    wire.client.set(IPPROTO_TCP, TCP_CORK, 1, "TCP_CORK");
    wire.client.send("first, ");
    wire.server.expect_silence();
    wire.client.send("second");
    wire.client.set(IPPROTO_TCP, TCP_CORK, 0, "TCP_CORK");
    wire.server.receive_all(13);
}

void urgent(Wire& wire) {
    wire.client.send("calm");
    wire.client.send("!", MSG_OOB);
    wire.settle();
    wire.server.poll(POLLIN | POLLPRI);
    wire.server.receive(100);
    wire.server.receive(1, MSG_OOB);
    wire.client.send("calm again");
    wire.server.receive_all(10);
}

void large_writes_one_way(Wire& wire) {
    pump(wire, wire.client, wire.server, 8 * kMiB, 65536);
    pump(wire, wire.server, wire.client, 8 * kMiB, 1000000);
}

void tiny_reads(Wire& wire) {
    pump(wire, wire.client, wire.server, 30000, 7);
}

void full_then_read(Wire& wire) {
    const std::string bytes = text(64 * kKiB, 3);
    std::size_t sent = 0;
    ssize_t taken = 0;
    while (sent < 64 * kMiB &&
           (taken = ::send(wire.client.fd(), bytes.data(), bytes.size(), 0)) > 0) {
        wire.client.count_sent(taken);
        sent += static_cast<std::size_t>(taken);
    }
    wire.client.say("send to a full socket -> {}", Side::result_of(taken));
    wire.client.poll(POLLOUT);
    std::size_t got = 0;
    const bool arrived = wait_until([&] {
        std::array<char, 65536> buffer{};
        for (ssize_t count = 1; count > 0;) {
            count = ::recv(wire.server.fd(), buffer.data(), buffer.size(), 0);
            got += count > 0 ? static_cast<std::size_t>(count) : 0;
        }
        return got >= sent;
    });
    wire.server.say("{} of what was sent arrives", arrived && got == sent ? "all" : "not all");
    wire.client.await(POLLOUT);
    wire.client.poll(POLLOUT);
    wire.client.send("and on");
    wire.server.receive_all(6);
}

// The sender's probes for room have become rare by then.
void full_for_a_while_then_read(Wire& wire) {
    const std::string bytes = text(8 * kMiB, 3);
    std::atomic<std::size_t> sent = 0;
    std::thread sender([&] {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (sent < bytes.size() && std::chrono::steady_clock::now() < end) {
            const ssize_t taken =
                ::send(wire.client.fd(), &bytes[sent],
                       std::min<std::size_t>(bytes.size() - sent, 100000), MSG_NOSIGNAL);
            if (taken > 0)
                sent += static_cast<std::size_t>(taken);
            else
                wire.client.await(POLLOUT);
        }
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    std::size_t got = 0;
    std::chrono::steady_clock::duration longest{};
    auto last = std::chrono::steady_clock::now();
    static_cast<void>(wait_until([&] {
        std::array<char, 65536> buffer{};
        for (ssize_t count = 1; count > 0;) {
            count = ::recv(wire.server.fd(), buffer.data(), buffer.size(), 0);
            if (count <= 0)
                break;
            const auto now = std::chrono::steady_clock::now();
            longest = std::max(longest, now - last);
            last = now;
            got += static_cast<std::size_t>(count);
        }
        return got >= bytes.size();
    }));
    sender.join();
    wire.client.count_sent(static_cast<ssize_t>(sent.load()));
    wire.server.say("{}, {}", got == bytes.size() ? "all arrives" : "not all arrives",
                    longest < std::chrono::seconds(1)
                        ? "without a stall"
                        : fmt::format("stalled for {} ms", longest / std::chrono::milliseconds(1)));
}

// --- bad memory

struct Pages {
    Pages()
        : size(2 * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))),
          start(static_cast<char*>(
              ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
        ::mprotect(start + size / 2, size / 2, PROT_NONE);
    }
    ~Pages() { ::munmap(start, size); }
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;

    // The last `bytes` that can be used.
    [[nodiscard]] char* end(std::size_t bytes) const { return start + size / 2 - bytes; }

    std::size_t size;
    char* start;
};

void bad_buffers(Wire& wire) {
    const Pages pages;
    wire.client.say("send(bad) -> {}",
                    Side::result_of(::send(wire.client.fd(), pages.end(0), 10, MSG_NOSIGNAL)));
    wire.client.send("hello");
    wire.settle();
    wire.server.say("recv(bad) -> {}",
                    Side::result_of(::recv(wire.server.fd(), pages.end(0), 10, 0)));
    wire.server.receive(100);
}

void half_bad_buffer_to_read(Wire& wire) {
    const Pages pages;
    wire.client.send("hello world");
    wire.settle();
    wire.server.say("recv(bad after 5 bytes) -> {}",
                    Side::result_of(::recv(wire.server.fd(), pages.end(5), 100, 0)));
    wire.server.receive(100);
}

void half_bad_buffer_to_send(Wire& wire) {
    const Pages pages;
    std::memcpy(pages.end(5), "hello", 5);
    const ssize_t taken = ::send(wire.client.fd(), pages.end(5), 100, MSG_NOSIGNAL);
    wire.client.say("send(bad after 5 bytes) -> {}", Side::result_of(taken));
    wire.client.count_sent(taken);
    wire.client.send(" world");
    wire.settle();
    wire.server.receive(100);
}

// --- several threads

// Messages of two writers: whole, and each writer's in its order.
void two_writers(Wire& wire) {
    constexpr unsigned kMessages = 2000;
    const auto write = [&wire](char who) {
        for (unsigned i = 0; i < kMessages;) {
            const std::string message = fmt::format("{}{:07}", who, i);
            if (::send(wire.client.fd(), message.data(), message.size(), MSG_NOSIGNAL) > 0)
                i++;
            else
                wire.client.await(POLLOUT);
        }
    };
    std::thread a(write, 'a'), b(write, 'b');
    std::string got;
    static_cast<void>(wait_until([&] {
        std::array<char, 10000> buffer{};
        for (ssize_t count = 1; count > 0;) {
            count = ::recv(wire.server.fd(), buffer.data(), buffer.size(), 0);
            if (count > 0)
                got.append(buffer.data(), static_cast<std::size_t>(count));
        }
        return got.size() >= std::size_t{2} * kMessages * 8;
    }));
    a.join();
    b.join();
    wire.client.count_sent(ssize_t{2} * kMessages * 8);
    std::array<unsigned, 2> next{};
    bool right = true;
    for (std::size_t i = 0; i + 8 <= got.size() && right; i += 8) {
        unsigned& number = next[got[i] == 'b'];
        right = got.substr(i, 8) == fmt::format("{}{:07}", got[i] == 'b' ? 'b' : 'a', number++);
    }
    wire.server.say("{} bytes, {}", got.size(), right ? "all in order" : "not in order");
}

// Large messages of two writers: each one whole, as there is room for it.
void two_writers_at_once(Wire& wire, std::size_t size) {
    constexpr std::size_t kMessages = 30;
    wire.client.set(SOL_SOCKET, SO_SNDBUFFORCE, 512 << 20, "SO_SNDBUFFORCE");
    std::atomic<unsigned> partial = 0;
    std::atomic<std::size_t> read = 0;
    const auto write = [&](char who) {
        const std::string message(size, who);
        for (unsigned i = 0; i < kMessages; i++) {
            // Both at once, when the reader has got what was before.
            for (unsigned spins = 0; read < 2 * i * size && spins < 10'000'000; spins++)
                std::this_thread::yield();
            if (::send(wire.client.fd(), message.data(), size, MSG_NOSIGNAL) !=
                static_cast<ssize_t>(size))
                partial++;
        }
    };
    std::thread a(write, 'a'), b(write, 'b');
    std::array<std::size_t, 2> got{};
    std::size_t run = 0, broken = 0;
    char last = 0;
    static_cast<void>(wait_until([&] {
        std::array<char, 65536> buffer{};
        for (ssize_t count = 1; count > 0;) {
            count = ::recv(wire.server.fd(), buffer.data(), buffer.size(), 0);
            for (ssize_t i = 0; i < count; i++) {
                const char byte = buffer.at(static_cast<std::size_t>(i));
                if (byte != last) {
                    broken += run % size != 0 ? 1 : 0;
                    run = 0;
                    last = byte;
                }
                run++;
                got.at(byte == 'b' ? 1 : 0)++;
            }
        }
        read = got[0] + got[1];
        return read >= 2 * kMessages * size;
    }));
    a.join();
    b.join();
    wire.client.count_sent(static_cast<ssize_t>(2 * kMessages * size));
    wire.client.say("{} partial sends", partial.load());
    wire.server.say("{} and {} bytes, {}", got[0], got[1],
                    broken == 0 ? "no message in another one" : "messages in one another");
}

// No byte is read twice, none is left out.
void two_readers(Wire& wire) {
    const std::string bytes = text(200 * kKiB, 8);
    std::array<std::array<unsigned, 26>, 2> seen{};
    std::atomic<std::size_t> got = 0;
    const auto read = [&](unsigned who) {
        std::array<char, 100> buffer{};
        static_cast<void>(wait_until([&] {
            for (ssize_t count = 1; count > 0;) {
                count = ::recv(wire.server.fd(), buffer.data(), buffer.size(), 0);
                for (ssize_t i = 0; i < count; i++)
                    seen.at(who).at(
                        static_cast<unsigned char>(buffer.at(static_cast<std::size_t>(i))) - 'a')++;
                got += count > 0 ? static_cast<std::size_t>(count) : 0;
            }
            return got >= bytes.size();
        }));
    };
    std::thread a(read, 0), b(read, 1);
    for (std::size_t sent = 0; sent < bytes.size();) {
        const ssize_t taken = ::send(wire.client.fd(), &bytes[sent],
                                     std::min<std::size_t>(bytes.size() - sent, 1000), 0);
        wire.client.count_sent(taken);
        if (taken > 0)
            sent += static_cast<std::size_t>(taken);
        else
            wire.client.await(POLLOUT);
    }
    a.join();
    b.join();
    std::array<unsigned, 26> expected{}, together{};
    for (const char byte : bytes)
        expected.at(static_cast<unsigned char>(byte) - 'a')++;
    for (std::size_t i = 0; i < together.size(); i++)
        together.at(i) = seen[0].at(i) + seen[1].at(i);
    wire.server.say("{} bytes, {}", got.load(),
                    together == expected ? "each once" : "not each once");
}

// --- waiting

void poll_says_what_is_there(Wire& wire) {
    constexpr short kAll = POLLIN | POLLOUT | POLLRDHUP | POLLPRI;
    wire.server.poll(kAll);
    wire.client.send("hello");
    wire.settle();
    wire.server.poll(kAll);
    wire.server.receive(2);
    wire.server.poll(kAll);
    wire.server.receive(100);
    wire.server.poll(kAll);
    wire.client.shutdown(SHUT_WR);
    wire.server.await(POLLRDHUP);
    wire.server.poll(kAll);
    wire.server.shutdown(SHUT_WR);
    wire.client.await(POLLHUP);
    wire.client.poll(kAll);
    wire.server.await(POLLHUP);
    wire.server.poll(kAll);
}

void select_says_what_is_there(Wire& wire) {
    const auto selected = [&wire] {
        fd_set in, out, except;
        FD_ZERO(&in);
        FD_ZERO(&out);
        FD_ZERO(&except);
        for (fd_set* set : {&in, &out, &except})
            FD_SET(wire.server.fd(), set);
        timeval now{};
        const int count = ::select(wire.server.fd() + 1, &in, &out, &except, &now);
        wire.server.say("select -> {}{}{}{}", count, FD_ISSET(wire.server.fd(), &in) ? " in" : "",
                        FD_ISSET(wire.server.fd(), &out) ? " out" : "",
                        FD_ISSET(wire.server.fd(), &except) ? " except" : "");
    };
    selected();
    wire.client.send("hello");
    wire.settle();
    selected();
    wire.server.receive(100);
    selected();
}

void poll_wakes_a_sleeper(Wire& wire) {
    std::thread sleeper([&wire] {
        pollfd polled{wire.server.fd(), POLLIN, 0};
        const int count = ::poll(&polled, 1, 5000);
        wire.server.say("poll -> {}, events {:#x}", count, polled.revents);
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const ssize_t taken = ::send(wire.client.fd(), "hello", 5, 0);
    wire.client.count_sent(taken);
    sleeper.join();
    wire.server.receive(100);
}

void level_triggered(Wire& wire) {
    Watch watch(wire.server, EPOLLIN | EPOLLRDHUP);
    watch.expect_none();
    wire.client.send("hello");
    wire.settle();
    watch.next();
    watch.next();
    wire.server.receive(2);
    watch.next();
    wire.server.receive(100);
    watch.expect_none();
    wire.client.shutdown(SHUT_WR);
    watch.next();
    wire.server.receive(100);
    watch.next();
}

void edge_triggered(Wire& wire) {
    Watch watch(wire.server, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    watch.next();
    watch.expect_none();
    wire.client.send("hello");
    wire.settle();
    watch.next();
    watch.expect_none();
    wire.client.send("world");
    wire.settle();
    watch.next();
    wire.server.receive(2);
    watch.expect_none();
    wire.server.receive(100);
    wire.server.receive(100);
    wire.client.send("again");
    wire.settle();
    watch.next();
    wire.server.receive(100);
    wire.client.shutdown(SHUT_WR);
    wire.server.await(POLLRDHUP);
    watch.next();
    wire.server.receive(100);
    watch.expect_none();
}

void one_shot(Wire& wire) {
    Watch watch(wire.server, EPOLLIN | EPOLLONESHOT);
    wire.client.send("hello");
    wire.settle();
    watch.next();
    watch.expect_none();
    watch.rearm(EPOLLIN | EPOLLONESHOT);
    watch.next();
    wire.server.receive(100);
    watch.rearm(EPOLLIN | EPOLLONESHOT);
    watch.expect_none();
    wire.client.send("world");
    wire.settle();
    watch.next();
    wire.server.receive(100);
}

// The reader reads until EAGAIN on each edge, as edge-triggered readers must.
void edge_triggered_stream(Wire& wire) {
    constexpr std::size_t kSize = 4 * kMiB;
    Watch watch(wire.server, EPOLLIN | EPOLLET);
    std::atomic<std::uint64_t> sent = 0;
    std::thread sender([&] {
        const std::string bytes = text(kSize, 5);
        while (sent < kSize) {
            const std::size_t size = std::min<std::size_t>(kSize - sent, 1 + sent % 30000);
            const ssize_t taken = ::send(wire.client.fd(), &bytes[sent], size, MSG_NOSIGNAL);
            if (taken > 0)
                sent += static_cast<std::uint64_t>(taken);
            else
                wire.client.await(POLLOUT);
        }
    });
    std::string got;
    while (got.size() < kSize && watch.wait() != 0) {
        std::array<char, 20000> buffer{};
        for (ssize_t count = 1; count > 0;) {
            count = ::recv(wire.server.fd(), buffer.data(), buffer.size(), 0);
            if (count > 0)
                got.append(buffer.data(), static_cast<std::size_t>(count));
        }
    }
    if (got.size() < kSize)
        wire.server.say("no edge after {} bytes", got.size());
    wire.server.shutdown(SHUT_RD);
    ::shutdown(wire.client.fd(), got.size() < kSize ? SHUT_RDWR : SHUT_RD);
    sender.join();
    wire.client.count_sent(static_cast<ssize_t>(sent));
    wire.server.say("{} bytes, {}", got.size(),
                    got == text(kSize, 5) ? "the right ones" : "not the right ones");
}

// As nginx and tokio read: a read that gives less than was asked for says that nothing is left.
// This one comes late: the queue is full, and the rest of the request by TCP, by then.
void edge_triggered_reader_that_trusts_short_reads(Wire& wire) {
    const std::string bytes = text(3 * kMiB, 5);
    Watch watch(wire.server, EPOLLIN | EPOLLET);
    wire.server.set(SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20, "SO_RCVBUFFORCE");
    wire.client.set(SOL_SOCKET, SO_SNDBUFFORCE, 8 << 20, "SO_SNDBUFFORCE");
    std::size_t sent = 0;
    while (sent < bytes.size()) {
        const std::size_t size = std::min(bytes.size() - sent, 40 * kKiB + sent % 30000);
        const ssize_t taken = ::send(wire.client.fd(), &bytes[sent], size, MSG_NOSIGNAL);
        if (taken <= 0)
            return wire.client.say("send -> {}", Side::result_of(taken));
        wire.client.count_sent(taken);
        sent += static_cast<std::size_t>(taken);
    }
    wire.settle();
    std::string got;
    std::vector<char> buffer(16 * kKiB);
    while (got.size() < bytes.size() && watch.wait() != 0) {
        for (ssize_t count = 1; count > 0;) {
            count = ::recv(wire.server.fd(), buffer.data(), buffer.size(), 0);
            if (count > 0)
                got.append(buffer.data(), static_cast<std::size_t>(count));
            if (count < static_cast<ssize_t>(buffer.size()))
                break;
        }
    }
    wire.server.say("{}", got.size() == bytes.size()
                              ? "all arrives"
                              : fmt::format("no edge after {} bytes", got.size()));
    wire.server.say("{}",
                    got == bytes.substr(0, got.size()) ? "the right bytes" : "not the right bytes");
}

void a_full_socket_gets_its_edge(Wire& wire) {
    Watch watch(wire.client, EPOLLOUT | EPOLLET);
    watch.next();
    const std::string bytes = text(64 * kKiB, 3);
    std::size_t sent = 0;
    while (sent < 64 * kMiB) {
        const ssize_t taken = ::send(wire.client.fd(), bytes.data(), bytes.size(), 0);
        if (taken <= 0)
            break;
        wire.client.count_sent(taken);
        sent += static_cast<std::size_t>(taken);
    }
    std::size_t got = 0;
    static_cast<void>(wait_until([&] {
        std::array<char, 65536> buffer{};
        for (ssize_t count = 1; count > 0;) {
            count = ::recv(wire.server.fd(), buffer.data(), buffer.size(), 0);
            got += count > 0 ? static_cast<std::size_t>(count) : 0;
        }
        return got >= sent;
    }));
    wire.server.say("{} of what was sent arrives", got == sent ? "all" : "not all");
    watch.next();
}

volatile std::sig_atomic_t signals_seen = 0;

struct Handler {
    explicit Handler(int number) : signal(number) {
        signals_seen = 0;
        struct sigaction action {};
        action.sa_handler = [](int) { signals_seen = signals_seen + 1; };
        ::sigaction(signal, &action, &before);
    }
    ~Handler() { ::sigaction(signal, &before, nullptr); }
    Handler(const Handler&) = delete;
    Handler& operator=(const Handler&) = delete;

    int signal;
    struct sigaction before {};
};

void signal_driven(Wire& wire) {
    const Handler handler(SIGIO);
    check(::fcntl(wire.server.fd(), F_SETOWN, ::getpid()), "F_SETOWN");
    check(::fcntl(wire.server.fd(), F_SETFL, O_NONBLOCK | O_ASYNC), "F_SETFL");
    wire.client.send("hello");
    static_cast<void>(wait_until([] { return signals_seen > 0; }, std::chrono::milliseconds(1000)));
    wire.server.say("{}", signals_seen > 0 ? "SIGIO" : "no SIGIO");
    wire.settle();
    wire.server.receive(100);
    check(::fcntl(wire.server.fd(), F_SETFL, O_NONBLOCK), "F_SETFL");
}

// --- the end

void half_close(Wire& wire) {
    wire.client.send("last words");
    wire.client.shutdown(SHUT_WR);
    wire.client.send("too late");
    wire.server.await(POLLRDHUP);
    wire.server.receive(4);
    wire.server.receive(100);
    wire.server.receive(100);
    wire.server.send("answer");
    wire.settle();
    wire.client.receive(100);
    wire.client.receive(100);
    wire.server.send("and another");
    wire.server.shutdown(SHUT_WR);
    wire.client.receive_all(100);
    wire.client.receive(100);
}

void close_after_sending(Wire& wire) {
    wire.client.send("last words");
    wire.client.close();
    wire.server.await(POLLRDHUP);
    wire.server.receive(100);
    wire.server.receive(100);
    wire.server.receive(100);
}

void large_then_close(Wire& wire) {
    const std::string bytes = text(300 * kKiB, 9);
    wire.client.send(bytes);
    wire.client.close();
    wire.server.receive_all(kMiB);
}

void close_of_a_duplicate(Wire& wire) {
    const Fd duplicate(check(::dup(wire.client.fd()), "dup"));
    wire.client.send("hello");
    wire.client.close();
    wire.settle();
    wire.server.receive(100);
    wire.server.receive(100);
    const ssize_t taken = ::send(duplicate.get(), "world", 5, MSG_NOSIGNAL);
    wire.client.count_sent(taken);
    wire.server.receive_all(5);
}

void both_shut_down(Wire& wire) {
    wire.client.send("from the client");
    wire.server.send("from the server");
    wire.settle();
    wire.client.shutdown(SHUT_WR);
    wire.server.shutdown(SHUT_WR);
    wire.client.receive_all(100);
    wire.server.receive_all(100);
    wire.client.await(POLLHUP);
    wire.client.poll(POLLIN | POLLOUT);
    wire.client.close();
    wire.server.poll(POLLIN | POLLOUT);
    wire.server.receive(10);
    wire.server.send("too late");
}

void shut_down_reading(Wire& wire) {
    wire.client.send("before");
    wire.settle();
    wire.server.shutdown(SHUT_RD);
    wire.server.poll(POLLIN | POLLRDHUP);
    wire.server.receive(3);
    wire.server.receive(100);
    wire.server.receive(100);
    wire.client.send("after");
    wire.settle();
    wire.server.receive(100);
    wire.server.receive(100);
    wire.server.send("the other way");
    wire.settle();
    wire.client.receive(100);
}

void shut_down_both_with_unread(Wire& wire) {
    wire.client.send("unread");
    wire.settle();
    wire.server.shutdown(SHUT_RDWR);
    wire.client.await(POLLRDHUP);
    wire.client.receive(10);
    wire.server.receive(100);
    wire.server.receive(100);
}

void shut_down_twice(Wire& wire) {
    wire.client.send("before");
    wire.client.shutdown(SHUT_RD);
    wire.client.shutdown(SHUT_WR);
    wire.client.shutdown(SHUT_RDWR);
    wire.server.await(POLLRDHUP);
    wire.server.receive(100);
    wire.server.shutdown(SHUT_RDWR);
    wire.client.await(POLLHUP);
    wire.client.shutdown(SHUT_WR);
    wire.client.poll(POLLIN | POLLOUT);
    wire.server.poll(POLLIN | POLLOUT);
}

void data_and_end_are_one_edge(Wire& wire) {
    Watch watch(wire.server, EPOLLIN | EPOLLRDHUP | EPOLLET);
    wire.client.send("last words");
    wire.client.close();
    wire.server.await(POLLRDHUP);
    watch.next();
    watch.expect_none();
    wire.server.receive(100);
    wire.server.receive(100);
}

void answer_to_a_half_closed_end_that_closes(Wire& wire) {
    wire.client.send("request");
    wire.client.shutdown(SHUT_WR);
    wire.server.receive_all(100);
    wire.server.send(text(50000));
    wire.server.close();
    wire.client.receive_all(100000);
}

void close_with_unread(Wire& wire) {
    wire.client.send("unread");
    wire.settle();
    wire.server.close();
    wire.client.await(POLLIN | POLLERR | POLLHUP);
    wire.client.poll(POLLIN | POLLOUT | POLLRDHUP);
    wire.client.receive(10);
    wire.client.receive(10);
}

void send_to_a_closed_end(Wire& wire) {
    wire.server.close();
    wire.client.await(POLLRDHUP);
    wire.client.receive(10);
    wire.client.send("answered with a reset");
    wire.client.await(POLLERR | POLLHUP);
    wire.client.send("fails");
    wire.client.receive(10);
}

void broken_pipe_raises_a_signal(Wire& wire) {
    const Handler handler(SIGPIPE);
    wire.client.shutdown(SHUT_WR);
    const std::string result = Side::result_of(::send(wire.client.fd(), "x", 1, 0));
    wire.client.say("send -> {}, SIGPIPE {} times", result, static_cast<int>(signals_seen));
    wire.client.send("x", MSG_NOSIGNAL);
    wire.client.say("SIGPIPE {} times", static_cast<int>(signals_seen));
}

void set_linger(const Side& side, int seconds) {
    const linger value{1, seconds};
    check(::setsockopt(side.fd(), SOL_SOCKET, SO_LINGER, &value, sizeof value), "set SO_LINGER");
}

void reset_by_linger(Wire& wire) {
    wire.client.send("before the reset");
    wire.settle();
    set_linger(wire.client, 0);
    wire.client.close();
    wire.server.await(POLLERR);
    wire.server.poll(POLLIN | POLLOUT | POLLRDHUP);
    wire.server.receive(6);
    wire.server.receive(100);
    wire.server.receive(100);
    wire.server.receive(100);
    wire.server.send("x");
}

void reset_with_nothing_unread(Wire& wire) {
    set_linger(wire.client, 0);
    wire.client.close();
    wire.server.await(POLLERR);
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(wire.server.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
    wire.server.say("SO_ERROR {}", error == 0 ? "0" : ::strerrorname_np(error));
    wire.server.receive(10);
    wire.server.send("x");
}

void lingering_close(Wire& wire) {
    set_linger(wire.client, 1);
    wire.client.send("last words");
    wire.client.close();
    wire.server.receive_all(100);
}

void disconnect(Wire& wire) {
    wire.client.send("unread");
    wire.settle();
    sockaddr nowhere{};
    nowhere.sa_family = AF_UNSPEC;
    const std::string result =
        Side::result_of(::connect(wire.server.fd(), &nowhere, sizeof nowhere));
    wire.server.say("connect(AF_UNSPEC) -> {}", result);
    wire.server.receive(100);
    wire.server.send("x");
    wire.client.await(POLLHUP);
    wire.client.receive(10);
    wire.client.send("x");
}

void disconnect_and_connect_again(Wire& wire) {
    wire.client.send("unread of the first");
    wire.settle();
    sockaddr nowhere{};
    nowhere.sa_family = AF_UNSPEC;
    ::connect(wire.server.fd(), &nowhere, sizeof nowhere);
    Fd listener(check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    sockaddr_in name = loopback();
    socklen_t size = sizeof name;
    check(::bind(listener.get(), reinterpret_cast<sockaddr*>(&name), size), "bind");
    check(::listen(listener.get(), 1), "listen");
    check(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&name), &size), "getsockname");
    ::connect(wire.server.fd(), reinterpret_cast<sockaddr*>(&name), size);
    wire.server.await(POLLOUT);
    const Fd accepted(check(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC), "accept"));
    wire.server.receive(100);
    static_cast<void>(!::write(accepted.get(), "second", 6));
    wire.server.receive_all(6);
    wire.client.send("to the first");
    wire.server.send("answer");
    std::array<char, 10> buffer{};
    wire.server.say("the second gets {} bytes",
                    Side::result_of(::recv(accepted.get(), buffer.data(), buffer.size(), 0)));
    wire.server.expect_silence();
}

void connect_again(Wire& wire) {
    sockaddr_in name{};
    socklen_t size = sizeof name;
    check(::getpeername(wire.client.fd(), reinterpret_cast<sockaddr*>(&name), &size),
          "getpeername");
    wire.client.say(
        "connect -> {}",
        Side::result_of(::connect(wire.client.fd(), reinterpret_cast<sockaddr*>(&name), size)));
    wire.client.say("listen -> {}", Side::result_of(::listen(wire.client.fd(), 1)));
    one_message(wire);
}

// --- blocking calls. Each with a timeout, so that none lasts.

void blocking_read_times_out(Wire& wire) {
    wire.server.set_blocking(true);
    set_timeout(wire.server, SO_RCVTIMEO, std::chrono::milliseconds(50));
    const auto begin = std::chrono::steady_clock::now();
    wire.server.receive(10);
    const bool waited = std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds(40);
    wire.server.say("{}", waited ? "after the time" : "too early");
}

void blocking_read_gets_what_is_there(Wire& wire) {
    wire.client.send("hello");
    wire.settle();
    wire.server.set_blocking(true);
    set_timeout(wire.server, SO_RCVTIMEO, std::chrono::seconds(2));
    wire.server.receive(10);
}

void blocking_read_waits_for_data(Wire& wire) {
    wire.server.set_blocking(true);
    set_timeout(wire.server, SO_RCVTIMEO, std::chrono::seconds(2));
    std::thread reader([&wire] { wire.server.receive(10); });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    wire.count_sent(::send(wire.client.fd(), "hello", 5, 0));
    reader.join();
}

void blocking_read_waits_for_the_end(Wire& wire) {
    wire.server.set_blocking(true);
    set_timeout(wire.server, SO_RCVTIMEO, std::chrono::seconds(2));
    std::thread reader([&wire] { wire.server.receive(10); });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ::shutdown(wire.client.fd(), SHUT_WR);
    reader.join();
}

void blocking_read_is_interrupted(Wire& wire) {
    const Handler handler(SIGUSR1);
    wire.server.set_blocking(true);
    set_timeout(wire.server, SO_RCVTIMEO, std::chrono::seconds(2));
    std::thread reader([&wire] { wire.server.receive(10); });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ::pthread_kill(reader.native_handle(), SIGUSR1);
    reader.join();
}

// shutdown(2) wakes who waits for the answer, and so does the acknowledgement of the FIN.
void blocking_read_half_closes(Wire& wire) {
    wire.client.send("request");
    wire.settle();
    wire.server.receive(100);
    wire.client.set_blocking(true);
    set_timeout(wire.client, SO_RCVTIMEO, std::chrono::seconds(2));
    std::thread reader([&wire] {
        for (int attempt = 0; attempt < 3 && wire.client.receive(100).empty(); attempt++) {
        }
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ::shutdown(wire.client.fd(), SHUT_WR);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    wire.count_sent(::send(wire.server.fd(), "answer", 6, 0));
    reader.join();
}

void blocking_ends_by_turns(Wire& wire) {
    for (Side* side : {&wire.client, &wire.server}) {
        side->set_blocking(true);
        set_timeout(*side, SO_RCVTIMEO, std::chrono::seconds(2));
    }
    std::uint64_t answered = 0;
    std::thread server([&wire, &answered] {
        std::array<char, 100> buffer{};
        for (int turn = 0; turn < 100; turn++) {
            const ssize_t got = ::recv(wire.server.fd(), buffer.data(), buffer.size(), 0);
            if (got <= 0)
                return;
            const ssize_t put =
                ::send(wire.server.fd(), buffer.data(), static_cast<std::size_t>(got), 0);
            answered += put > 0 ? static_cast<std::uint64_t>(put) : 0;
        }
    });
    std::string last;
    for (int turn = 0; turn < 100; turn++) {
        const std::string bytes = text(1 + static_cast<std::size_t>(turn) % 100, 3);
        std::array<char, 100> buffer{};
        wire.count_sent(::send(wire.client.fd(), bytes.data(), bytes.size(), 0));
        const ssize_t got = ::recv(wire.client.fd(), buffer.data(), buffer.size(), 0);
        last = got < 0 ? Side::result_of(got)
                       : std::string(buffer.data(), static_cast<std::size_t>(got));
        if (last != bytes) {
            wire.client.say("turn {} gets {}", turn, Side::content_of(last));
            break;
        }
    }
    server.join();
    wire.sent += answered;
    wire.client.say("{} bytes come back", answered);
}

// Room for a sender wakes who reads from the same socket.
void blocking_read_beside_a_sender_that_waits(Wire& wire) {
    constexpr std::size_t kSize = 16 * kMiB;
    wire.client.set_blocking(true);
    set_timeout(wire.client, SO_SNDTIMEO, std::chrono::seconds(10));
    set_timeout(wire.client, SO_RCVTIMEO, std::chrono::seconds(10));
    std::thread sender([&wire] {
        const std::string bytes = text(kSize, 4);
        wire.count_sent(::send(wire.client.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL));
    });
    std::string answer;
    bool is_cut_short = false;
    std::thread reader([&] {
        std::array<char, 100> buffer{};
        for (int attempt = 0; attempt < 1000 && answer.empty(); attempt++) {
            const ssize_t count = ::recv(wire.client.fd(), buffer.data(), buffer.size(), 0);
            if (count > 0)
                answer.assign(buffer.data(), static_cast<std::size_t>(count));
            is_cut_short = is_cut_short || count < 0;
        }
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    std::size_t got = 0;
    static_cast<void>(wait_until([&] {
        std::array<char, 65536> buffer{};
        const ssize_t count = ::recv(wire.server.fd(), buffer.data(), buffer.size(), 0);
        got += count > 0 ? static_cast<std::size_t>(count) : 0;
        return got >= kSize;
    }));
    sender.join();
    ::send(wire.server.fd(), "answer", 6, 0);
    reader.join();
    wire.client.say("gets {} {}", Side::content_of(answer),
                    is_cut_short ? "after EAGAIN" : "at once");
    wire.server.say("gets {} bytes", got);
}

// What is behind a wait that a signal has cut short: nothing is lost by it.
void blocking_read_goes_on_after_a_signal(Wire& wire) {
    const Handler handler(SIGUSR1);
    wire.server.set_blocking(true);
    set_timeout(wire.server, SO_RCVTIMEO, std::chrono::seconds(2));
    std::string got;
    std::thread reader([&wire, &got] {
        std::array<char, 100> buffer{};
        for (int attempt = 0; attempt < 3 && got.size() < 5; attempt++) {
            const ssize_t count = ::recv(wire.server.fd(), buffer.data(), buffer.size(), 0);
            if (count > 0)
                got.append(buffer.data(), static_cast<std::size_t>(count));
        }
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ::pthread_kill(reader.native_handle(), SIGUSR1);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    wire.count_sent(::send(wire.client.fd(), "hello", 5, 0));
    reader.join();
    wire.server.say("gets {}", Side::content_of(got));
}

void waitall_over_what_was_redirected(Wire& wire) {
    wire.client.send("redirected, ");
    wire.settle();
    wire.server.set_blocking(true);
    set_timeout(wire.server, SO_RCVTIMEO, std::chrono::seconds(2));
    std::thread sender([&wire] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        const ssize_t taken = ::send(wire.client.fd(), "by TCP", 6, 0);
        wire.client.count_sent(taken);
    });
    wire.server.receive(18, MSG_WAITALL);
    sender.join();
    wire.settle();
    wire.server.set_blocking(false);
    wire.server.receive(18);
}

void waitall_without_waiting(Wire& wire) {
    wire.client.send("hello");
    wire.settle();
    wire.server.receive(3, MSG_WAITALL);
    wire.server.receive(10, MSG_WAITALL);
}

void blocking_sender(Wire& wire) {
    constexpr std::size_t kSize = 8 * kMiB;
    wire.client.set_blocking(true);
    set_timeout(wire.client, SO_SNDTIMEO, std::chrono::seconds(10));
    std::thread sender([&wire] { wire.client.send(text(kSize, 4)); });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    std::string got;
    static_cast<void>(wait_until([&] {
        std::array<char, 65536> buffer{};
        const ssize_t count = ::recv(wire.server.fd(), buffer.data(), buffer.size(), 0);
        if (count > 0)
            got.append(buffer.data(), static_cast<std::size_t>(count));
        return got.size() >= kSize;
    }));
    sender.join();
    wire.server.say("{} bytes arrive, {}", got.size(),
                    got == text(kSize, 4) ? "the right ones" : "not the right ones");
}

void blocking_sender_times_out(Wire& wire) {
    wire.client.set_blocking(true);
    set_timeout(wire.client, SO_SNDTIMEO, std::chrono::milliseconds(50));
    const std::string bytes = text(64 * kMiB, 4);
    const ssize_t taken = ::send(wire.client.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    wire.client.say("takes {}", taken > 0 && taken < ssize_t{64} * static_cast<ssize_t>(kMiB)
                                    ? "some"
                                    : Side::result_of(taken));
    wire.client.count_sent(taken);
    // Whether there is room for one byte more is up to the moment, also on plain TCP.
    const ssize_t one_more = ::send(wire.client.fd(), "x", 1, MSG_NOSIGNAL);
    wire.client.count_sent(one_more);
    std::string sent = bytes.substr(0, taken > 0 ? static_cast<std::size_t>(taken) : 0);
    if (one_more > 0)
        sent += 'x';
    std::string got;
    static_cast<void>(wait_until([&] {
        std::vector<char> buffer(kMiB);
        const ssize_t count = ::recv(wire.server.fd(), buffer.data(), buffer.size(), 0);
        if (count > 0)
            got.append(buffer.data(), static_cast<std::size_t>(count));
        return got.size() >= sent.size();
    }));
    wire.server.say("what was taken arrives, {}",
                    got == sent ? "and nothing else" : "not as it was");
}

void data_by_tcp_follows_redirected_data(Wire& wire) {
    wire.client.send("redirected, ");
    wire.settle();
    wire.server.set(SOL_SOCKET, SO_RCVLOWAT, 2, "SO_RCVLOWAT");
    wire.client.send("by TCP");
    wire.settle();
    wire.server.set(SOL_SOCKET, SO_RCVLOWAT, 1, "SO_RCVLOWAT");
    wire.server.receive(100);
    wire.server.receive(100);
    wire.server.receive(100);
    wire.client.send("redirected again");
    wire.settle();
    wire.server.receive(100);
}

// --- options

void low_water_mark(Wire& wire) {
    wire.server.set(SOL_SOCKET, SO_RCVLOWAT, 10, "SO_RCVLOWAT");
    wire.client.send("short");
    wire.settle();
    wire.server.poll(POLLIN);
    wire.client.send("long enough");
    wire.settle();
    wire.server.poll(POLLIN);
    wire.server.receive(100);
}

void low_water_mark_for_what_is_there(Wire& wire) {
    wire.client.send("short");
    wire.settle();
    wire.server.set(SOL_SOCKET, SO_RCVLOWAT, 10, "SO_RCVLOWAT");
    wire.server.poll(POLLIN);
    wire.server.receive(100);
}

void readable_bytes(Wire& wire) {
    const auto ask = [&wire](const char* when) {
        int bytes = 0;
        const std::string result = Side::result_of(::ioctl(wire.server.fd(), FIONREAD, &bytes));
        wire.server.say("{} FIONREAD -> {}, {}", when, result, bytes);
    };
    ask("first");
    wire.client.send("hello ");
    wire.client.send("world");
    wire.settle();
    ask("of two messages");
    wire.server.receive(3);
    ask("after a read");
    wire.server.receive(100);
    ask("at the end");
}

void readable_bytes_by_tcp(Wire& wire) {
    wire.server.set(SOL_SOCKET, SO_RCVLOWAT, 2, "SO_RCVLOWAT");
    wire.client.send("by TCP");
    wire.settle();
    int bytes = 0;
    const std::string result = Side::result_of(::ioctl(wire.server.fd(), FIONREAD, &bytes));
    wire.server.say("FIONREAD -> {}, {}", result, bytes);
    wire.server.receive(100);
}

void unsent_bytes(Wire& wire) {
    wire.client.send("hello");
    wire.settle();
    int bytes = -1;
    const std::string result = Side::result_of(::ioctl(wire.client.fd(), TIOCOUTQ, &bytes));
    wire.client.say("SIOCOUTQ -> {}, {}", result, bytes);
    wire.server.receive(10);
}

std::string controls_of(msghdr& header) {
    std::string text;
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c))
        text += c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMP ? " a time stamp"
                : c->cmsg_level == IPPROTO_TCP && c->cmsg_type == TCP_CM_INQ
                    ? " the bytes that are left"
                    : " something else";
    return text.empty() ? " nothing" : text;
}

void receive_with_controls(Side& side, std::size_t size) {
    std::array<char, 100> buffer{};
    alignas(cmsghdr) std::array<char, 200> control{};
    iovec vector{buffer.data(), size};
    msghdr header{};
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const std::string result = Side::result_of(::recvmsg(side.fd(), &header, 0));
    side.say("recvmsg -> {}, control:{}", result, controls_of(header));
}

void time_stamps(Wire& wire) {
    wire.server.set(SOL_SOCKET, SO_TIMESTAMP, 1, "SO_TIMESTAMP");
    // The kernel begins to stamp packets a moment after the first socket asks for it.
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    wire.client.send("hello");
    wire.settle();
    receive_with_controls(wire.server, 100);
}

void bytes_that_are_left(Wire& wire) {
    wire.server.set(IPPROTO_TCP, TCP_INQ, 1, "TCP_INQ");
    wire.client.send("hello");
    wire.settle();
    receive_with_controls(wire.server, 2);
}

void zerocopy(Wire& wire) {
    wire.client.set(SOL_SOCKET, SO_ZEROCOPY, 1, "SO_ZEROCOPY");
    wire.client.send("hello", MSG_ZEROCOPY);
    wire.server.receive_all(5);
    pollfd polled{wire.client.fd(), 0, 0};
    const int count = ::poll(&polled, 1, 300);
    wire.client.say("{}", count > 0 ? "is told when the buffer is free" : "is told nothing");
}

void peek_offset(Wire& wire) {
    wire.server.set(SOL_SOCKET, SO_PEEK_OFF, 2, "SO_PEEK_OFF");
    wire.client.send("hello world");
    wire.settle();
    wire.server.receive(3, MSG_PEEK);
    wire.server.receive(3, MSG_PEEK);
    wire.server.receive(100);
}

void peek_offset_for_what_is_there(Wire& wire) {
    wire.client.send("hello world");
    wire.settle();
    wire.server.set(SOL_SOCKET, SO_PEEK_OFF, 2, "SO_PEEK_OFF");
    wire.server.receive(3, MSG_PEEK);
    wire.server.receive(100);
}

void harmless_options(Wire& wire) {
    wire.client.set(IPPROTO_TCP, TCP_NODELAY, 0, "TCP_NODELAY");
    wire.client.set(SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE");
    wire.client.set(IPPROTO_TCP, TCP_USER_TIMEOUT, 1000, "TCP_USER_TIMEOUT");
    wire.client.set(SOL_SOCKET, SO_PRIORITY, 3, "SO_PRIORITY");
    wire.server.set(IPPROTO_TCP, TCP_QUICKACK, 1, "TCP_QUICKACK");
    wire.server.set(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 1000, "TCP_NOTSENT_LOWAT");
    wire.server.set(SOL_SOCKET, SO_OOBINLINE, 1, "SO_OOBINLINE");
    one_message(wire);
    wire.server.send("answer");
    wire.settle();
    wire.client.receive(100);
    tcp_info info{};
    socklen_t size = sizeof info;
    ::getsockopt(wire.client.fd(), IPPROTO_TCP, TCP_INFO, &info, &size);
    wire.client.say("state {}", info.tcpi_state);
}

void other_flags(Wire& wire) {
    wire.client.send("end of record", MSG_EOR);
    wire.settle();
    wire.server.receive(100);
    wire.client.send("confirmed", MSG_CONFIRM);
    wire.server.receive_all(9);
}

void small_buffers(Wire& wire) {
    wire.client.set(SOL_SOCKET, SO_SNDBUF, 4096, "SO_SNDBUF");
    wire.server.set(SOL_SOCKET, SO_RCVBUF, 4096, "SO_RCVBUF");
    pump(wire, wire.client, wire.server, 200 * kKiB, 5000);
}

void attach_tls(Wire& wire) {
    const std::string result =
        Side::result_of(::setsockopt(wire.server.fd(), IPPROTO_TCP, TCP_ULP, "tls", 4));
    // A kernel without TLS has nothing to compare, one that refuses it on such a socket is safe.
    wire.server.say("TCP_ULP {}",
                    result == "0" || result == "EBUSY" || result == "EINVAL" || result == "ENOENT"
                        ? "is attached or refused"
                        : result);
    wire.client.send("hello");
    wire.settle();
    wire.server.receive(100);
}

// What an application maps instead of copying it (TCP_ZEROCOPY_RECEIVE).
void map_what_is_received(Wire& wire) {
    constexpr std::size_t kSize = 64 * kKiB;
    void* area = ::mmap(nullptr, kSize, PROT_READ, MAP_SHARED, wire.server.fd(), 0);
    if (area == MAP_FAILED)
        return wire.server.say("mmap -> {}", Side::result_of(-1));
    wire.client.send(text(kSize / 2));
    wire.settle();
    // The part of struct tcp_zerocopy_receive that all kernels have.
    struct {
        std::uint64_t address = 0;
        std::uint32_t length = 0, recv_skip_hint = 0;
    } request;
    request.address = reinterpret_cast<std::uint64_t>(area);
    request.length = kSize;
    socklen_t size = sizeof request;
    const std::string result = Side::result_of(
        ::getsockopt(wire.server.fd(), IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &request, &size));
    wire.server.say("TCP_ZEROCOPY_RECEIVE -> {}, {} bytes to map or copy", result,
                    request.length > 0 || request.recv_skip_hint > 0 ? "some" : "no");
    ::munmap(area, kSize);
    wire.server.await(POLLIN);
    wire.server.poll(POLLIN);
}

// --- files and pipes

Fd file_of(const std::string& bytes) {
    Fd file(check(::memfd_create("body", MFD_CLOEXEC), "memfd_create"));
    static_cast<void>(!::pwrite(file.get(), bytes.data(), bytes.size(), 0));
    return file;
}

struct Pipe {
    Pipe() {
        std::array<int, 2> ends{};
        check(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), "pipe2");
        out = Fd(ends[0]);
        in = Fd(ends[1]);
    }
    Fd out, in;
};

void send_file(Wire& wire) {
    const std::string body = text(200 * kKiB, 6);
    const Fd file = file_of(body);
    off_t offset = 0;
    while (offset < static_cast<off_t>(body.size())) {
        const ssize_t taken =
            ::sendfile(wire.client.fd(), file.get(), &offset,
                       std::min(body.size() - static_cast<std::size_t>(offset), 50 * kKiB));
        if (taken <= 0) {
            wire.client.say("sendfile -> {}", Side::result_of(taken));
            return;
        }
        wire.client.count_sent(taken);
        wire.client.say("sendfile -> {}", taken);
        wire.server.receive_all(static_cast<std::size_t>(taken));
    }
}

void splice_in(Wire& wire) {
    const Pipe pipe;
    static_cast<void>(!::write(pipe.in.get(), "through a pipe", 14));
    const ssize_t taken = ::splice(pipe.out.get(), nullptr, wire.client.fd(), nullptr, 100,
                                   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    wire.client.say("splice -> {}", Side::result_of(taken));
    wire.client.count_sent(taken);
    wire.settle();
    wire.server.receive(100);
}

void splice_out(Wire& wire) {
    const Pipe pipe;
    wire.client.send("into a pipe");
    wire.settle();
    const auto once = [&] {
        const std::string result = Side::result_of(
            ::splice(wire.server.fd(), nullptr, pipe.in.get(), nullptr, 100, SPLICE_F_NONBLOCK));
        wire.server.say("splice -> {}", result);
    };
    once();
    wire.client.shutdown(SHUT_WR);
    wire.server.await(POLLRDHUP);
    once();
    wire.server.receive(100);
}

// --- io_uring

class Ring {
  public:
    Ring() { check_negative(::io_uring_queue_init(16, &ring_, 0), "io_uring_queue_init"); }
    ~Ring() { ::io_uring_queue_exit(&ring_); }
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    [[nodiscard]] static bool works() {
        io_uring ring{};
        if (::io_uring_queue_init(2, &ring, 0) != 0)
            return false;
        ::io_uring_queue_exit(&ring);
        return true;
    }

    [[nodiscard]] io_uring_sqe* next() { return ::io_uring_get_sqe(&ring_); }
    void submit() { ::io_uring_submit(&ring_); }

    // The next result, or nothing within the time.
    [[nodiscard]] std::optional<int> result(
        std::chrono::milliseconds timeout = std::chrono::seconds(2)) {
        io_uring_cqe* done = nullptr;
        __kernel_timespec time{timeout.count() / 1000, timeout.count() % 1000 * 1000000};
        if (::io_uring_wait_cqe_timeout(&ring_, &done, &time) != 0)
            return {};
        const int result = done->res;
        ::io_uring_cqe_seen(&ring_, done);
        return result;
    }

    [[nodiscard]] std::string text_of(std::optional<int> result) {
        if (!result)
            return "nothing";
        return *result < 0 ? ::strerrorname_np(-*result) : std::to_string(*result);
    }

  private:
    io_uring ring_{};
};

void ring_receive_waits(Wire& wire) {
    if (!Ring::works())
        return wire.client.say("no io_uring");
    Ring ring;
    std::array<char, 100> buffer{};
    ::io_uring_prep_recv(ring.next(), wire.server.fd(), buffer.data(), buffer.size(), 0);
    ring.submit();
    const auto early = ring.result(std::chrono::milliseconds(30));
    wire.server.say("recv -> {}", ring.text_of(early));
    wire.client.send("hello");
    const auto result = early ? early : ring.result();
    wire.server.say("recv -> {} \"{}\"", ring.text_of(result), buffer.data());
}

void ring_send_and_receive(Wire& wire) {
    if (!Ring::works())
        return wire.client.say("no io_uring");
    Ring ring;
    ::io_uring_prep_send(ring.next(), wire.client.fd(), "hello", 5, MSG_NOSIGNAL);
    ring.submit();
    const auto sent = ring.result();
    wire.client.say("send -> {}", ring.text_of(sent));
    wire.client.count_sent(sent.value_or(0));
    wire.settle();
    std::array<char, 100> buffer{};
    ::io_uring_prep_recv(ring.next(), wire.server.fd(), buffer.data(), buffer.size(), 0);
    ring.submit();
    wire.server.say("recv -> {} \"{}\"", ring.text_of(ring.result()), buffer.data());
    ::io_uring_prep_recv(ring.next(), wire.server.fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    ring.submit();
    wire.server.say("recv -> {}", ring.text_of(ring.result()));
    wire.client.shutdown(SHUT_WR);
    wire.server.await(POLLRDHUP);
    ::io_uring_prep_recv(ring.next(), wire.server.fd(), buffer.data(), buffer.size(), 0);
    ring.submit();
    wire.server.say("recv -> {}", ring.text_of(ring.result()));
}

void ring_poll(Wire& wire) {
    if (!Ring::works())
        return wire.client.say("no io_uring");
    Ring ring;
    ::io_uring_prep_poll_multishot(ring.next(), wire.server.fd(), POLLIN);
    ring.submit();
    wire.server.say("poll -> {}", ring.text_of(ring.result(std::chrono::milliseconds(30))));
    for (const char* message : {"one", "two", "three"}) {
        wire.client.send(message);
        wire.settle();
        const auto events = ring.result();
        wire.server.say("poll -> {}", events && (*events & POLLIN) != 0 ? "IN" : "nothing");
        wire.server.receive(100);
    }
}

// A notification says that the buffer may be used again.
void ring_zerocopy(Wire& wire) {
    if (!Ring::works())
        return wire.client.say("no io_uring");
    Ring ring;
    const std::string bytes = text(20000);
    ::io_uring_prep_send_zc(ring.next(), wire.client.fd(), bytes.data(), bytes.size(), 0, 0);
    ring.submit();
    const auto sent = ring.result();
    wire.client.say("send -> {}", ring.text_of(sent));
    wire.client.count_sent(sent.value_or(0));
    if (sent.value_or(0) < 0)
        return;
    wire.server.receive_all(bytes.size());
    wire.client.say("notification: {}", ring.result() ? "yes" : "no");
}

}  // namespace

const Transcript kCutShort = {R"(client: gets "answer" after EAGAIN)",
                              R"(server: gets 16777216 bytes)"};
// By shutdown(2), by the acknowledgement, or by both.
const Transcript kWokenOnce = {
    R"(client: send("request") -> 7)", R"(server: recv(100) -> 7 "request")",
    R"(client: recv(100) -> EAGAIN)", R"(client: recv(100) -> 6 "answer")"};
const Transcript kWokenTwice = {R"(client: send("request") -> 7)",
                                R"(server: recv(100) -> 7 "request")",
                                R"(client: recv(100) -> EAGAIN)", R"(client: recv(100) -> EAGAIN)",
                                R"(client: recv(100) -> 6 "answer")"};

const std::vector<Scenario>& scenarios() {
    static const std::vector<Scenario> all = {
        {"OneMessage", one_message},
        {"ByTurns", by_turns},
        {"SmallMessagesAreReadAsOne", small_messages_are_read_as_one},
        {"OneMessageIsReadInPieces", one_message_is_read_in_pieces},
        {"PiecesAcrossMessages", pieces_across_messages},
        {"NothingToSend", nothing_to_send},
        {"NothingToRead", nothing_to_read},
        {"ZeroBytesAreRead", zero_bytes_are_read},
        {"ZeroBytesAreReadWhereNothingIs", zero_bytes_are_read_where_nothing_is, Redirects::all,
         Difference{"Reading zero bytes returns 0 where nothing is there, not EAGAIN",
                    {{R"(server: recv(0) -> 0)"}}}},
        {"Vectors", vectors},
        {"ManyVectors", many_vectors},
        {"MessageHeaders", message_headers},
        {"SeveralMessagesACall", several_messages_a_call},
        {"ReadAndWrite", read_and_write},
        {"Peek", peek},
        {"Discard", discard, Redirects::all,
         Difference{"Data that is read with MSG_TRUNC is copied to the buffer",
                    {{R"(client: send("discarded, kept") -> 15)",
                      R"(server: recv(11, TRUNC) -> 11 "discarded, ")",
                      R"(server: recv(100) -> 4 "kept")"}}}},
        {"DiscardToNowhere", discard_to_nowhere, Redirects::all,
         Difference{"without one the call fails with EFAULT",
                    {{R"(client: send("discarded, kept") -> 15)",
                      R"(server: recv(no buffer, 11, TRUNC) -> EFAULT)",
                      R"(server: recv(100) -> 15 "discarded, kept")"}}}},
        {"MoreFollows", more_follows, Redirects::all,
         Difference{
             "What is redirected is not held back",
             {{R"(client: send("first, ", MORE) -> 7)", R"(server: something to read)",
               R"(client: send("second") -> 6)", R"(server: receives 13 of 13 "first, second")"}}}},
        {"Cork", cork, Redirects::all,
         Difference{
             "What is redirected is not held back",
             {{R"(client: TCP_CORK = 1 -> 0)", R"(client: send("first, ") -> 7)",
               R"(server: something to read)", R"(client: send("second") -> 6)",
               R"(client: TCP_CORK = 0 -> 0)", R"(server: receives 13 of 13 "first, second")"}}}},
        {"Urgent", urgent, Redirects::some,  // the witness, where it loads, has the pair leave
         Difference{"The byte arrives in the stream",
                    {{R"(client: send("calm") -> 4)", R"(client: send("!", OOB) -> 1)",
                      R"(server: poll(IN|PRI) -> IN)", R"(server: recv(100) -> 5 "calm!")",
                      R"(server: recv(1, OOB) -> EAGAIN)", R"(client: send("calm again") -> 10)",
                      R"(server: receives 10 of 10 "calm again")"}}}},
        {"LargeWritesOneWay", large_writes_one_way, Redirects::some},
        {"TinyReads", tiny_reads},
        {"FullThenRead", full_then_read, Redirects::some},
        {"FullForAWhileThenRead", full_for_a_while_then_read, Redirects::some},
        {"BadBuffers", bad_buffers, Redirects::all,
         Difference{"from it may return 0, where TCP fails with EFAULT",
                    {{R"(client: send(bad) -> 0)", R"(client: send("hello") -> 5)",
                      R"(server: recv(bad) -> EFAULT)", R"(server: recv(100) -> 5 "hello")"}},
                    true}},
        {"HalfBadBufferToRead", half_bad_buffer_to_read, Redirects::all,
         Difference{
             "gives what fits before it",
             {{R"(client: send("hello world") -> 11)", R"(server: recv(bad after 5 bytes) -> 5)",
               R"(server: recv(100) -> 6 " world")"}}}},
        {"HalfBadBufferToSend", half_bad_buffer_to_send, Redirects::all,
         Difference{"from it may return 0, where TCP fails with EFAULT",
                    {{R"(client: send(bad after 5 bytes) -> 0)", R"(client: send(" world") -> 6)",
                      R"(server: recv(100) -> 6 " world")"}},
                    true}},
        {"PollSaysWhatIsThere", poll_says_what_is_there},
        {"SelectSaysWhatIsThere", select_says_what_is_there},
        {"PollWakesASleeper", poll_wakes_a_sleeper},
        {"LevelTriggered", level_triggered},
        {"EdgeTriggered", edge_triggered},
        {"OneShot", one_shot},
        {"EdgeTriggeredStream", edge_triggered_stream, Redirects::some},
        {"EdgeTriggeredReaderThatTrustsShortReads", edge_triggered_reader_that_trusts_short_reads,
         Redirects::some},
        {"TwoWriters", two_writers, Redirects::some},
        {"TwoWritersOfMessagesUpTo64KiB", [](Wire& wire) { two_writers_at_once(wire, 64 * kKiB); },
         Redirects::some},
        {"TwoWritersOfLargerMessages", [](Wire& wire) { two_writers_at_once(wire, 700 * kKiB); },
         Redirects::some,
         Difference{"may be divided by one of another thread",
                    {{"client: SO_SNDBUFFORCE = 536870912 -> 0", "client: 0 partial sends",
                      "server: 21504000 and 21504000 bytes, messages in one another"}},
                    true}},
        {"TwoReaders", two_readers, Redirects::some},
        {"AFullSocketGetsItsEdge", a_full_socket_gets_its_edge, Redirects::some},
        {"SignalDriven", signal_driven},
        {"HalfClose", half_close},
        {"CloseAfterSending", close_after_sending},
        {"LargeThenClose", large_then_close},
        {"CloseOfADuplicate", close_of_a_duplicate},
        {"BothShutDown", both_shut_down},
        {"ShutDownReading", shut_down_reading, Redirects::some},
        {"ShutDownBothWithUnread", shut_down_both_with_unread},
        {"ShutDownTwice", shut_down_twice},
        {"DataAndEndAreOneEdge", data_and_end_are_one_edge},
        {"AnswerToAHalfClosedEndThatCloses", answer_to_a_half_closed_end_that_closes},
        {"CloseWithUnread", close_with_unread, Redirects::all,
         Difference{"A socket that is closed with redirected data unread sends FIN, not RST.",
                    {{R"(client: send("unread") -> 6)", R"(server: close)",
                      R"(client: poll(IN|OUT|RDHUP) -> IN|OUT|RDHUP)", R"(client: recv(10) -> 0)",
                      R"(client: recv(10) -> 0)"}}}},
        {"SendToAClosedEnd", send_to_a_closed_end, Redirects::none},
        {"BrokenPipeRaisesASignal", broken_pipe_raises_a_signal},
        {"ResetByLinger", reset_by_linger},
        {"ResetWithNothingUnread", reset_with_nothing_unread},
        {"LingeringClose", lingering_close},
        {"Disconnect", disconnect, Redirects::all,
         Difference{"still gives that data, until it is connected again",
                    {{R"(client: send("unread") -> 6)", R"(server: connect(AF_UNSPEC) -> 0)",
                      R"(server: recv(100) -> 6 "unread")", R"(server: send("x") -> ECONNRESET)",
                      R"(client: recv(10) -> ECONNRESET)", R"(client: send("x") -> EPIPE)"}}}},
        {"DisconnectAndConnectAgain", disconnect_and_connect_again, Redirects::some},
        {"ConnectAgain", connect_again},
        {"BlockingReadTimesOut", blocking_read_times_out},
        {"BlockingReadGetsWhatIsThere", blocking_read_gets_what_is_there},
        {"BlockingReadWaitsForData",
         blocking_read_waits_for_data,
         Redirects::none,
         {},
         Tolerated{}},
        {"BlockingEndsByTurns", blocking_ends_by_turns, Redirects::none, {}, Tolerated{}},
        {"BlockingReadGoesOnAfterASignal",
         blocking_read_goes_on_after_a_signal,
         Redirects::none,
         {},
         Tolerated{}},
        {"BlockingReadBesideASenderThatWaits", blocking_read_beside_a_sender_that_waits,
         Redirects::some, Difference{"may fail with EAGAIN", {kCutShort}, true},
         Tolerated{Redirects::some,
                   Difference{"a sender that has waited finds room again", {kCutShort}, true}}},
        {"BlockingReadHalfCloses", blocking_read_half_closes, Redirects::some,
         Difference{"may fail with EAGAIN", {kWokenOnce, kWokenTwice}, true},
         Tolerated{Redirects::some,
                   Difference{"when its own FIN is acknowledged", {kWokenOnce, kWokenTwice}}}},
        {"BlockingReadWaitsForTheEnd", blocking_read_waits_for_the_end},
        {"BlockingReadIsInterrupted", blocking_read_is_interrupted, Redirects::all,
         Difference{"may fail with EAGAIN", {{R"(server: recv(10) -> EAGAIN)"}}}},
        {"WaitallOverWhatWasRedirected", waitall_over_what_was_redirected, Redirects::some,
         Difference{"Returns early, with what was redirected so far.",
                    {{R"(client: send("redirected, ") -> 12)",
                      R"(server: recv(18, WAITALL) -> 12 "redirected, ")",
                      R"(server: recv(18) -> 6 "by TCP")"}}}},
        {"WaitallWithoutWaiting", waitall_without_waiting},
        {"BlockingSender", blocking_sender, Redirects::some},
        {"BlockingSenderTimesOut", blocking_sender_times_out, Redirects::some},
        {"DataByTcpFollowsRedirectedData", data_by_tcp_follows_redirected_data, Redirects::some,
         Difference{
             "A read ends where redirected data meets data by TCP",
             {{R"(client: send("redirected, ") -> 12)", R"(server: SO_RCVLOWAT = 2 -> 0)",
               R"(client: send("by TCP") -> 6)", R"(server: SO_RCVLOWAT = 1 -> 0)",
               R"(server: recv(100) -> 12 "redirected, ")", R"(server: recv(100) -> 6 "by TCP")",
               R"(server: recv(100) -> EAGAIN)", R"(client: send("redirected again") -> 16)",
               R"(server: recv(100) -> 16 "redirected again")"}}}},
        {"LowWaterMark", low_water_mark, Redirects::none},
        {"LowWaterMarkForWhatIsThere", low_water_mark_for_what_is_there, Redirects::all,
         Difference{"What was redirected before is readable, however little it is",
                    {{R"(client: send("short") -> 5)", R"(server: SO_RCVLOWAT = 10 -> 0)",
                      R"(server: poll(IN) -> IN)", R"(server: recv(100) -> 5 "short")"}}}},
        {"ReadableBytes", readable_bytes, Redirects::all,
         Difference{
             "Many kernels give a wrong number",
             {{R"(server: first FIONREAD -> 0, 0)", R"(client: send("hello ") -> 6)",
               R"(client: send("world") -> 5)", R"(server: of two messages FIONREAD -> 0, 0)",
               R"(server: recv(3) -> 3 "hel")", R"(server: after a read FIONREAD -> 0, 0)",
               R"(server: recv(100) -> 8 "lo world")", R"(server: at the end FIONREAD -> 0, 0)"}},
             true}},
        {"ReadableBytesByTcp", readable_bytes_by_tcp, Redirects::none,
         Difference{"Many kernels give a wrong number",
                    {{R"(server: SO_RCVLOWAT = 2 -> 0)", R"(client: send("by TCP") -> 6)",
                      R"(server: FIONREAD -> 0, 0)", R"(server: recv(100) -> 6 "by TCP")"}},
                    true}},
        {"UnsentBytes", unsent_bytes},
        {"TimeStamps", time_stamps, Redirects::none},
        {"BytesThatAreLeft", bytes_that_are_left, Redirects::none},
        {"Zerocopy", zerocopy, Redirects::none,
         Difference{"what was sent with MSG_ZEROCOPY before that is never told to be complete",
                    {{R"(client: SO_ZEROCOPY = 1 -> 0)", R"(client: send("hello", ZEROCOPY) -> 5)",
                      R"(server: receives 5 of 5 "hello")", R"(client: is told nothing)"}},
                    true}},
        {"PeekOffset", peek_offset, Redirects::by_kernel},
        {"PeekOffsetForWhatIsThere", peek_offset_for_what_is_there, Redirects::all,
         Difference{
             "peeking begins with its first byte, wherever the offset is",
             {{R"(client: send("hello world") -> 11)", R"(server: SO_PEEK_OFF = 2 -> 0)",
               R"(server: recv(3, PEEK) -> 3 "hel")", R"(server: recv(100) -> 11 "hello world")"}},
             true}},
        {"HarmlessOptions", harmless_options},
        {"OtherFlags", other_flags},
        {"MapWhatIsReceived", map_what_is_received, Redirects::all,
         Difference{"redirected data is not seen",
                    {{R"(client: send("qdmskdykvm…" (checksum f2a0f10cf61dcc95)) -> 32768)",
                      R"(server: TCP_ZEROCOPY_RECEIVE -> 0, no bytes to map or copy)",
                      R"(server: poll(IN) -> IN)"}}}},
        {"SmallBuffers", small_buffers, Redirects::by_kernel},
        {"AttachTls", attach_tls, Redirects::by_kernel},
        {"SendFile", send_file},
        {"SpliceIn", splice_in},
        {"SpliceOut", splice_out, Redirects::all,
         Difference{"redirected data is not seen, then there is a false end of file.",
                    {{R"(client: send("into a pipe") -> 11)", R"(server: splice -> EAGAIN)",
                      R"(client: shutdown(WR) -> 0)", R"(server: splice -> 0)",
                      R"(server: recv(100) -> 11 "into a pipe")"}}}},
        {"RingReceiveWaits", ring_receive_waits},
        {"RingSendAndReceive", ring_send_and_receive},
        {"RingPoll", ring_poll},
        {"RingZerocopy", ring_zerocopy, Redirects::all,
         Difference{"fail with EOPNOTSUPP from then on", {{R"(client: send -> EOPNOTSUPP)"}}}},
    };
    return all;
}

}  // namespace sockaccel::test
