// SPDX-License-Identifier: GPL-2.0-or-later
// sockaccelctl: what is asked on the command line. Exit status: 0 all is well, 1 it failed or
// something is wrong, 3 the daemon is not running; diff: 1 there is a difference, 2 it failed.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include <CLI/CLI.hpp>

#include "bench.hpp"
#include "bus_address.hpp"
#include "client.hpp"
#include "policy.hpp"
#include "policy_source.hpp"
#include "policy_toml.hpp"
#include "render.hpp"
#include "run.hpp"

namespace {

using namespace sockaccel;

constexpr int kDifference = 1, kDiffFailed = 2;  // as diff(1) has it
constexpr int kNotRunning = 3;

struct Options {
    std::string bus = "system";
    bool is_json = false;
    bool is_wide = false;
    bool sees_all = false;
    std::string root = "/";
    std::string file;  // "": the whole search path
    std::string rule;  // "": all of them
    ctl::RunOptions run;
    ctl::BenchOptions bench;
};

// Flushed at once: a monitor's reader wants each line when it happens.
void print(const std::string& text) {
    if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0)
        throw std::runtime_error("write to standard output failed");
}

constexpr const char* kOthersAreHidden =
    "the connections of other users: permission denied: run it as root, or start a polkit agent, "
    "such as pkttyagent(1), for the action org.sockaccel1.inspect";

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
    const ctl::ConnectionsReport report = connect(options).connections(options.sees_all);
    if (options.sees_all && report.hidden > 0)
        throw ctl::Denied(kOthersAreHidden);
    print(options.is_json ? connections_json(report) : connections_text(report, options.is_wide));
    return EXIT_SUCCESS;
}

int reload(const Options& options) {
    const auto changes = connect_or_start(options).reload();
    print(options.is_json ? ctl::changes_json(changes) : ctl::changes_text(changes));
    return EXIT_SUCCESS;
}

int diff(const Options& options) {
    const auto changes = connect(options).diff();
    print(options.is_json ? ctl::changes_json(changes) : ctl::diff_text(changes));
    return changes.empty() ? EXIT_SUCCESS : kDifference;
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

int run_command(const Options& options) {
    return ctl::run(BusAddress::parse(options.bus), options.run);
}

int bench(const Options& options) {
    return ctl::bench(BusAddress::parse(options.bus), options.bench, options.is_json);
}

PolicySource source_of(const Options& options) {
    return options.file.empty() ? PolicySource::tree(options.root)
                                : PolicySource::file(options.file);
}

int check_policy(const Options& options) {
    const PolicySource source = source_of(options);
    const EffectivePolicy effective = source.read();
    for (const std::string& doubt : effective.doubts)
        std::fprintf(stderr, "warning: sockacceld would refuse it: %s\n", doubt.c_str());
    print(options.is_json ? ctl::policy_json(source.text(), effective)
                          : ctl::policy_text(source.text(), effective));
    return EXIT_SUCCESS;
}

int cat(const Options& options) {
    const PolicySource source = source_of(options);
    const EffectivePolicy effective = source.read();
    print(options.is_json ? ctl::policy_json(source.text(), effective)
                          : ctl::policy_toml(effective));
    return EXIT_SUCCESS;
}

int monitor(const Options& options) {
    auto client = connect(options);
    const auto ready = [&options](bool sees_all) {
        if (options.sees_all && !sees_all)
            throw ctl::Denied(kOthersAreHidden);
        std::fprintf(stderr, "waiting for events%s, end with Ctrl-C\n",
                     sees_all ? "" : " of your own connections (--all: of all)");
    };
    client.monitor(options.sees_all, ready, [&options](const ctl::EventReport& event) {
        print(options.is_json ? event_json(event) : event_text(event));
    });
    return EXIT_SUCCESS;
}

using Command = int (*)(const Options&);

int run(const Options& options, Command command) {
    try {
        return command(options);
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
    return command == diff ? kDiffFailed : EXIT_FAILURE;
}

int run(int argc, char** argv) {
    Options options;
    Command command = nullptr;

    CLI::App app("Looks at and steers sockacceld, which accelerates TCP connections on this host.",
                 "sockaccelctl");
    app.set_version_flag("--version", "sockaccelctl " SOCKACCEL_VERSION);
    app.require_subcommand(1);
    app.fallthrough();
    app.add_option("--bus", options.bus, "the daemon's bus: system, session, or a D-Bus address")
        ->capture_default_str();
    app.add_flag("--json", options.is_json, "print JSON");

    const auto add = [&](const char* name, const char* help, Command act) {
        auto* subcommand = app.add_subcommand(name, help);
        subcommand->callback([&command, act] { command = act; });
        return subcommand;
    };
    add("status", "how the service and its rules are doing", status);
    add("rules", "the rules, in deciding order", rules);
    const auto add_all = [&](CLI::App* subcommand) {
        subcommand->add_flag("--all", options.sees_all,
                             "those of all users, or fail (root, or by polkit)");
    };
    const auto add_root = [&](CLI::App* subcommand) {
        subcommand->add_option("--root", options.root, "where etc/sockaccel.toml and the like are")
            ->type_name("DIRECTORY")
            ->capture_default_str();
    };
    auto* list =
        add("connections", "covered connections, and why they are not accelerated", connections);
    list->add_flag("--wide", options.is_wide, "with cgroups, socket cookies and users");
    add_all(list);
    add("reload", "read the policy again and put it in force (root, or by polkit)", reload);
    add("diff", "what a reload would change (root, or by polkit)", diff);
    add("pause", "leave everything, or one rule, to TCP until it is resumed (root, or by polkit)",
        pause)
        ->add_option("RULE", options.rule, "the rule; none: everything");
    add("resume", "end a pause (root, or by polkit)", resume)
        ->add_option("RULE", options.rule, "the rule; none: everything");
    add("probe", "test what the kernel does with redirected data, now (root, or by polkit)", probe);
    auto* check =
        add("check", "say what the policy means, or what is wrong with it; offline", check_policy);
    check->add_option("FILE", options.file, "this file alone; none: the whole policy");
    add_root(check);
    add_root(add("cat", "the whole policy as one file, and where it comes from; offline", cat));
    add_all(add("monitor", "show connections as they are paired, enrolled and left", monitor));

    ctl::add_run_options(
        *add("run", "run a command, accelerated for as long as it runs (root, or by polkit)",
             run_command),
        options.run);
    ctl::add_bench_options(
        *add("bench", "measure what acceleration gains on this host, now (root)", bench),
        options.bench);

    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    return run(options, command);
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
