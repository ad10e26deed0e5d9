// SPDX-License-Identifier: GPL-2.0-or-later
#include "place.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

namespace sockaccel::test {

namespace {

constexpr std::size_t kFdsPerMessage = 250;  // the kernel's SCM_MAX_FD is 253

union Control {
    cmsghdr header;
    std::array<char, CMSG_SPACE(sizeof(int) * kFdsPerMessage)> space;
};

// Called in the child: no allocation, no exception.
void enter(const Fd& cgroup_procs, const Fd& netns, bool has_own_users) {
    if (cgroup_procs && ::write(cgroup_procs.get(), "0", 1) != 1)
        ::_exit(4);
    if (netns && ::setns(netns.get(), CLONE_NEWNET) != 0)
        ::_exit(5);
    if (has_own_users && ::unshare(CLONE_NEWUSER) != 0)
        ::_exit(6);
}

// As that one.
[[noreturn]] void make_and_send(int channel, int family, std::size_t count, int protocol) {
    std::array<int, kFdsPerMessage> fds{};
    while (count > 0) {
        const std::size_t batch = std::min(count, kFdsPerMessage);
        for (std::size_t i = 0; i < batch; i++) {
            fds[i] = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
            if (fds[i] < 0)
                ::_exit(2);
        }
        char byte = 0;
        iovec data{&byte, 1};
        Control control{};
        msghdr message{};
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * batch);
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * batch);
        std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * batch);
        if (::sendmsg(channel, &message, MSG_NOSIGNAL) < 0)
            ::_exit(3);
        for (std::size_t i = 0; i < batch; i++)
            ::close(fds[i]);
        count -= batch;
    }
    ::_exit(0);
}

void receive(int channel, std::vector<Fd>& sockets) {
    char byte = 0;
    iovec data{&byte, 1};
    Control control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    if (check(static_cast<int>(::recvmsg(channel, &message, MSG_CMSG_CLOEXEC)),
              "receive sockets from the child process") == 0)
        throw std::runtime_error("the child process could not make its sockets");
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header == nullptr || header->cmsg_type != SCM_RIGHTS)
        throw std::runtime_error("no sockets in the child process's message");
    std::array<int, kFdsPerMessage> fds{};
    const std::size_t bytes = header->cmsg_len - CMSG_LEN(0);
    std::memcpy(fds.data(), CMSG_DATA(header), bytes);
    for (std::size_t i = 0; i < bytes / sizeof(int); i++)
        sockets.emplace_back(fds[i]);
}

Fd open_file(const std::string& file, int flags) {
    return Fd(check(::open(file.c_str(), flags | O_CLOEXEC), "open " + file));
}

}  // namespace

Fd Place::socket(int family, int protocol) const {
    return std::move(sockets(family, 1, protocol).front());
}

std::vector<Fd> Place::sockets(int family, std::size_t count, int protocol) const {
    std::array<int, 2> ends{};
    check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), "make a channel");
    const Fd ours(ends[0]);
    Fd theirs(ends[1]);
    const Fd cgroup_procs = cgroup_.empty() ? Fd() : open_file(procs(), O_WRONLY);
    const Fd netns = netns_ == nullptr ? Fd() : open_file(netns_->file(), O_RDONLY);
    const pid_t child = check(::fork(), "fork");
    if (child == 0) {
        enter(cgroup_procs, netns, has_own_users_);
        make_and_send(theirs.get(), family, count, protocol);
    }
    theirs = Fd();
    std::vector<Fd> sockets;
    std::exception_ptr failure;
    try {
        while (sockets.size() < count)
            receive(ours.get(), sockets);
    } catch (...) {
        failure = std::current_exception();
    }
    int status = 0;
    check(::waitpid(child, &status, 0), "wait for the child process");
    if (failure)
        std::rethrow_exception(failure);
    return sockets;
}

Command Place::command(const std::vector<std::string>& arguments) const {
    Command command;
    if (!cgroup_.empty())
        command.arguments = {"sh", "-c", "echo 0 >\"$0\" && exec \"$@\"", procs()};
    if (netns_ != nullptr)
        command.arguments.insert(command.arguments.end(), {"nsenter", "--net=" + netns_->file()});
    command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
    return command;
}

}  // namespace sockaccel::test
