// SPDX-License-Identifier: GPL-2.0-or-later
#include "sockets.hpp"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <stdexcept>

#include "cgroup_tree.hpp"
#include "fd.hpp"

namespace sockaccel::ctl {

namespace {

// Enough for the kernel to put a good many sockets into one answer.
constexpr std::size_t kAnswer = 1UL << 16;

std::optional<int> number(std::string_view text) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size())
        return {};
    return value;
}

std::vector<int> pids() {
    std::vector<int> result;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error))
        if (const auto pid = number(entry.path().filename().string()))
            result.push_back(*pid);
    std::sort(result.begin(), result.end());
    return result;
}

Address address_of(const __be32 (&words)[4], std::uint8_t family) {
    Address address;
    if (family == AF_INET) {
        address.bytes[10] = address.bytes[11] = 0xff;
        std::memcpy(&address.bytes[12], words, 4);
    } else {
        std::memcpy(address.bytes.data(), words, 16);
    }
    return address;
}

Socket read_socket(const nlmsghdr& header) {
    inet_diag_msg message{};
    std::memcpy(&message, NLMSG_DATA(&header), sizeof(message));
    Socket socket;
    socket.local = address_of(message.id.idiag_src, message.idiag_family);
    socket.remote = address_of(message.id.idiag_dst, message.idiag_family);
    socket.local_port = ntohs(message.id.idiag_sport);
    socket.remote_port = ntohs(message.id.idiag_dport);
    socket.is_listening = message.idiag_state == BPF_TCP_LISTEN;
    socket.is_established = message.idiag_state == BPF_TCP_ESTABLISHED;
    socket.cookie = message.id.idiag_cookie[0] | std::uint64_t{message.id.idiag_cookie[1]} << 32;
    socket.inode = message.idiag_inode;
    socket.uid = message.idiag_uid;

    auto length = static_cast<int>(header.nlmsg_len - NLMSG_LENGTH(sizeof(message)));
    const auto* attribute = reinterpret_cast<const rtattr*>(
        static_cast<const char*>(NLMSG_DATA(&header)) + NLMSG_ALIGN(sizeof(message)));
    for (; RTA_OK(attribute, length); attribute = RTA_NEXT(attribute, length)) {
        tcp_info info{};
        if (attribute->rta_type == INET_DIAG_CGROUP_ID &&
            RTA_PAYLOAD(attribute) >= sizeof(socket.cgroup))
            std::memcpy(&socket.cgroup, RTA_DATA(attribute), sizeof(socket.cgroup));
        if (attribute->rta_type == INET_DIAG_INFO && RTA_PAYLOAD(attribute) >= sizeof(info)) {
            std::memcpy(&info, RTA_DATA(attribute), sizeof(info));
            socket.data_segments = std::uint64_t{info.tcpi_data_segs_in} + info.tcpi_data_segs_out;
        }
    }
    return socket;
}

// Appends those of one address family, in the network namespace that this thread is in.
void list(std::uint8_t family, std::vector<Socket>& sockets) {
    const Fd netlink(check(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG),
                           "list the TCP sockets: open sock_diag"));
    struct {
        nlmsghdr header;
        inet_diag_req_v2 request;
    } message{};
    message.header.nlmsg_len = sizeof(message);
    message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    message.request.sdiag_family = family;
    message.request.sdiag_protocol = IPPROTO_TCP;
    message.request.idiag_ext = 1U << (INET_DIAG_INFO - 1);
    message.request.idiag_states = ~0U;
    check(static_cast<int>(send(netlink.get(), &message, sizeof(message), 0)),
          "list the TCP sockets: ask sock_diag");

    alignas(nlmsghdr) std::array<char, kAnswer> answer{};
    while (true) {
        auto length = static_cast<std::uint32_t>(
            check(static_cast<int>(recv(netlink.get(), answer.data(), answer.size(), 0)),
                  "list the TCP sockets"));
        const auto* header = reinterpret_cast<const nlmsghdr*>(answer.data());
        for (; NLMSG_OK(header, length); header = NLMSG_NEXT(header, length)) {
            if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR)
                return;
            sockets.push_back(read_socket(*header));
        }
    }
}

void list(std::vector<Socket>& sockets) {
    list(AF_INET, sockets);
    list(AF_INET6, sockets);
}

// This thread goes back where it was when this ends.
class Stay {
  public:
    explicit Stay(const std::string& netns)
        : home_(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)) {
        const Fd there(open(netns.c_str(), O_RDONLY | O_CLOEXEC));
        is_there_ = home_.get() >= 0 && there.get() >= 0 && setns(there.get(), CLONE_NEWNET) == 0;
    }
    ~Stay() {
        if (is_there_ && setns(home_.get(), CLONE_NEWNET) != 0)
            std::abort();  // anything that it would say would be of another host
    }
    Stay(const Stay&) = delete;
    Stay& operator=(const Stay&) = delete;
    [[nodiscard]] bool is_there() const { return is_there_; }

  private:
    Fd home_;
    bool is_there_ = false;
};

// The inode that a link such as socket:[4711] names; none: it is no socket.
std::optional<std::uint64_t> inode_of(int directory, const char* name) {
    std::array<char, 64> target{};
    const ssize_t length = readlinkat(directory, name, target.data(), target.size() - 1);
    unsigned long long inode = 0;
    if (length <= 0 || std::sscanf(target.data(), "socket:[%llu]", &inode) != 1)
        return {};
    return inode;
}

template <typename Use>
bool for_sockets_of(int pid, Use use) {
    const std::string path = "/proc/" + std::to_string(pid) + "/fd";
    DIR* directory = opendir(path.c_str());
    if (directory == nullptr)
        return false;
    while (const dirent* entry = readdir(directory))
        if (const auto inode = inode_of(dirfd(directory), entry->d_name))
            use(*inode);
    closedir(directory);
    return true;
}

}  // namespace

std::vector<Socket> tcp_sockets(bool all) {
    std::vector<Socket> sockets;
    list(sockets);
    if (!all || geteuid() != 0)
        return sockets;
    struct stat own {};
    std::set<ino_t> seen;
    if (stat("/proc/self/ns/net", &own) == 0)
        seen.insert(own.st_ino);
    for (const int pid : pids()) {
        const std::string path = "/proc/" + std::to_string(pid) + "/ns/net";
        struct stat netns {};
        if (stat(path.c_str(), &netns) != 0 || !seen.insert(netns.st_ino).second)
            continue;
        const Stay stay(path);
        if (stay.is_there())
            list(sockets);
    }
    return sockets;
}

std::map<std::uint64_t, Process> holders() {
    std::map<std::uint64_t, Process> result;
    for (const int pid : pids()) {
        std::optional<Process> process;
        for_sockets_of(pid, [&](std::uint64_t inode) {
            if (!process) {
                process = {pid, "?"};
                std::ifstream file("/proc/" + std::to_string(pid) + "/comm");
                std::getline(file, process->name);
            }
            result.emplace(inode, *process);
        });
    }
    return result;
}

std::vector<std::uint64_t> inodes_of(int pid) {
    std::vector<std::uint64_t> result;
    if (!for_sockets_of(pid, [&](std::uint64_t inode) { result.push_back(inode); })) {
        const std::string act = "look into process " + std::to_string(pid) + ": ";
        if (errno == ENOENT)
            throw std::runtime_error(act + "there is none");
        throw std::runtime_error(act + std::strerror(errno) + ": run it as root, or as its user");
    }
    return result;
}

std::string cgroup_path(std::uint64_t id) {
    static const CgroupTree kTree(find_cgroup2_root());
    return kTree.path_of(id);
}

}  // namespace sockaccel::ctl
