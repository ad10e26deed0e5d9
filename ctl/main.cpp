// SPDX-License-Identifier: GPL-2.0-or-later
// sockaccelctl: what is asked on the command line. Exit status: 0 all is well, 1 it failed or
// something is wrong, 3 the daemon is not running; diff: 1 there is a difference, 2 it failed.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <sstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "complete.hpp"
#include "likely_meant.hpp"
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

// "FOOTER" of --help: what one would type.
std::string examples_of(const ctl::Command& command) {
    if (*command.examples == '\0')
        return "";
    std::string result = "Examples:\n";
    std::istringstream lines(command.examples);
    for (std::string line; std::getline(lines, line);) {
        const std::size_t tab = line.find('\t');
        result +=
            "  sockaccelctl " + line.substr(0, tab) + "\n      " + line.substr(tab + 1) + "\n";
    }
    return result;
}

// The option that was probably meant by one that is not known; "" if there is none.
std::string hint_for(const std::string& option, const CLI::App& app) {
    std::vector<std::string> known;
    const auto collect = [&known](const CLI::App& from) {
        for (const CLI::Option* one : from.get_options())
            for (const std::string& name : one->get_lnames())
                known.push_back("--" + name);
    };
    collect(app);
    for (const CLI::App* command : app.get_subcommands())
        collect(*command);
    const std::string name = option.substr(0, option.find('='));
    if (std::find(known.begin(), known.end(), name) != known.end())
        return "";
    const auto meant = likely_meant(name, {known.begin(), known.end()});
    return meant ? "there is no option \"" + name + "\": did you mean \"" + std::string(*meant) +
                       "\"?"
                 : "";
}

// What a wrong command line was meant to be, as far as that can be guessed.
std::string hint_for(int argc, char** argv, const CLI::App& app) {
    std::vector<std::string_view> names;
    for (const ctl::Command* command : kCommands)
        names.emplace_back(command->name);
    for (int at = 1; at < argc; ++at) {
        const std::string word = argv[at];
        if (word == "--bus") {
            ++at;
        } else if (word.compare(0, 2, "--") == 0) {
            if (std::string hint = hint_for(word, app); !hint.empty())
                return hint;
        } else if (app.get_subcommands().empty()) {
            const auto meant = likely_meant(word, names);
            return "there is no command \"" + word + "\"" +
                   (meant ? ": did you mean \"" + std::string(*meant) + "\"?" : ": see --help");
        }
    }
    return "";
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
    app.footer("\nsockaccelctl COMMAND --help shows examples; sockaccelctl(1) tells the rest.");
    app.add_option("--bus", common.bus, "the daemon's bus: system, session, or a D-Bus address")
        ->type_name("BUS")
        ->capture_default_str();
    app.add_flag("--json", common.is_json, "print JSON");
    app.add_flag("--no-pager", common.is_unpaged, "do not pipe long output into a pager");

    for (const ctl::Command* command : kCommands) {
        auto* subcommand = app.add_subcommand(command->name, command->help);
        subcommand->footer("\n" + examples_of(*command));
        subcommand->callback(
            [&act, &failure, declared = command->declare(*subcommand, common), command] {
                act = declared;
                failure = command->failure;
            });
    }

    const std::vector<std::string> words(argv + 1, argv + argc);
    if (!words.empty() && words.front() == "complete") {
        ctl::print(ctl::completions(app, {words.begin() + 1, words.end()}));
        return EXIT_SUCCESS;
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& success) {  // --help, --version
        return app.exit(success);
    } catch (const CLI::ParseError& error) {
        const std::string hint = hint_for(argc, argv, app);
        if (hint.empty()) {
            static_cast<void>(app.exit(error));
            return EXIT_FAILURE;
        }
        std::fprintf(stderr, "sockaccelctl: %s\n", hint.c_str());
        return EXIT_FAILURE;
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
