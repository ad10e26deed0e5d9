// SPDX-License-Identifier: GPL-2.0-or-later
#include "service_manager.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>
#include <sstream>
#include <stdexcept>

#include "wait_until.hpp"

namespace sockaccel::test {

namespace {

constexpr const char* kMark = "X_MARK=1";

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
}

void send(const std::string& path, const std::string& message) {
    const Fd socket(check(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "open a socket"));
    const sockaddr_un address = address_of(path);
    check(static_cast<int>(::sendto(socket.get(), message.data(), message.size(), 0,
                                    reinterpret_cast<const sockaddr*>(&address), sizeof address)),
          "notify");
}

// What systemd looks at, unless it is told FDPOLL=0: a descriptor that polls so goes at once.
bool polls_as_error(const Fd& fd) {
    pollfd polled{fd.get(), 0, 0};
    return ::poll(&polled, 1, 0) > 0 && (polled.revents & (POLLERR | POLLHUP)) != 0;
}

}  // namespace

ServiceManager::ServiceManager()
    : address_(directory_.path() / "notify"),
      socket_(check(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "open a socket")) {
    const sockaddr_un address = address_of(address_);
    check(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
          "bind " + address_);
    thread_ = std::thread([this] { run(); });
}

ServiceManager::~ServiceManager() {
    stopping_ = true;
    send(address_, kMark);
    thread_.join();
}

void ServiceManager::serve(Command& command) {
    settle();
    command.environment["NOTIFY_SOCKET"] = address_;
    const std::lock_guard lock(mutex_);
    for (const auto& [name, fd] : kept_)
        command.descriptors.emplace_back(name, fd.get());
}

std::multiset<std::string> ServiceManager::names() {
    settle();
    const std::lock_guard lock(mutex_);
    std::multiset<std::string> names;
    for (const auto& [name, fd] : kept_)
        names.insert(name);
    return names;
}

bool ServiceManager::was_told(const std::string& line) {
    settle();
    const std::lock_guard lock(mutex_);
    return told_.count(line) > 0;
}

void ServiceManager::rename(const std::string& from, const std::string& to) {
    settle();
    const std::lock_guard lock(mutex_);
    auto node = kept_.extract(from);
    if (node.empty())
        throw std::runtime_error(from + " is not kept");
    node.key() = to;
    kept_.insert(std::move(node));
}

void ServiceManager::drop(const std::string& name) {
    settle();
    const std::lock_guard lock(mutex_);
    if (kept_.erase(name) == 0)
        throw std::runtime_error(name + " is not kept");
}

int ServiceManager::get(const std::string& name) {
    settle();
    const std::lock_guard lock(mutex_);
    const auto found = kept_.find(name);
    if (found == kept_.end())
        throw std::runtime_error(name + " is not kept");
    return found->second.get();
}

void ServiceManager::settle() {
    const unsigned before = marks_;
    send(address_, kMark);
    if (!wait_until([&] { return marks_ != before; }))
        throw std::runtime_error("the service manager does not listen any more");
}

void ServiceManager::run() {
    while (!stopping_)
        receive();
}

void ServiceManager::receive() {
    std::array<char, 4096> text{};
    constexpr std::size_t kMostFds = 253;  // SCM_MAX_FD
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostFds * sizeof(int))> control{};
    iovec part{text.data(), text.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t length = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC);
    if (length < 0)
        return;
    std::vector<Fd> fds;
    for (cmsghdr* each = CMSG_FIRSTHDR(&header); each != nullptr;
         each = CMSG_NXTHDR(&header, each)) {
        if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS)
            continue;
        for (std::size_t at = 0; at + sizeof(int) <= each->cmsg_len - CMSG_LEN(0);
             at += sizeof(int)) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(each) + at, sizeof fd);
            fds.emplace_back(fd);
        }
    }
    const std::string message(text.data(), static_cast<std::size_t>(length));
    if (message == kMark)
        ++marks_;
    else
        take(message, std::move(fds));
}

void ServiceManager::take(const std::string& message, std::vector<Fd> fds) {
    const std::lock_guard lock(mutex_);
    std::set<std::string> lines;
    std::string name = "stored";
    std::istringstream stream(message);
    for (std::string line; std::getline(stream, line);) {
        lines.insert(line);
        if (line.rfind("FDNAME=", 0) == 0)
            name = line.substr(7);
    }
    told_.insert(lines.begin(), lines.end());
    if (lines.count("FDSTOREREMOVE=1") > 0)
        kept_.erase(name);
    if (lines.count("FDSTORE=1") == 0)
        return;
    for (Fd& fd : fds)
        if (lines.count("FDPOLL=0") > 0 || !polls_as_error(fd))
            kept_.emplace(name, std::move(fd));
}

}  // namespace sockaccel::test
