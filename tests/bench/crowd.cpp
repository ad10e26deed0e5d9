// SPDX-License-Identifier: GPL-2.0-or-later
#include "crowd.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

#include "fd.hpp"
#include "rig.hpp"

namespace sockaccel::bench {
namespace {

constexpr std::size_t kMostOfEach = 20000;  // there are some 28,000 ports for clients

struct Pair {
    Fd client, server;
};

struct Range {
    std::size_t begin = 0, end = 0;
};

// That one process may have: each takes two of its files.
std::size_t most_of_each() {
    rlimit limit{};
    check(::getrlimit(RLIMIT_NOFILE, &limit), "look at the limit of open files");
    constexpr rlim_t kOthers = 100;
    return std::min<std::size_t>(kMostOfEach, (limit.rlim_max - kOthers) / 2);
}

void raise_limit() {
    rlimit limit{};
    check(::getrlimit(RLIMIT_NOFILE, &limit), "look at the limit of open files");
    limit.rlim_cur = limit.rlim_max;
    check(::setrlimit(RLIMIT_NOFILE, &limit), "raise the limit of open files");
}

std::vector<Pair> connect(std::size_t count) {
    raise_limit();
    const Fd listener(check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "make a socket"));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    check(::bind(listener.get(), generic, length), "bind");
    check(::listen(listener.get(), 16), "listen");
    check(::getsockname(listener.get(), generic, &length), "find a port");
    std::vector<Pair> pairs(count);
    for (Pair& pair : pairs) {
        pair.client = Fd(check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "make a socket"));
        check(::connect(pair.client.get(), generic, length), "connect");
        pair.server =
            Fd(check(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK),
                     "accept a connection"));
        check(::fcntl(pair.client.get(), F_SETFL, O_NONBLOCK), "make a socket non-blocking");
    }
    return pairs;
}

void pass_byte(const Fd& from, const Fd& to) {
    char byte = 'x';
    check(static_cast<int>(::send(from.get(), &byte, 1, MSG_NOSIGNAL)), "send");
    pollfd waited{to.get(), POLLIN, 0};
    while (::recv(to.get(), &byte, 1, 0) < 0)
        if (::poll(&waited, 1, 5000) == 0)
            throw std::runtime_error("a byte does not arrive");
}

void be_crowd(const test::TestCgroup& cgroup, std::size_t count, int channel) {
    move_to(cgroup, ::getpid());
    const std::vector<Pair> pairs = connect(count);
    Range range;
    while (::send(channel, "", 1, MSG_NOSIGNAL) == 1 &&
           ::recv(channel, &range, sizeof range, 0) == sizeof range)
        for (std::size_t i = range.begin; i < range.end; ++i) {
            pass_byte(pairs[i].client, pairs[i].server);
            pass_byte(pairs[i].server, pairs[i].client);
        }
}

void await(int channel) {
    char is_done = 0;
    if (::recv(channel, &is_done, 1, 0) != 1)
        throw std::runtime_error("the process with many connections has ended");
}

}  // namespace

// One process.
class Crowd::Member {
  public:
    Member(const test::TestCgroup& cgroup, std::size_t count) {
        std::array<int, 2> fds{};
        check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()),
              "make a channel");
        channel_ = Fd(fds[0]);
        Fd far(fds[1]);
        const pid_t parent = ::getpid();
        pid_ = check(::fork(), "make a process");
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            channel_ = {};
            try {
                if (::getppid() == parent)
                    be_crowd(cgroup, count, far.get());
            } catch (const std::exception& error) {
                std::fprintf(stderr, "many connections: %s\n", error.what());
            }
            ::_exit(1);
        }
        far = {};
        await(channel_.get());
    }
    ~Member() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;

    void converse(const Range& range) const {
        check(static_cast<int>(::send(channel_.get(), &range, sizeof range, MSG_NOSIGNAL)),
              "order a conversation");
        await(channel_.get());
    }

  private:
    Fd channel_;
    pid_t pid_ = -1;
};

Crowd::Crowd(const test::TestCgroup& cgroup, std::size_t count)
    : count_(count), of_each_(most_of_each()) {
    for (std::size_t made = 0; made < count; made += of_each_)
        members_.push_back(std::make_unique<Member>(cgroup, std::min(of_each_, count - made)));
}

Crowd::~Crowd() = default;

void Crowd::converse(std::size_t begin, std::size_t end) {
    for (std::size_t i = 0; i < members_.size(); ++i) {
        const std::size_t first = i * of_each_;
        const Range range{std::max(begin, first) - first,
                          std::min(std::max(end, first) - first, of_each_)};
        if (range.begin < range.end)
            members_[i]->converse(range);
    }
}

}  // namespace sockaccel::bench
