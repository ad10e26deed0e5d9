// SPDX-License-Identifier: GPL-2.0-or-later
// sockacceld: reads the policy, keeps the kernel in step with it, answers on D-Bus.
#include <malloc.h>
#include <systemd/sd-daemon.h>

#include <csignal>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "bpf_datapath.hpp"
#include "bus_address.hpp"
#include "cgroup_tree.hpp"
#include "engine.hpp"
#include "event_loop.hpp"
#include "fd_store.hpp"
#include "holds.hpp"
#include "idle_exit.hpp"
#include "inherited.hpp"
#include "instance_lock.hpp"
#include "kernel_probe.hpp"
#include "kernel_support.hpp"
#include "log.hpp"
#include "manager.hpp"
#include "metrics.hpp"
#include "metrics_server.hpp"
#include "pause_file.hpp"
#include "policy.hpp"
#include "policy_source.hpp"
#include "predecessor.hpp"
#include "reloads.hpp"
#include "self_test.hpp"
#include "service_manager.hpp"
#include "sockaccel.h"
#include "units.hpp"

namespace {

using namespace sockaccel;

constexpr const char* kDefaultState = "/run/sockaccel";
constexpr std::chrono::seconds kStopPatience{5};
constexpr std::chrono::milliseconds kUnitsPatience{500};  // systemd answers within a few
constexpr int kExitWanted = 75;       // EX_TEMPFAIL: it was about to end, and is needed
constexpr int kExitUnsupported = 69;  // EX_UNAVAILABLE of sysexits(3): no use in trying again

struct Options {
    PolicySource policy = PolicySource::tree();
    std::string state_directory = kDefaultState;
    BusAddress bus;
    std::chrono::seconds stop_patience = kStopPatience;
    std::chrono::seconds idle_patience{0};  // 0: for ever
};

// The service manager's, if it has made one for this service.
std::string default_state_directory() {
    const char* directories = std::getenv("RUNTIME_DIRECTORY");
    if (directories == nullptr || *directories == '\0')
        return kDefaultState;
    const std::string all = directories;
    return all.substr(0, all.find(':'));
}

// Files that were changed and wait for a reload: that needs a daemon. Changes that come later start
// the next one (sockaccel.path).
bool may_have_rules(const PolicySource& source) {
    try {
        return !source.read_trusted().policy.rules.empty();
    } catch (const std::exception&) {
        return true;  // the reload will tell
    }
}

std::vector<UnitPattern> units_of(const Policy& policy) {
    std::vector<UnitPattern> units;
    for (const Rule& rule : policy.rules)
        units.insert(units.end(), rule.units.begin(), rule.units.end());
    return units;
}

// Units of both policies are followed while one takes the other's place: the new one comes with its
// cgroups, and connections of the old one do not lose theirs.
std::vector<std::string> put_in_force(Engine& engine, Units& units, const Policy& policy) {
    std::vector<UnitPattern> of_both = units_of(engine.policy());
    const std::vector<UnitPattern> of_new = units_of(policy);
    of_both.insert(of_both.end(), of_new.begin(), of_new.end());
    units.follow(std::move(of_both), kUnitsPatience);
    std::vector<std::string> changes = engine.apply(policy);
    units.follow(of_new, std::chrono::milliseconds::zero());
    return changes;
}

void tell_service_manager(const Engine& engine, bool serves_metrics) {
    std::size_t active = 0;
    for (const RuleStatus& rule : engine.rules())
        active += rule.state == RuleState::active ? 1 : 0;
    sd_notifyf(0, "READY=1\nSTATUS=%zu of %zu rules active, %s", active, engine.rules().size(),
               serves_metrics ? "metrics served" : "no metrics (no socket)");
}

void log_rules(const Engine& engine) {
    for (const RuleStatus& status : engine.rules()) {
        const std::string line =
            "rule " + status.rule.name + ": " + std::string(to_string(status.state));
        if (status.state == RuleState::refused)
            log::warning(line + ": " + status.why,
                         {.id = log::id::kRuleRefused, .rule = status.rule.name});
        else
            log::info(status.why.empty() ? line : line + ": " + status.why,
                      {.rule = status.rule.name});
    }
}

// All in one line: what works, and what does not, and why.
void log_start(const Engine& engine) {
    std::string line = "sockaccel " SOCKACCEL_VERSION " started: ";
    if (engine.rules().empty())
        line += "no rule, nothing is accelerated";
    bool is_first = true;
    for (const RuleStatus& status : engine.rules()) {
        line += (std::exchange(is_first, false) ? "" : ", ") + status.rule.name + " " +
                std::string(to_string(status.state));
        if (!status.why.empty())
            line += " (" + status.why + ")";
    }
    log::notice(line, {.id = log::id::kStarted});
}

void log_changes(const PolicySource& source, const std::vector<std::string>& changes) {
    log::notice("reloaded " + source.text() + (changes.empty() ? ": no change" : ":"));
    for (const std::string& change : changes)
        log::notice("  " + change);
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
        log::warning(line + ": " + verdict.flaw, {.id = log::id::kKernelUnusable});
    else
        log::info(line);
    for (const Finding& finding : verdict.findings)
        if (!finding.ok)
            log::info("  " + finding.check + ": " + finding.result + ": " + finding.consequence);
}

// For callers who came at the last moment: polkit may have to ask somebody.
constexpr std::chrono::seconds kLastAnswersPatience{10};

// False if there is no service manager. From then on it starts another one for who calls.
bool tell_that_it_stops() {
    constexpr std::uint64_t kPatienceUsec = 5'000'000;
    return sd_notify(0, "STOPPING=1") > 0 && sd_notify_barrier(0, kPatienceUsec) > 0;
}

void stop(Engine& engine, FdStore& store, std::chrono::seconds patience) {
    sd_notify(0, "STOPPING=1");
    if (is_restart_under_way(store.size())) {
        log::info("restarting: connections stay as they are for the next daemon");
        return;
    }
    const Listing left = engine.stop(patience);
    store.clear();
    if (left.connections.empty()) {
        log::info("stopped; every pair is back in plain TCP");
        return;
    }
    log::notice(fmt::format(
        "{} connections keep the empty stub (plain TCP) until they close: their readers have not "
        "read what was redirected to them",
        left.connections.size() + left.omitted));
    for (const Connection& connection : left.connections) {
        const std::string server = engine.cgroup_path(connection.server.cgroup);
        const auto rule = connection.rule ? engine.rule_of(*connection.rule) : std::nullopt;
        const ConnectionEnd& client = connection.client;
        log::notice(fmt::format("  {} port {} to {} port {}, cgroups /{} and /{}",
                                client.local.text(), client.local_port, client.remote.text(),
                                client.remote_port, engine.cgroup_path(client.cgroup), server),
                    {.id = log::id::kConnectionRemains,
                     .rule = rule ? rule->rule.name : "",
                     .cgroup = server,
                     .reason = std::string(name_of(connection.reason))});
    }
}

int serve(const Options& options, FdStore& store) {
    EventLoop loop;
    const InstanceLock lock(options.state_directory);
    std::vector<Fd> listeners = inherited_listeners();
    const bool serves_metrics = !listeners.empty();
    EffectivePolicy read = options.policy.read_trusted();
    CgroupTree cgroups(find_cgroup2_root());
    BpfDatapath datapath(read.policy.limits, cgroups.root(), store, options.stop_patience);
    Engine engine(loop, datapath, cgroups);
    const PauseFile pause_file(options.state_directory);
    engine.pause(pause_file.read());
    Units units(loop, [&] { engine.take_units(units.found()); });
    put_in_force(engine, units, read.policy);
    Holds holds;
    Reloads reloads;

    const auto reload = [&] {
        EffectivePolicy fresh;
        std::vector<std::string> changes = reloads.count([&] {
            fresh = options.policy.read_trusted();
            return put_in_force(engine, units, holds.added_to(fresh.policy));
        });
        read = std::move(fresh);
        log_changes(options.policy, changes);
        tell_service_manager(engine, serves_metrics);
        return changes;
    };
    const auto diff = [&] {
        return engine.diff(holds.added_to(options.policy.read_trusted().policy));
    };
    // What the files say stays as it was last read.
    const auto change_holds = [&](Holds wanted) {
        Holds before = std::exchange(holds, std::move(wanted));
        try {
            put_in_force(engine, units, holds.added_to(read.policy));
        } catch (...) {
            holds = std::move(before);
            throw;
        }
        tell_service_manager(engine, serves_metrics);
    };
    const auto hold = [&](const std::string& holder, const std::string& rules) {
        Holds wanted = holds;
        std::vector<std::string> names = wanted.add(holder, rules);
        change_holds(std::move(wanted));
        for (const std::string& name : names)
            log::notice(fmt::format("rule {} is held by {}", name, holder), {.rule = name});
        return names;
    };
    const auto release = [&](const std::string& holder) {
        Holds wanted = holds;
        if (!wanted.release(holder))
            return;
        change_holds(std::move(wanted));
        log::notice("the rules that " + holder + " held are gone");
    };
    const auto pause = [&](const Paused& paused) {
        engine.pause(paused);
        log_paused(paused);
        tell_service_manager(engine, serves_metrics);
        try {
            pause_file.write(paused);
        } catch (const std::system_error& error) {
            throw std::runtime_error(std::string("it is done, but a restart would undo it: ") +
                                     error.what());
        }
    };
    std::optional<Manager> manager;
    Metrics metrics_text(loop, engine, reloads, SOCKACCEL_VERSION, kernel_release());
    std::optional<MetricsServer> metrics;
    std::optional<IdleExit> idle_exit;
    std::function<bool()> is_needed;
    bool stops = false;  // for want of a rule
    const auto end = [&] { loop.exit(is_needed() ? kExitWanted : EXIT_SUCCESS); };
    Timer last_answers = loop.timer(end);
    const auto notice = [&] {
        if (stops && !(manager && manager->is_answering()))
            end();
        else if (!stops && idle_exit)
            idle_exit->notice();
    };
    SelfTest self_test(
        loop, probe_kernel, [&](const KernelVerdict& verdict, std::chrono::nanoseconds took) {
            if (verdict != engine.verdict()) {
                const bool is_first = engine.verdict().state == KernelVerdict::State::untested;
                log_verdict(verdict, took);
                engine.take_verdict(verdict);  // what cannot be enforced ends the daemon: plain TCP
                log_rules(engine);
                if (is_first)
                    log_start(engine);
            }
            if (manager)
                manager->answer_probes();
            tell_service_manager(engine, serves_metrics);
            notice();
        });
    if (options.bus.kind != BusAddress::Kind::none)
        manager.emplace(
            loop, engine, options.bus, Manager::About{SOCKACCEL_VERSION, kernel_release()},
            Manager::Acts{reload, diff, [&] { return read.files; }, pause, hold, release,
                          [&](const std::string& rule) { return holds.holder_of(rule); },
                          [&] { self_test.start(); }});
    if (serves_metrics)
        metrics.emplace(
            loop, std::move(listeners),
            [&](TextFormat format) { return metrics_text.text(format); }, notice);

    is_needed = [&] {
        return !engine.policy().rules.empty() || self_test.runs() ||
               (manager && manager->is_busy()) || (metrics && metrics->is_busy());
    };
    if (options.idle_patience > std::chrono::seconds::zero())
        idle_exit.emplace(loop, options.idle_patience, is_needed, [&] {
            if (may_have_rules(options.policy))
                return;
            if (manager)
                manager->give_up_name();
            if (is_needed()) {  // a last request has changed that
                if (manager)
                    manager->claim_name();
                return;
            }
            log::notice("there is no rule, and nobody asks for anything: stopping until called");
            if (manager && tell_that_it_stops()) {
                // Who has called since the name was given up made the bus ask the service manager
                // to start this service, which ran by then. They wait for the name.
                manager->claim_name();
                manager->give_up_name();
            }
            last_answers.arm(now() + kLastAnswersPatience);
            stops = true;
            notice();
        });
    if (manager)
        manager->on_request(notice);

    const Source hangup = loop.on_signal(SIGHUP, [&] {
        try {
            manager ? manager->reload() : reload();
        } catch (const std::exception& error) {
            log::error(std::string("the old policy stays in force:\n") + error.what(),
                       {.id = log::id::kPolicyRefused});
        }
    });
    const Source terminate = loop.on_signal(SIGTERM, [&] { loop.exit(EXIT_SUCCESS); });
    const Source interrupt = loop.on_signal(SIGINT, [&] { loop.exit(EXIT_SUCCESS); });
    loop.enable_watchdog();
    if (manager)
        manager->claim_name();
    tell_service_manager(engine, serves_metrics);
    self_test.start();
    ::malloc_trim(0);  // loading the programs took some 10 MiB that nobody will need again

    const int status = loop.run();
    stop(engine, store, options.stop_patience);
    return status;
}

// What the daemon before left, and what this one made, goes with one that fails: nobody would look
// after it.
int serve_or_clear_away(const Options& options) {
    FdStore store(SA_ABI);
    try {
        return serve(options, store);
    } catch (...) {
        clear_away(store, options.stop_patience);
        throw;
    }
}

}  // namespace

int main(int argc, char** argv) {
    // Stays: else it would grow with the first large block that is freed, and what is larger than
    // this, as the masks of all ports, would no longer be given back.
    ::mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    Options options;
    std::string bus = "system", policy_file, root = "/";
    options.state_directory = default_state_directory();
    unsigned stop_seconds = static_cast<unsigned>(kStopPatience.count());
    unsigned idle_seconds = 0;
    CLI::App app("Accelerates TCP connections between two processes on this host.", "sockacceld");
    app.set_version_flag("--version", SOCKACCEL_VERSION);
    auto* policy = app.add_option("--policy", policy_file,
                                  "the policy, this file alone: see sockaccel.toml(5)");
    policy->type_name("FILE");
    app.add_option("--root", root, "where etc/sockaccel.toml and the drop-ins are looked for")
        ->type_name("DIRECTORY")
        ->capture_default_str()
        ->excludes(policy);
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
    app.add_option("--idle-timeout", idle_seconds,
                   "seconds without a rule and a request after which to stop; 0: never")
        ->type_name("SECONDS")
        ->capture_default_str()
        ->check(CLI::Range(0u, 3600u));
    CLI11_PARSE(app, argc, argv);

    try {
        options.bus = BusAddress::parse(bus);
        options.policy =
            policy_file.empty() ? PolicySource::tree(root) : PolicySource::file(policy_file);
        options.stop_patience = std::chrono::seconds(stop_seconds);
        options.idle_patience = std::chrono::seconds(idle_seconds);
        return serve_or_clear_away(options);
    } catch (const Unsupported& error) {
        log::error(error.what());
        return kExitUnsupported;
    } catch (const std::exception& error) {
        log::error(error.what());
        return EXIT_FAILURE;
    }
}
