// SPDX-License-Identifier: GPL-2.0-or-later
// What a command of sockaccelctl is, and what all of them use.
//
// A command is one line in commands.hpp and one file, ctl/NAME.cpp, which defines NAME_command.
#pragma once

#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "client.hpp"
#include "output.hpp"

namespace CLI {
class App;
class Option;
}  // namespace CLI

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

// It takes one value each time it is given, of a kind that completion knows.
void be_filter(CLI::Option* option, const char* type);

// Throws with a hint if the policy has no such rule.
void require_rules(Client& client, const std::vector<std::string>& names);

// To standard output, by a pager if it is long.
void show(const Common& common, const std::string& text);

// Says how one gets to see other users' connections.
[[noreturn]] void throw_others_are_hidden();

}  // namespace sockaccel::ctl
