// SPDX-License-Identifier: GPL-2.0-or-later
#include "bus_test.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>

#include "cgroup_tree.hpp"
#include "loopback.hpp"

namespace sockaccel::test {

namespace {

std::filesystem::path own_cgroup() {
    std::ifstream file("/proc/self/cgroup");
    for (std::string line; std::getline(file, line);)
        if (line.compare(0, 3, "0::") == 0)
            return find_cgroup2_root() / std::filesystem::path(line.substr(3)).relative_path();
    throw std::runtime_error("/proc/self/cgroup names no cgroup2");
}

void enter(const std::filesystem::path& cgroup) {
    std::ofstream file(cgroup / "cgroup.procs");
    if (!(file << "0" << std::flush))
        throw std::runtime_error("enter " + cgroup.string());
}

// This process is in the cgroup as long as this lives.
class Stay {
  public:
    explicit Stay(const TestCgroup& cgroup) : home_(own_cgroup()) { enter(cgroup.directory()); }
    ~Stay() { enter(home_); }
    Stay(const Stay&) = delete;
    Stay& operator=(const Stay&) = delete;

  private:
    std::filesystem::path home_;
};

Fd make_socket() {
    return Fd(check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "make a socket"));
}

std::uint16_t port_of(const Fd& socket) {
    sockaddr_in address{};
    socklen_t length = sizeof(address);
    check(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length),
          "read a socket's port");
    return ntohs(address.sin_port);
}

}  // namespace

std::string rule(const std::string& name, const std::string& cgroup, const std::string& more) {
    return "[[rule]]\nname = \"" + name + "\"\ncgroups = [\"" + cgroup +
           "\"]\ntolerate = [\"fionread\", \"splice\", \"waitall\"]\n" + more;
}

std::string bad_policy() {
    return "[[rule]]\nname = \"bad\"\nports = [70000]\ncgroups = [\"a.slice\"]\n";
}

Nobody::Nobody() {
    check(chmod(directory_.path().c_str(), 0755), "chmod");
    std::filesystem::copy_file(from_environment("SOCKACCELCTL"),
                               directory_.path() / "sockaccelctl");
}

Command Nobody::command(const Names& arguments) const {
    Command command{{directory_.path() / "sockaccelctl"},
                    {{"DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent"}},
                    kNobody};
    command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
    return command;
}

Outcome Nobody::run(const Names& arguments) const {
    return test::run(command(arguments));
}

namespace {
void pass_byte(const Fd& from, const Fd& to) {
    char byte = 'x';
    check(static_cast<int>(write(from.get(), &byte, 1)), "write a byte");
    check(static_cast<int>(read(to.get(), &byte, 1)), "read a byte");
}
}  // namespace

Loopback::Loopback(const TestCgroup& cgroup, uid_t client_owner) {
    const Stay stay(cgroup);
    const Fd listener = make_socket();
    sockaddr_in address = loopback();
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    check(bind(listener.get(), generic, sizeof(address)), "bind");
    check(listen(listener.get(), 1), "listen");
    server_port = port_of(listener);
    address.sin_port = htons(server_port);
    client = make_socket();
    check(fchown(client.get(), client_owner, client_owner), "give a socket away");
    check(connect(client.get(), generic, sizeof(address)), "connect");
    server = Fd(check(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC), "accept"));
    client_port = port_of(client);
    // Enough for the daemon to know of it.
    for (int turn = 0; turn < 5; turn++) {
        pass_byte(client, server);
        pass_byte(server, client);
    }
}

}  // namespace sockaccel::test
