// SPDX-License-Identifier: GPL-2.0-or-later
// sockaccelctl observe: looks at the connections of some units for a while, by a temporary rule.
#pragma once

#include <string>
#include <vector>

#include "bus_address.hpp"

namespace CLI {
class App;
}

namespace sockaccel::ctl {

struct ObserveOptions {
    std::vector<std::string> units, cgroups, ports, networks;
    std::string time = "1min";
    std::string prove;  // of proposed rules; "": the default
    bool suggests = false;
};

void add_observe_options(CLI::App& subcommand, ObserveOptions& options);
[[nodiscard]] int observe(const BusAddress& bus, bool is_json, const ObserveOptions& options);

}  // namespace sockaccel::ctl
