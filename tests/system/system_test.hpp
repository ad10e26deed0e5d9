// SPDX-License-Identifier: GPL-2.0-or-later
// What the tests of the installed service stand on: a throw-away systemd, to which a test may do
// anything, and which is cleaned before the next one.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bpf_objects.hpp"
#include "policy_text.hpp"
#include "process.hpp"
#include "slowness.hpp"
#include "traffic.hpp"
#include "wait_until.hpp"

namespace sockaccel::test {

// Names the build directory whose content is tested; tests/system/run sets it.
inline constexpr const char* kBuildVariable = "SOCKACCEL_SYSTEM_BUILD";
// Names the Debian package that is tested instead, if there is one.
inline constexpr const char* kPackageVariable = "SOCKACCEL_SYSTEM_PACKAGE";

inline constexpr const char* kService = "sockaccel.service";
inline constexpr const char* kSocketUnit = "sockaccel.socket";

using Arguments = std::vector<std::string>;

// Runs a program to its end; never longer than a minute.
[[nodiscard]] Outcome run_program(const Arguments& command);
// The same where it has to succeed: what it wrote to standard output. Throws all it wrote if not.
std::string succeed(const Arguments& command);
// The package that is tested, "" if it is what `meson install` installs.
[[nodiscard]] std::string package();
// As `apt install` does it; also an older version.
void install(const std::string& deb);
// `systemctl ARGUMENTS`, which has to succeed.
std::string systemctl(Arguments arguments);
// One property of a unit, as `systemctl show` prints it.
[[nodiscard]] std::string property(const std::string& unit, const std::string& name);
[[nodiscard]] pid_t main_pid(const std::string& unit = kService);
// Where sockets are in this unit's cgroup. It has to run.
[[nodiscard]] Place place_of(const std::string& unit);
[[nodiscard]] std::string cgroup_of(const std::string& unit);  // relative to the root

class SystemTest : public ::testing::Test {
  protected:
    // As after a boot: nothing of sockaccel runs, nothing is configured.
    SystemTest();
    // Stops the service and takes away what the test has made. If the test failed, the service's
    // journal is shown.
    void TearDown() override;

    // Gone after the test. Directories are made; systemd is told of units by write_unit() only.
    void write_file(const std::filesystem::path& file, const std::string& text);
    void write_unit(const std::string& name, const std::string& text);
    void write_drop_in(const std::string& unit, const std::string& text);
    // Not reloaded by this.
    void write_policy(const std::string& text);

    // A unit that does nothing, for traffic in its cgroup. Stopped after the test.
    void start_unit(const std::string& name, const Arguments& properties = {});

    // What the service wrote since the test began, as journalctl shows it with `options`.
    [[nodiscard]] std::string journal(const Arguments& options = {"--output=cat"}) const;
    // What `sockaccelctl --json COMMAND` says.
    [[nodiscard]] static nlohmann::json ask(const std::string& command);

    // Turns of request and response until the daemon shows that the pair is enrolled; throws if it
    // is not after `timeout`.
    static void warm_up(TcpPair& pair, Timeout timeout = slowness() * std::chrono::seconds(15));
    // Bytes that a rule's connections redirected.
    [[nodiscard]] static std::uint64_t redirected_bytes(const std::string& rule);

  private:
    static void stop_all();

    std::string cursor_;  // in the journal, where the test begins
    std::vector<std::filesystem::path> files_;
    std::vector<std::string> units_;
};

}  // namespace sockaccel::test
