// SPDX-License-Identifier: GPL-2.0-or-later
// What a command of sockaccelctl is, and what all of them use.
//
// A command is one line in commands.hpp and one file, ctl/NAME.cpp, which defines NAME_command.
#pragma once

#include <cstdlib>
#include <functional>
#include <string>

#include "client.hpp"

namespace CLI {
class App;
}

namespace sockaccel::ctl {

// The options of all commands.
struct Common {
    std::string bus = "system";
    bool is_json = false;
    bool is_unpaged = false;
};

// Returns the exit status. What it throws is told to the user.
using Run = std::function<int()>;

struct Command {
    const char* name;
    const char* help;
    const char* examples;  // lines of "COMMAND LINE<tab>what it does", for --help
    // Adds its options to `app`; what they set lives as long as the result. `common` is filled in
    // later, outlives it, and is to be kept by reference.
    Run (*declare)(CLI::App& app, const Common& common);
    int failure = EXIT_FAILURE;  // exit status when it throws
};

// Of options that several commands have.
inline constexpr const char* kAllHelp = "those of all users, or fail (root, or by polkit)";
inline constexpr const char* kRootHelp = "where etc/sockaccel.toml and the like are";

[[nodiscard]] Client connect(const Common& common, IfNotRunning what = IfNotRunning::fail);

// To standard output, flushed at once: a monitor's reader wants each line when it happens.
void print(const std::string& text);

// Says how one gets to see other users' connections.
[[noreturn]] void throw_others_are_hidden();

}  // namespace sockaccel::ctl
