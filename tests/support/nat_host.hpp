// SPDX-License-Identifier: GPL-2.0-or-later
// A host that translates addresses between a client and a server.
#pragma once

#include <string>

#include "netns.hpp"

namespace sockaccel::test {

// With a bridge, a "container" on it, and a client in a network of its own, routed by the host:
// 10.98.0.1 - 10.98.0.254 HOST 10.99.0.254 - bridge - 10.99.0.1.
struct NatHost {
    NatHost();

    // The server's port 80 as port 8080 of the host.
    void publish() const;

    const Netns host, client, server;
    const std::string client_address = "10.98.0.1", server_address = "10.99.0.1",
                      host_to_client = "10.98.0.254", host_to_server = "10.99.0.254";
};

// Throws what the command wrote, if it fails.
void run_in(const Netns& netns, const std::string& command);
// Rules in nft's language, as one table.
void load_rules(const Netns& netns, const std::string& chains);

}  // namespace sockaccel::test
