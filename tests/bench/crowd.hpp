// SPDX-License-Identifier: GPL-2.0-or-later
// Many connections on loopback, their ends in processes of their own, in a cgroup.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "cgroup.hpp"

namespace sockaccel::bench {

class Crowd {
  public:
    Crowd(const test::TestCgroup& cgroup, std::size_t count);
    ~Crowd();
    Crowd(const Crowd&) = delete;
    Crowd& operator=(const Crowd&) = delete;

    [[nodiscard]] std::size_t size() const { return count_; }
    // A byte there and one back, on each of these connections.
    void converse(std::size_t begin, std::size_t end);
    void converse() { converse(0, count_); }

  private:
    class Member;
    std::vector<std::unique_ptr<Member>> members_;  // each has so many, but the last one
    std::size_t count_, of_each_;
};

}  // namespace sockaccel::bench
