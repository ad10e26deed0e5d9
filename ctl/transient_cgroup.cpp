// SPDX-License-Identifier: GPL-2.0-or-later
#include "transient_cgroup.hpp"

#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <system_error>

#include "cgroup_tree.hpp"
#include "fd.hpp"

namespace sockaccel::ctl {
namespace {

namespace fs = std::filesystem;

struct Unref {
    void operator()(sd_bus* bus) const { sd_bus_flush_close_unref(bus); }
    void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
    void operator()(sd_bus_slot* slot) const { sd_bus_slot_unref(slot); }
};
using Bus = std::unique_ptr<sd_bus, Unref>;
using Message = std::unique_ptr<sd_bus_message, Unref>;
using Slot = std::unique_ptr<sd_bus_slot, Unref>;

// In cgroup2, as the caller's cgroup namespace shows it.
std::string cgroup_of(const std::string& process) {
    std::ifstream file("/proc/" + process + "/cgroup");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("0::/"))
            return line.substr(std::strlen("0::/"));
    throw std::runtime_error("process " + process + " has ended, or is in no cgroup of cgroup2");
}

void move(const std::string& process, const fs::path& cgroup) {
    std::ofstream file(cgroup / "cgroup.procs");
    file << process << std::flush;
    if (!file)
        throw std::system_error(errno, std::generic_category(),
                                "move process " + process + " to cgroup " + cgroup.string());
}

// --- a scope

struct Job {
    std::string path;    // known with the answer; the end may be told before
    std::string result;  // "": not there yet
};

int job_removed(sd_bus_message* signal, void* told, sd_bus_error*) {
    const char *path = nullptr, *unit = nullptr, *result = nullptr;
    std::uint32_t id = 0;
    auto* job = static_cast<Job*>(told);
    if (sd_bus_message_read(signal, "uoss", &id, &path, &unit, &result) >= 0 && job->path == path)
        job->result = result;
    return 0;
}

Message start_scope_call(sd_bus* bus, pid_t member, const std::string& scope,
                         const std::string& description) {
    sd_bus_message* raw = nullptr;
    check_negative(sd_bus_message_new_method_call(
                       bus, &raw, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                       "org.freedesktop.systemd1.Manager", "StartTransientUnit"),
                   "call systemd");
    Message call(raw);
    check_negative(sd_bus_message_set_allow_interactive_authorization(raw, 1), "call systemd");
    check_negative(
        sd_bus_message_append(raw, "ssa(sv)a(sa(sv))", scope.c_str(), "fail", 3, "Description", "s",
                              description.c_str(), "CollectMode", "s", "inactive-or-failed", "PIDs",
                              "au", 1, static_cast<std::uint32_t>(member), 0),
        "call systemd");
    return call;
}

void start_scope(pid_t member, const std::string& scope, const std::string& description) {
    sd_bus* raw_bus = nullptr;
    check_negative(sd_bus_open_system(&raw_bus), "connect to the system bus");
    const Bus bus(raw_bus);
    Job job;
    sd_bus_slot* raw_slot = nullptr;
    check_negative(
        sd_bus_match_signal(bus.get(), &raw_slot, "org.freedesktop.systemd1",
                            "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
                            "JobRemoved", job_removed, &job),
        "listen to systemd");
    const Slot slot(raw_slot);
    const Message call = start_scope_call(bus.get(), member, scope, description);
    sd_bus_error error{};
    sd_bus_message* raw_answer = nullptr;
    if (sd_bus_call(bus.get(), call.get(), 0, &error, &raw_answer) < 0) {
        const std::string why = error.message != nullptr ? error.message : "no answer";
        sd_bus_error_free(&error);
        throw std::runtime_error("start " + scope + ": systemd says: " + why);
    }
    const Message answer(raw_answer);
    const char* path = nullptr;
    check_negative(sd_bus_message_read(answer.get(), "o", &path), "read systemd's answer");
    job.path = path;
    while (job.result.empty()) {
        const int handled = check_negative(sd_bus_process(bus.get(), nullptr), "wait for " + scope);
        if (handled == 0)
            check_negative(sd_bus_wait(bus.get(), UINT64_MAX), "wait for " + scope);
    }
    if (job.result != "done")
        throw std::runtime_error("start " + scope + ": systemd says: " + job.result);
}

// --- a directory

fs::path make_directory(const std::string& name) {
    fs::path directory = find_cgroup2_root() / name;
    std::error_code error;
    if (!fs::create_directory(directory, error))
        throw std::runtime_error("make the cgroup " + directory.string() + ": " +
                                 (error ? error.message() : "it is there already") +
                                 ": where systemd does not run, a cgroup can only be made by root");
    return directory;
}

void remove_directory(const fs::path& directory) {
    const fs::path refuge = find_cgroup2_root() / cgroup_of("self");
    std::ifstream members(directory / "cgroup.procs");
    for (std::string process; std::getline(members, process);)
        move(process, refuge);
    fs::remove(directory);
}

}  // namespace

TransientCgroup::TransientCgroup(pid_t member, const std::string& name,
                                 const std::string& description) {
    const std::string process = std::to_string(member);
    if (sd_booted() > 0) {
        start_scope(member, name + ".scope", description);
        path_ = cgroup_of(process);
        if (path_.empty())
            throw std::runtime_error("this systemd keeps no units in cgroup2");
        return;
    }
    own_ = make_directory(name);
    try {
        move(process, own_);
    } catch (...) {
        std::error_code ignored;
        fs::remove(own_, ignored);
        throw;
    }
    path_ = name;
}

TransientCgroup::~TransientCgroup() {
    if (own_.empty())
        return;
    try {
        remove_directory(own_);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "sockaccelctl: the cgroup %s stays: %s\n", own_.c_str(), error.what());
    }
}

}  // namespace sockaccel::ctl
