// SPDX-License-Identifier: GPL-2.0-or-later
// sockaccelctl: what is asked on the command line. Exit status: 0 all is well, 1 it failed or
// something is wrong, 3 the daemon is not running; diff: 1 there is a difference, 2 it failed.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "policy.hpp"

namespace {

using namespace sockaccel;

constexpr int kNotRunning = 3;

const ctl::Command* const kCommands[] = {
#define X(name) &ctl::name##_command,
    SOCKACCEL_COMMANDS(X)
#undef X
};

int run(const ctl::Run& act, int failure) {
    try {
        return act();
    } catch (const PolicyError& error) {
        std::fprintf(stderr, "%s\n", error.what());
    } catch (const ctl::InvalidPolicy& error) {
        std::fprintf(stderr, "%s\n", error.what());
    } catch (const ctl::NotRunning& error) {
        std::fprintf(stderr, "sockaccelctl: %s\n", error.what());
        return kNotRunning;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "sockaccelctl: %s\n", error.what());
    }
    return failure;
}

int run(int argc, char** argv) {
    ctl::Common common;
    ctl::Run act;
    int failure = EXIT_FAILURE;

    CLI::App app("Looks at and steers sockacceld, which accelerates TCP connections on this host.",
                 "sockaccelctl");
    app.set_version_flag("--version", "sockaccelctl " SOCKACCEL_VERSION);
    app.require_subcommand(1);
    app.fallthrough();
    app.add_option("--bus", common.bus, "the daemon's bus: system, session, or a D-Bus address")
        ->capture_default_str();
    app.add_flag("--json", common.is_json, "print JSON");

    for (const ctl::Command* command : kCommands) {
        auto* subcommand = app.add_subcommand(command->name, command->help);
        subcommand->callback(
            [&act, &failure, declared = command->declare(*subcommand, common), command] {
                act = declared;
                failure = command->failure;
            });
    }

    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    return run(act, failure);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "sockaccelctl: %s\n", error.what());
        return EXIT_FAILURE;
    }
}
