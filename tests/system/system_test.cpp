// SPDX-License-Identifier: GPL-2.0-or-later
#include "system_test.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include "cgroup_tree.hpp"

namespace sockaccel::test {

namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kCommandPatience{60};
constexpr const char* kPolicy = "/etc/sockaccel.toml";
const fs::path kUnits = "/etc/systemd/system";

std::string text_of(const Arguments& command) {
    std::string text;
    for (const std::string& word : command)
        text += (text.empty() ? "" : " ") + word;
    return text;
}

std::string without_newline(std::string text) {
    while (!text.empty() && text.back() == '\n')
        text.pop_back();
    return text;
}

}  // namespace

Outcome run_program(const Arguments& command) {
    return run({.arguments = command, .environment = {}, .user = {}},
               slowness() * kCommandPatience);
}

std::string succeed(const Arguments& command) {
    Outcome outcome = run_program(command);
    if (outcome.status != 0)
        throw std::runtime_error(fmt::format("{}: status {}\n{}{}", text_of(command),
                                             outcome.status, outcome.output, outcome.error));
    return std::move(outcome.output);
}

std::string package() {
    const char* deb = std::getenv(kPackageVariable);
    return deb == nullptr ? "" : deb;
}

void install(const std::string& deb) {
    succeed({"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--quiet", "--yes",
             "--no-install-recommends", "--allow-downgrades", deb});
}

std::string systemctl(Arguments arguments) {
    arguments.insert(arguments.begin(), "systemctl");
    return succeed(arguments);
}

std::string property(const std::string& unit, const std::string& name) {
    return without_newline(systemctl({"show", "--value", "--property=" + name, unit}));
}

pid_t main_pid(const std::string& unit) {
    return std::stoi(property(unit, "MainPID"));
}

std::string cgroup_of(const std::string& unit) {
    const std::string path = property(unit, "ControlGroup");
    if (path.empty())
        throw std::runtime_error(unit + " has no cgroup: does it run?");
    return path.substr(1);
}

Place place_of(const std::string& unit) {
    return Place(find_cgroup2_root() / cgroup_of(unit));
}

SystemTest::SystemTest() {
    fs::remove(kPolicy);
    stop_all();
    const std::string end =
        succeed({"journalctl", "--sync"}) +
        succeed({"journalctl", "--lines=1", "--output=cat", "--quiet", "--show-cursor"});
    static const std::string kCursor = "-- cursor: ";
    const std::size_t at = end.rfind(kCursor);
    if (at != std::string::npos)
        cursor_ = without_newline(end.substr(at + kCursor.size()));
}

void SystemTest::TearDown() {
    if (HasFailure())
        std::fprintf(stderr, "the service wrote:\n%s\n",
                     journal({"--output=short-monotonic"}).c_str());
    stop_all();
    for (const std::string& unit : units_)
        static_cast<void>(run_program({"systemctl", "stop", unit}));
    for (const fs::path& file : files_)
        fs::remove(file);
    if (!files_.empty())
        systemctl({"daemon-reload"});
}

void SystemTest::stop_all() {
    static_cast<void>(run_program({"systemctl", "disable", "--quiet", kService, kSocketUnit}));
    static_cast<void>(run_program({"systemctl", "stop", kSocketUnit, kService}));
    static_cast<void>(
        run_program({"systemctl", "reset-failed"}));  // forgets how often they started
    fs::remove_all("/run/sockaccel");
}

void SystemTest::write_file(const fs::path& file, const std::string& text) {
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
    if (std::find(files_.begin(), files_.end(), file) == files_.end())
        files_.push_back(file);
}

void SystemTest::write_unit(const std::string& name, const std::string& text) {
    write_file(kUnits / name, text);
    units_.push_back(name);
    systemctl({"daemon-reload"});
}

void SystemTest::write_drop_in(const std::string& unit, const std::string& text) {
    write_file(kUnits / (unit + ".d") / "test.conf", text);
    systemctl({"daemon-reload"});
}

void SystemTest::write_policy(const std::string& text) {
    write_file(kPolicy, text);
}

void SystemTest::start_unit(const std::string& name, const Arguments& properties) {
    Arguments command = {"systemd-run", "--quiet", "--collect", "--unit=" + name};
    for (const std::string& line : properties)
        command.push_back("--property=" + line);
    command.insert(command.end(), {"sleep", "infinity"});
    succeed(command);
    units_.push_back(name);
}

std::string SystemTest::journal(const Arguments& options) const {
    succeed({"journalctl", "--sync"});
    Arguments command = {"journalctl", "--quiet", "--no-pager", std::string("--unit=") + kService};
    if (!cursor_.empty())
        command.push_back("--after-cursor=" + cursor_);
    command.insert(command.end(), options.begin(), options.end());
    return succeed(command);
}

nlohmann::json SystemTest::ask(const std::string& command) {
    const Outcome outcome = run_program({"sockaccelctl", "--json", command});
    if (outcome.output.empty())
        throw std::runtime_error("sockaccelctl " + command + ": " + outcome.error);
    return nlohmann::json::parse(outcome.output);
}

void SystemTest::warm_up(TcpPair& pair, Timeout timeout) {
    const std::uint64_t cookie = pair.client.cookie();
    nlohmann::json seen;
    const bool is_enrolled = wait_until(
        [&] {
            for (int turn = 0; turn < 20; turn++)
                converse(pair, {});
            seen = ask("connections").at("connections");
            return std::any_of(seen.begin(), seen.end(), [cookie](const nlohmann::json& one) {
                return one.at("client").at("cookie") == cookie && one.at("state") == "enrolled";
            });
        },
        timeout);
    if (!is_enrolled)
        throw std::runtime_error("the pair is not enrolled:\n" + seen.dump(2));
}

std::uint64_t SystemTest::redirected_bytes(const std::string& rule) {
    const nlohmann::json answer = ask("rules");
    for (const nlohmann::json& one : answer.at("rules"))
        if (one.at("name") == rule)
            return one.at("redirected_bytes");
    throw std::runtime_error("the daemon has no rule " + rule);
}

}  // namespace sockaccel::test
