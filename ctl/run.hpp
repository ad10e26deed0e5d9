// SPDX-License-Identifier: GPL-2.0-or-later
// sockaccelctl run: a command, covered by temporary rules that end with it.
#pragma once

#include <string>
#include <vector>

#include "bus_address.hpp"

namespace CLI {
class App;
}

namespace sockaccel::ctl {

struct RunOptions {
    std::vector<std::string> command;          // with its arguments
    std::vector<std::string> joined;           // names of rules; none: every one that accelerates
    std::vector<std::string> ports, networks;  // of servers in the command
    std::vector<std::string> tolerate;         // what its programs do not use
    std::string prove = "0s", queue;           // "": the default
    bool is_quiet = false;
};

void add_run_options(CLI::App& subcommand, RunOptions& options);

// The command's exit status; a signal that ends it ends this process, too. Before there is a
// command, as env(1): 125 it failed here, 126 the command cannot be run, 127 it is not there.
[[nodiscard]] int run(const BusAddress& bus, const RunOptions& options);

}  // namespace sockaccel::ctl
