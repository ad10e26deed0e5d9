// SPDX-License-Identifier: GPL-2.0-or-later
// sockaccelctl suggest: a policy by what the daemon's observing rules have seen.
#pragma once

#include <string>

#include "bus_address.hpp"

namespace CLI {
class App;
}

namespace sockaccel::ctl {

struct SuggestOptions {
    std::string time = "0s";  // to wait first
    std::string prove;        // of proposed rules; "": the default
};

void add_suggest_options(CLI::App& subcommand, SuggestOptions& options);
[[nodiscard]] int suggest(const BusAddress& bus, bool is_json, const SuggestOptions& options);

}  // namespace sockaccel::ctl
