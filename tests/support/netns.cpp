// SPDX-License-Identifier: GPL-2.0-or-later
#include "netns.hpp"

#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

namespace sockaccel::test {

namespace {

void run(const std::string& command) {
    if (std::system(command.c_str()) != 0)
        throw std::runtime_error("failed: " + command);
}

void add_veth(const Netns& a, const std::string& a_device, const Netns& b,
              const std::string& b_device) {
    run("ip link add " + a_device + " netns " + a.name() + " type veth peer name " + b_device +
        " netns " + b.name());
}

void set_up(const Netns& netns, const std::string& device, const std::string& address) {
    netns.ip("addr add " + address + "/24 dev " + device);
    netns.ip("link set " + device + " up");
}

}  // namespace

Netns::Netns(Owner owner) {
    static unsigned count = 0;
    name_ = "sockaccel-test-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
    run("ip netns add " + name_);
    if (owner == Owner::user)
        give_to_a_user();
    ip("link set lo up");
}

Netns::~Netns() {
    static_cast<void>(!std::system(("ip netns del " + name_).c_str()));
}

// unshare(1) binds what it makes to a file only without --user.
void Netns::give_to_a_user() const {
    run("umount " + file());
    run("unshare --user --map-root-user --net sleep 60 & p=$!\n"
        "while [ \"$(readlink /proc/$p/ns/net)\" = \"$(readlink /proc/$$/ns/net)\" ]; do sleep "
        "0.01; "
        "done\n"
        "mount --bind /proc/$p/ns/net " +
        file() + "; status=$?; kill $p; exit $status");
}

std::string Netns::file() const {
    return "/run/netns/" + name_;
}

void Netns::ip(const std::string& arguments) const {
    run("ip -n " + name_ + " " + arguments);
}

void Netns::sysctl(const std::string& key, const std::string& value) const {
    run("nsenter --net=" + file() + " sh -c 'echo " + value + " >/proc/sys/" + key + "'");
}

BridgedContainers::BridgedContainers() {
    bridge.ip("link add br0 type bridge");
    bridge.ip("link set br0 up");
    add_veth(first, "eth0", bridge, "first");
    add_veth(second, "eth0", bridge, "second");
    bridge.ip("link set first master br0 up");
    bridge.ip("link set second master br0 up");
    set_up(first, "eth0", first_address);
    set_up(second, "eth0", second_address);
}

Tenant::Tenant(Netns::Owner owner_of_client) : client(owner_of_client) {
    add_veth(client, "eth0", server, "eth0");
    set_up(client, "eth0", kClientAddress);
    set_up(server, "eth0", kServerAddress);
}

}  // namespace sockaccel::test
