// SPDX-License-Identifier: GPL-2.0-or-later
// What programs do with sockets, and where an accelerated connection differs from plain TCP.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "wire.hpp"

namespace sockaccel::test {

// A difference that cannot be hidden, so sockaccel(7) tells it.
struct Difference {
    std::string sentence;                 // that stands there
    std::vector<Transcript> accelerated;  // what happens instead; several: it depends on the kernel
    bool some_kernels_do_as_plain = false;
};

struct Scenario {
    // What of the bytes that it sends is redirected on an enrolled pair.
    enum class Redirects { all, some, none, by_kernel };

    // What of it is otherwise if the rule tolerates "blocking".
    struct Tolerated {
        Redirects redirects = Redirects::all;
        std::optional<Difference> difference = {};
    };

    std::string name;
    std::function<void(Wire&)> run;
    Redirects redirects = Redirects::all;
    std::optional<Difference> difference = {};
    std::optional<Tolerated> tolerated = {};
};

[[nodiscard]] const std::vector<Scenario>& scenarios();

}  // namespace sockaccel::test
