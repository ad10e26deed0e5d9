// SPDX-License-Identifier: GPL-2.0-or-later
// The scheme of the published tutorials, on one cgroup; it goes with this object. Traffic there has
// to be bounded, as its queues are not.
#pragma once

#include <memory>

#include "cgroup.hpp"

namespace sockaccel::bench {

class Tutorial {
  public:
    explicit Tutorial(const test::TestCgroup& cgroup);
    ~Tutorial();
    Tutorial(const Tutorial&) = delete;
    Tutorial& operator=(const Tutorial&) = delete;

  private:
    struct Programs;
    std::unique_ptr<Programs> programs_;
};

}  // namespace sockaccel::bench
