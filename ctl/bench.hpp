// SPDX-License-Identifier: GPL-2.0-or-later
// sockaccelctl bench: what acceleration gains on this host, now, by the daemon that runs.
#pragma once

#include <string>

#include "bus_address.hpp"

namespace CLI {
class App;
}

namespace sockaccel::ctl {

struct BenchOptions {
    bool is_quick = false;
    unsigned repeat = 0;  // 0: the usual number
    std::string sizes;    // "": the usual ones
    std::string plot;     // a file to draw; "": none
};

void add_bench_options(CLI::App& subcommand, BenchOptions& options);

// Prints what it has measured; the exit status. Throws std::exception.
[[nodiscard]] int bench(const BusAddress& bus, const BenchOptions& options, bool is_json);

}  // namespace sockaccel::ctl
