// SPDX-License-Identifier: GPL-2.0-or-later
#include "wire.hpp"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <thread>

#include "wait_until.hpp"

namespace sockaccel::test {

namespace {

constexpr std::chrono::milliseconds kLong{2000};  // what comes at all, comes until then
constexpr std::chrono::milliseconds kShort{30};   // what has not come until then, does not
constexpr std::size_t kShownBytes = 40;

struct Flag {
    std::uint32_t bit;
    const char* name;
};

std::string names_of(std::uint32_t bits, std::span<const Flag> flags) {
    std::string text;
    for (const auto& [bit, name] : flags) {
        if ((bits & bit) == 0)
            continue;
        text += (text.empty() ? "" : "|") + std::string(name);
        bits &= ~bit;
    }
    if (bits != 0)
        text += fmt::format("|{:#x}", bits);
    return text.empty() ? "nothing" : text;
}

// The same values in poll(2) and epoll(7).
constexpr std::array<Flag, 7> kEvents{{{POLLIN, "IN"},
                                       {POLLPRI, "PRI"},
                                       {POLLOUT, "OUT"},
                                       {POLLERR, "ERR"},
                                       {POLLHUP, "HUP"},
                                       {POLLRDHUP, "RDHUP"},
                                       {POLLRDNORM, "RDNORM"}}};

constexpr std::array<Flag, 9> kMessageFlags{{{MSG_OOB, "OOB"},
                                             {MSG_PEEK, "PEEK"},
                                             {MSG_TRUNC, "TRUNC"},
                                             {MSG_DONTWAIT, "DONTWAIT"},
                                             {MSG_WAITALL, "WAITALL"},
                                             {MSG_MORE, "MORE"},
                                             {MSG_NOSIGNAL, "NOSIGNAL"},
                                             {MSG_ZEROCOPY, "ZEROCOPY"},
                                             {MSG_ERRQUEUE, "ERRQUEUE"}}};

std::string flags_text(int flags) {
    return flags == 0 ? "" : ", " + names_of(static_cast<std::uint32_t>(flags), kMessageFlags);
}

}  // namespace

std::string Side::result_of(ssize_t result) {
    return result < 0 ? ::strerrorname_np(errno) : std::to_string(result);
}

std::string Side::content_of(const std::string& bytes) {
    if (bytes.size() <= kShownBytes)
        return '"' + bytes + '"';
    std::uint64_t sum = 0xcbf29ce484222325U;  // FNV-1a
    for (const char byte : bytes)
        sum = (sum ^ static_cast<unsigned char>(byte)) * 0x100000001b3U;
    return fmt::format("\"{}…\" (checksum {:x})", bytes.substr(0, 10), sum);
}

void Side::count_sent(ssize_t result) {
    if (result > 0)
        sent_ += static_cast<std::uint64_t>(result);
}

ssize_t Side::send(const std::string& bytes, int flags) {
    const ssize_t taken = ::send(fd(), bytes.data(), bytes.size(), flags | MSG_NOSIGNAL);
    const std::string result = result_of(taken);
    say("send({}{}) -> {}", content_of(bytes), flags_text(flags), result);
    count_sent(taken);
    return taken;
}

std::string Side::receive(std::size_t size, int flags) {
    std::string bytes(size, '\0');
    const ssize_t got = ::recv(fd(), bytes.data(), size, flags);
    const std::string result = result_of(got);
    bytes.resize(got < 0 ? 0 : std::min(static_cast<std::size_t>(got), size));
    say("recv({}{}) -> {}{}", size, flags_text(flags), result,
        bytes.empty() ? "" : " " + content_of(bytes));
    return bytes;
}

void Side::receive_all(std::size_t size) {
    const auto deadline = std::chrono::steady_clock::now() + kLong;
    std::string all, end;
    while (all.size() < size && end.empty()) {
        std::array<char, 65536> buffer{};
        const std::size_t wanted = std::min(buffer.size(), size - all.size());
        const ssize_t got = ::recv(fd(), buffer.data(), wanted, MSG_DONTWAIT);
        if (got > 0) {
            all.append(buffer.data(), static_cast<std::size_t>(got));
        } else if (got == 0) {
            end = ", end of file";
        } else if (errno != EAGAIN) {
            end = ", " + result_of(got);
        } else if (std::chrono::steady_clock::now() > deadline) {
            end = ", no more";
        } else {
            pollfd polled{fd(), POLLIN, 0};
            ::poll(&polled, 1, 100);
        }
    }
    say("receives {} of {} {}{}", all.size(), size, content_of(all), end);
}

void Side::shutdown(int how) {
    const char* name = how == SHUT_RD ? "RD" : how == SHUT_WR ? "WR" : "RDWR";
    say("shutdown({}) -> {}", name, result_of(::shutdown(fd(), how)));
}

void Side::close() {
    say("close");
    end_.close();
}

void Side::set(int level, int option, int value, const char* name) {
    say("{} = {} -> {}", name, value,
        result_of(::setsockopt(fd(), level, option, &value, sizeof value)));
}

void Side::poll(short events) {
    pollfd polled{fd(), events, 0};
    ::poll(&polled, 1, 0);
    say("poll({}) -> {}", names_of(static_cast<std::uint16_t>(events), kEvents),
        names_of(static_cast<std::uint16_t>(polled.revents), kEvents));
}

void Side::await(short events) const {
    static_cast<void>(wait_until(
        [&] {
            pollfd polled{fd(), events, 0};
            return ::poll(&polled, 1, 0) > 0 && (polled.revents & events) != 0;
        },
        kLong));
}

void Side::expect_silence() {
    pollfd polled{fd(), POLLIN, 0};
    say("{} to read",
        ::poll(&polled, 1, static_cast<int>(kShort.count())) == 0 ? "nothing" : "something");
}

void Wire::settle() const {
    static_cast<void>(wait_until(
        [this] {
            for (const Side* side : {&client, &server}) {
                int unacknowledged = 0;
                if (side->fd() >= 0 && ::ioctl(side->fd(), SIOCOUTQ, &unacknowledged) == 0 &&
                    unacknowledged > 0)
                    return false;
            }
            return true;
        },
        kLong));
}

Watch::Watch(Side& side, std::uint32_t events)
    : side_(side), epoll_(check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {
    epoll_event event{events, {}};
    check(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, side.fd(), &event), "EPOLL_CTL_ADD");
}

void Watch::next() {
    side_.say("epoll: {}", names_of(wait(), kEvents));
}

void Watch::expect_none() {
    epoll_event event{};
    const int count = ::epoll_wait(epoll_.get(), &event, 1, static_cast<int>(kShort.count()));
    side_.say("epoll: {}", names_of(count > 0 ? event.events : 0, kEvents));
}

void Watch::rearm(std::uint32_t events) {
    epoll_event event{events, {}};
    check(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, side_.fd(), &event), "EPOLL_CTL_MOD");
}

std::uint32_t Watch::wait() const {
    epoll_event event{};
    return ::epoll_wait(epoll_.get(), &event, 1, static_cast<int>(kLong.count())) > 0 ? event.events
                                                                                      : 0;
}

std::string text(std::size_t size, unsigned seed) {
    std::string bytes(size, '\0');
    std::uint64_t state = seed;
    for (char& byte : bytes) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        byte = static_cast<char>('a' + (state >> 33U) % 26);
    }
    return bytes;
}

}  // namespace sockaccel::test
