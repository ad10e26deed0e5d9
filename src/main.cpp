// SPDX-License-Identifier: GPL-2.0-or-later
// sockacceld: reads the policy, keeps the kernel in step with it, answers on D-Bus.
#include <systemd/sd-daemon.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <CLI/CLI.hpp>

#include "bpf_datapath.hpp"
#include "bus_address.hpp"
#include "cgroup_tree.hpp"
#include "engine.hpp"
#include "event_loop.hpp"
#include "kernel_probe.hpp"
#include "kernel_support.hpp"
#include "log.hpp"
#include "manager.hpp"
#include "pause_file.hpp"
#include "policy.hpp"
#include "self_test.hpp"

namespace {

using namespace sockaccel;

constexpr const char* kDefaultPolicy = "/etc/sockaccel.toml";
constexpr const char* kDefaultState = "/run/sockaccel";
constexpr std::chrono::seconds kStopPatience{5};
constexpr int kExitUnsupported = 69;  // EX_UNAVAILABLE of sysexits(3): no use in trying again

struct Options {
    std::string policy_file = kDefaultPolicy;
    std::string state_directory = kDefaultState;
    BusAddress bus;
    std::chrono::seconds stop_patience = kStopPatience;
};

// The service manager's, if it has made one for this service.
std::string default_state_directory() {
    const char* directories = std::getenv("RUNTIME_DIRECTORY");
    if (directories == nullptr || *directories == '\0')
        return kDefaultState;
    const std::string all = directories;
    return all.substr(0, all.find(':'));
}

// A missing default policy is an empty one: nothing is accelerated, and all is well.
Policy read(const Options& options) {
    if (options.policy_file == kDefaultPolicy && !std::filesystem::exists(kDefaultPolicy))
        return {};
    return read_policy(options.policy_file);
}

void tell_service_manager(const Engine& engine) {
    std::size_t active = 0;
    for (const RuleStatus& rule : engine.rules())
        active += rule.state == RuleState::active ? 1 : 0;
    sd_notifyf(0, "READY=1\nSTATUS=%zu of %zu rules active", active, engine.rules().size());
}

void log_rules(const Engine& engine) {
    if (engine.rules().empty())
        log::notice("no rule: nothing is accelerated");
    for (const RuleStatus& status : engine.rules()) {
        const std::string line =
            "rule " + status.rule.name + ": " + std::string(to_string(status.state));
        if (status.state == RuleState::refused)
            log::warning(line + ": " + status.why);
        else
            log::info(status.why.empty() ? line : line + ": " + status.why);
    }
}

void log_paused(const Paused& paused) {
    std::string names;
    for (const std::string& name : paused.names())
        names += " " + name;
    log::notice(paused.none()         ? "nothing is paused"
                : paused.everything() ? "everything is paused"
                                      : "paused:" + names);
}

void log_verdict(const KernelVerdict& verdict, std::chrono::nanoseconds took) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(took).count();
    const std::string line = "self-test of the kernel (" + std::to_string(ms) +
                             " ms): " + std::string(to_string(verdict.state));
    if (verdict.state == KernelVerdict::State::unusable)
        log::warning(line + ": " + verdict.flaw);
    else
        log::info(line);
    for (const Finding& finding : verdict.findings)
        if (!finding.ok)
            log::info("  " + finding.check + ": " + finding.result + ": " + finding.consequence);
}

void stop(Engine& engine, std::chrono::seconds patience) {
    sd_notify(0, "STOPPING=1");
    const auto [remaining, omitted] = engine.stop(patience);
    if (remaining.empty()) {
        log::info("stopped; every pair is back in plain TCP");
        return;
    }
    log::notice(std::to_string(remaining.size() + omitted) +
                " connections keep the empty stub (plain TCP) until they close: their readers have "
                "not read "
                "what was redirected to them");
    for (const Connection& connection : remaining)
        log::notice("  " + connection.client.local.text() + " port " +
                    std::to_string(connection.client.local_port) + " to " +
                    connection.client.remote.text() + " port " +
                    std::to_string(connection.client.remote_port) + ", cgroups /" +
                    engine.cgroup_path(connection.client.cgroup) + " and /" +
                    engine.cgroup_path(connection.server.cgroup));
}

int serve(const Options& options) {
    EventLoop loop;
    const Policy policy = read(options);
    CgroupTree cgroups(find_cgroup2_root());
    BpfDatapath datapath(policy.limits, cgroups.root());
    Engine engine(loop, datapath, cgroups);
    const PauseFile pause_file(options.state_directory);
    engine.pause(pause_file.read());
    engine.apply(policy);

    const auto read_and_apply = [&] {
        std::vector<std::string> changes = engine.apply(read(options));
        tell_service_manager(engine);
        return changes;
    };
    const auto pause = [&](const Paused& paused) {
        engine.pause(paused);
        log_paused(paused);
        tell_service_manager(engine);
        try {
            pause_file.write(paused);
        } catch (const std::system_error& error) {
            throw std::runtime_error(std::string("it is done, but a restart would undo it: ") +
                                     error.what());
        }
    };
    std::optional<Manager> manager;
    SelfTest self_test(
        loop, probe_kernel, [&](const KernelVerdict& verdict, std::chrono::nanoseconds took) {
            if (verdict != engine.verdict()) {
                log_verdict(verdict, took);
                engine.take_verdict(verdict);  // what cannot be enforced ends the daemon: plain TCP
                log_rules(engine);
            }
            if (manager)
                manager->answer_probes();
            tell_service_manager(engine);
        });
    if (options.bus.kind != BusAddress::Kind::none)
        manager.emplace(loop, engine, options.bus,
                        Manager::About{SOCKACCEL_VERSION, kernel_release(), options.policy_file},
                        read_and_apply, pause, [&] { self_test.start(); });

    const Source hangup = loop.on_signal(SIGHUP, [&] {
        try {
            const std::vector<std::string> changes = manager ? manager->reload() : read_and_apply();
            log::notice("reloaded " + options.policy_file +
                        (changes.empty() ? ": no change" : ":"));
            for (const std::string& change : changes)
                log::notice("  " + change);
        } catch (const std::exception& error) {
            log::error(std::string("the old policy stays in force:\n") + error.what());
        }
    });
    const Source terminate = loop.on_signal(SIGTERM, [&] { loop.exit(EXIT_SUCCESS); });
    const Source interrupt = loop.on_signal(SIGINT, [&] { loop.exit(EXIT_SUCCESS); });
    loop.enable_watchdog();
    if (manager)
        manager->claim_name();
    tell_service_manager(engine);
    self_test.start();

    const int status = loop.run();
    stop(engine, options.stop_patience);
    return status;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    std::string bus = "system";
    options.state_directory = default_state_directory();
    unsigned stop_seconds = static_cast<unsigned>(kStopPatience.count());
    CLI::App app("Accelerates TCP connections between two processes on this host.", "sockacceld");
    app.set_version_flag("--version", SOCKACCEL_VERSION);
    app.add_option("--policy", options.policy_file, "the policy to enforce, see sockaccel.toml(5)")
        ->type_name("FILE")
        ->capture_default_str();
    app.add_option("--bus", bus,
                   "where to offer org.sockaccel1: system, session, a D-Bus address, or none")
        ->type_name("BUS")
        ->capture_default_str();
    app.add_option("--state", options.state_directory,
                   "where a restart finds what is paused; emptied when the host boots")
        ->type_name("DIRECTORY")
        ->capture_default_str();
    app.add_option("--stop-timeout", stop_seconds,
                   "seconds that a stop waits for readers to read what was redirected to them")
        ->type_name("SECONDS")
        ->capture_default_str()
        ->check(CLI::Range(0u, 3600u));
    CLI11_PARSE(app, argc, argv);

    try {
        options.bus = BusAddress::parse(bus);
        options.stop_patience = std::chrono::seconds(stop_seconds);
        return serve(options);
    } catch (const Unsupported& error) {
        log::error(error.what());
        return kExitUnsupported;
    } catch (const std::exception& error) {
        log::error(error.what());
        return EXIT_FAILURE;
    }
}
