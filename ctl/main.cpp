// SPDX-License-Identifier: GPL-2.0-or-later
// sockaccelctl: what is asked on the command line. Exit status: 0 all is well, 1 it failed or
// something is wrong, 3 the daemon is not running.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "bus_address.hpp"
#include "client.hpp"
#include "policy.hpp"
#include "render.hpp"

namespace {

using namespace sockaccel;

constexpr int kNotRunning = 3;

struct Options {
    std::string bus = "system";
    bool is_json = false;
    bool is_wide = false;
    std::string file;
    std::string rule;  // "": all of them
};

// Flushed at once: a monitor's reader wants each line when it happens.
void print(const std::string& text) {
    if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0)
        throw std::runtime_error("write to standard output failed");
}

ctl::Client connect(const Options& options, ctl::IfNotRunning what = ctl::IfNotRunning::fail) {
    return {BusAddress::parse(options.bus), what};
}

ctl::Client connect_or_start(const Options& options) {
    return connect(options, ctl::IfNotRunning::start);
}

int status(const Options& options) {
    const ctl::StatusReport report = connect(options).status();
    print(options.is_json ? status_json(report) : status_text(report));
    return report.is_well() ? EXIT_SUCCESS : EXIT_FAILURE;
}

int rules(const Options& options) {
    const auto report = connect(options).rules();
    print(options.is_json ? ctl::rules_json(report) : ctl::rules_text(report));
    return EXIT_SUCCESS;
}

int connections(const Options& options) {
    const ctl::ConnectionsReport report = connect(options).connections();
    print(options.is_json ? connections_json(report) : connections_text(report, options.is_wide));
    return EXIT_SUCCESS;
}

int reload(const Options& options) {
    const auto changes = connect_or_start(options).reload();
    print(options.is_json ? ctl::changes_json(changes) : ctl::changes_text(changes));
    return EXIT_SUCCESS;
}

int pause(const Options& options) {
    connect_or_start(options).pause(options.rule);
    return EXIT_SUCCESS;
}

int resume(const Options& options) {
    connect_or_start(options).resume(options.rule);
    return EXIT_SUCCESS;
}

int probe(const Options& options) {
    const ctl::ProbeReport report = connect_or_start(options).probe();
    print(options.is_json ? probe_json(report) : probe_text(report));
    return report.is_usable ? EXIT_SUCCESS : EXIT_FAILURE;
}

int check_file(const Options& options) {
    const Policy policy = read_policy(options.file);
    print(options.is_json ? ctl::policy_json(options.file, policy)
                          : ctl::policy_text(options.file, policy));
    return EXIT_SUCCESS;
}

int monitor(const Options& options) {
    auto client = connect(options);
    client.monitor([] { std::fputs("waiting for events, end with Ctrl-C\n", stderr); },
                   [&options](const ctl::EventReport& event) {
                       print(options.is_json ? event_json(event) : event_text(event));
                   });
    return EXIT_SUCCESS;
}

int run(int argc, char** argv) {
    Options options;
    std::function<int(const Options&)> command;

    CLI::App app("Looks at and steers sockacceld, which accelerates TCP connections on this host.",
                 "sockaccelctl");
    app.set_version_flag("--version", "sockaccelctl " SOCKACCEL_VERSION);
    app.require_subcommand(1);
    app.fallthrough();
    app.add_option("--bus", options.bus, "the daemon's bus: system, session, or a D-Bus address")
        ->capture_default_str();
    app.add_flag("--json", options.is_json, "print JSON");

    const auto add = [&](const char* name, const char* help, int (*act)(const Options&)) {
        auto* subcommand = app.add_subcommand(name, help);
        subcommand->callback([&command, act] { command = act; });
        return subcommand;
    };
    add("status", "how the service and its rules are doing", status);
    add("rules", "the rules, in deciding order", rules);
    add("connections", "covered connections, and why they are not accelerated (root)", connections)
        ->add_flag("--wide", options.is_wide, "with cgroups, socket cookies and users");
    add("reload", "read the policy again (root)", reload);
    add("pause", "leave everything, or one rule, to TCP until it is resumed (root)", pause)
        ->add_option("RULE", options.rule, "the rule; none: everything");
    add("resume", "end a pause (root)", resume)
        ->add_option("RULE", options.rule, "the rule; none: everything");
    add("probe", "test what the kernel does with redirected data, now (root)", probe);
    add("check", "say what a policy file means, or what is wrong with it; offline", check_file)
        ->add_option("FILE", options.file, "the policy, such as /etc/sockaccel.toml")
        ->required();
    add("monitor", "show connections as they are paired, enrolled and left (root)", monitor);

    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    return command(options);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const PolicyError& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return EXIT_FAILURE;
    } catch (const ctl::InvalidPolicy& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return EXIT_FAILURE;
    } catch (const ctl::NotRunning& error) {
        std::fprintf(stderr, "sockaccelctl: %s\n", error.what());
        return kNotRunning;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "sockaccelctl: %s\n", error.what());
        return EXIT_FAILURE;
    }
}
