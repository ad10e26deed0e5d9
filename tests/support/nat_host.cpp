// SPDX-License-Identifier: GPL-2.0-or-later
#include "nat_host.hpp"

#include <stdexcept>

#include "process.hpp"

namespace sockaccel::test {

namespace {

void plug(const Netns& netns, const std::string& address, const std::string& gateway) {
    netns.ip("addr add " + address + "/24 dev eth0");
    netns.ip("link set eth0 up");
    netns.ip("route add default via " + gateway);
}

}  // namespace

NatHost::NatHost() {
    host.sysctl("net/ipv4/ip_forward", "1");
    host.ip("link add br0 type bridge");
    host.ip("addr add " + host_to_server + "/24 dev br0");
    host.ip("link set br0 up");
    host.ip("link add client type veth peer name eth0 netns " + client.name());
    host.ip("link add server type veth peer name eth0 netns " + server.name());
    host.ip("addr add " + host_to_client + "/24 dev client");
    host.ip("link set client up");
    host.ip("link set server master br0 up");
    plug(client, client_address, host_to_client);
    plug(server, server_address, host_to_server);
}

void NatHost::publish() const {
    load_rules(host,
               "chain publish { type nat hook prerouting priority -100;\n"
               "tcp dport 8080 dnat to " +
                   server_address + ":80; }\n");
}

void run_in(const Netns& netns, const std::string& command) {
    const Outcome outcome =
        run({{"nsenter", "--net=" + netns.file(), "sh", "-c", command}, {}, {}});
    if (outcome.status != 0)
        throw std::runtime_error("failed: " + command + ": " + outcome.error);
}

void load_rules(const Netns& netns, const std::string& chains) {
    run_in(netns, "nft 'table ip sockaccel_test {\n" + chains + "}'");
}

}  // namespace sockaccel::test
