// SPDX-License-Identifier: GPL-2.0-or-later
// Where a socket is made: a cgroup and a network namespace.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "cgroup.hpp"
#include "fd.hpp"
#include "netns.hpp"
#include "process.hpp"

namespace sockaccel::test {

// A socket belongs to the cgroup and to the network namespace of the process that calls socket(2),
// for ever; an accepted one to its listener's. So a child process makes it there and hands it over.
class Place {
  public:
    Place() = default;  // where the test itself is
    explicit Place(std::filesystem::path cgroup) : cgroup_(std::move(cgroup)) {}  // its directory
    explicit Place(const TestCgroup& cgroup) : cgroup_(cgroup.directory()) {}
    Place(const TestCgroup& cgroup, const Netns& netns)
        : cgroup_(cgroup.directory()), netns_(&netns) {}

    // The same of a process that has a user namespace of its own, as with PrivateUsers=.
    [[nodiscard]] Place in_a_user_namespace() const {
        Place place = *this;
        place.has_own_users_ = true;
        return place;
    }

    // Stream sockets, O_NONBLOCK. `family`: AF_INET, AF_INET6; `protocol`: 0 is TCP.
    [[nodiscard]] Fd socket(int family, int protocol = 0) const;
    [[nodiscard]] std::vector<Fd> sockets(int family, std::size_t count, int protocol = 0) const;

    // The command that runs a program there.
    [[nodiscard]] Command command(const std::vector<std::string>& arguments) const;

  private:
    [[nodiscard]] std::string procs() const { return cgroup_ / "cgroup.procs"; }

    std::filesystem::path cgroup_;  // "": the test's own
    const Netns* netns_ = nullptr;
    bool has_own_users_ = false;
};

}  // namespace sockaccel::test
