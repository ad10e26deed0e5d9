// SPDX-License-Identifier: GPL-2.0-or-later
// Many connections between two ends in one process of their own, in a cgroup, on loopback.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <vector>

#include "cgroup.hpp"
#include "fd.hpp"

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
    Fd channel_;
    pid_t pid_ = -1;
    std::size_t count_;
};

}  // namespace sockaccel::bench
