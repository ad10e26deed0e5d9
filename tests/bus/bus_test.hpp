// SPDX-License-Identifier: GPL-2.0-or-later
// What the tests of the bus and of sockaccelctl have in common.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "cgroup.hpp"
#include "daemon.hpp"
#include "fd.hpp"
#include "process.hpp"
#include "temporary_directory.hpp"

namespace sockaccel::test {

using Names = std::vector<std::string>;

// A rule over one cgroup; `more` are further lines of it.
[[nodiscard]] std::string rule(const std::string& name, const std::string& cgroup,
                               const std::string& more = {});

// Line 3, column 10 of it is wrong.
[[nodiscard]] std::string bad_policy();

// A TCP connection of this process with itself over 127.0.0.1, both sockets made in `cgroup`.
struct Loopback {
    // `client_owner` is whose socket the client's is, in the kernel's eyes.
    explicit Loopback(const TestCgroup& cgroup, uid_t client_owner = 0);

    Fd client, server;
    std::uint16_t client_port = 0, server_port = 0;
};

// A user who may do nothing.
inline constexpr uid_t kNobody = 65534;

// sockaccelctl as this user, from a place where it finds it.
class Nobody {
  public:
    Nobody();

    [[nodiscard]] Command command(const Names& arguments) const;
    [[nodiscard]] Outcome run(const Names& arguments) const;

  private:
    TemporaryDirectory directory_;
};

template <typename Value>
[[nodiscard]] Value value_of(const Dict& dict, const std::string& key) {
    return dict.at(key).get<Value>();
}

template <typename Range, typename Value>
[[nodiscard]] bool contains(const Range& range, const Value& value) {
    return std::find(range.begin(), range.end(), value) != range.end();
}

// Whether a signal told this property's new value.
[[nodiscard]] inline bool told(const std::vector<Dict>& changes, const std::string& property) {
    return std::any_of(changes.begin(), changes.end(),
                       [&](const Dict& change) { return change.count(property) > 0; });
}

}  // namespace sockaccel::test
