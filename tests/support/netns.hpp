// SPDX-License-Identifier: GPL-2.0-or-later
// Network namespaces that live as long as the test that made them.
#pragma once

#include <string>

namespace sockaccel::test {

// A named network namespace with lo up. Made with ip(8), removed on destruction.
class Netns {
  public:
    // Whose it is: the host's, or of a user namespace of its own, as in a rootless container.
    enum class Owner { host, user };
    explicit Netns(Owner owner = Owner::host);
    ~Netns();
    Netns(const Netns&) = delete;
    Netns& operator=(const Netns&) = delete;

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] std::string file() const;  // for setns(2)

    // ip -n NAME ARGUMENTS…
    void ip(const std::string& arguments) const;
    // "net/ipv4/tcp_syncookies", "2"
    void sysctl(const std::string& key, const std::string& value) const;

  private:
    void give_to_a_user() const;

    std::string name_;
};

// Two "containers": a namespace for the bridge, and one for each of 10.99.0.1 and 10.99.0.2, joined
// to it by veth pairs.
struct BridgedContainers {
    BridgedContainers();

    Netns bridge, first, second;
    const std::string first_address = "10.99.0.1", second_address = "10.99.0.2";
};

// A client's and a server's namespace, joined by a veth pair. Each tenant has the same two
// addresses.
struct Tenant {
    explicit Tenant(Netns::Owner owner_of_client = Netns::Owner::host);

    Netns client, server;
    static constexpr const char* kClientAddress = "10.9.0.1";
    static constexpr const char* kServerAddress = "10.9.0.2";
};

}  // namespace sockaccel::test
