// SPDX-License-Identifier: GPL-2.0-or-later
// What the service may do on the host, and what it costs.
#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include "system_test.hpp"

namespace sockaccel::test {
namespace {

// What /proc/PID/status says under this name, as a number.
std::uint64_t status_of(pid_t process, const std::string& name) {
    std::ifstream file("/proc/" + std::to_string(process) + "/status");
    for (std::string line; std::getline(file, line);)
        if (line.rfind(name + ":", 0) == 0)
            return std::stoull(line.substr(name.size() + 1));
    throw std::runtime_error("process " + std::to_string(process) + " has no " + name);
}

std::string text_of(pid_t process, const std::string& name) {
    std::ifstream file("/proc/" + std::to_string(process) + "/status");
    for (std::string line; std::getline(file, line);)
        if (line.rfind(name + ":\t", 0) == 0)
            return line.substr(name.size() + 2);
    return {};
}

using Confinement = SystemTest;

TEST_F(Confinement, TheUnitsAreRight) {
    const Outcome outcome =
        run_program({"systemd-analyze", "verify", "--man=no", kService, "sockaccel.socket"});
    EXPECT_EQ(outcome.status, 0) << outcome.error;
    EXPECT_EQ(outcome.output + outcome.error, "");
}

TEST_F(Confinement, ItIsExposedLittle) {
    const Outcome outcome =
        run_program({"systemd-analyze", "security", "--no-pager", "--threshold=20", kService});
    EXPECT_EQ(outcome.status, 0) << outcome.output << outcome.error;
}

TEST_F(Confinement, ItRunsAsItsOwnUserWithFewCapabilities) {
    systemctl({"start", kService});
    const pid_t daemon = main_pid();
    EXPECT_NE(status_of(daemon, "Uid"), 0U);
    EXPECT_EQ(status_of(daemon, "NoNewPrivs"), 1U);
    EXPECT_EQ(status_of(daemon, "Seccomp"), 2U);
    // CAP_NET_ADMIN 12, CAP_SYSLOG 34, CAP_PERFMON 38, CAP_BPF 39.
    EXPECT_EQ(text_of(daemon, "CapBnd"), "000000c400001000");
    EXPECT_EQ(text_of(daemon, "CapEff"), "000000c400001000");
}

// The self-test sees what it sees without confinement, and no rule waits or is refused for it.
TEST_F(Confinement, ConfinedItFindsTheSameKernel) {
    const auto findings = [] {
        const Outcome outcome = run_program({"sockaccelctl", "--json", "probe"});
        return outcome.output + outcome.error;
    };
    systemctl({"start", kService});
    const std::string confined = findings();
    systemctl({"stop", kService});
    Process daemon(
        {.arguments = {"sockacceld", "--state", "/run/unconfined"}, .environment = {}, .user = {}});
    ASSERT_TRUE(wait_until([] {
        return run_program({"busctl", "status", "org.sockaccel1"}).status == 0;
    })) << daemon.standard_error();
    EXPECT_EQ(confined, findings());
    daemon.signal(SIGTERM);
    EXPECT_EQ(daemon.wait(), 0);
}

TEST_F(Confinement, IdleItDoesNotWakeUp) {
    start_unit("client.service");
    write_policy(rule("pair", {"system.slice/client.service"}));
    systemctl({"start", kService});
    ASSERT_TRUE(wait_until([] {
        return property(kService, "StatusText").find("1 of 1 rules active") != std::string::npos;
    }));
    std::this_thread::sleep_for(slowness() * std::chrono::seconds(2));
    const pid_t daemon = main_pid();
    const std::uint64_t before = status_of(daemon, "voluntary_ctxt_switches");
    std::this_thread::sleep_for(std::chrono::seconds(10));
    // The watchdog's.
    EXPECT_LE(status_of(daemon, "voluntary_ctxt_switches") - before, 1U);
}

TEST_F(Confinement, ItStaysSmall) {
    systemctl({"start", kService});
    static_cast<void>(ask("status"));
    static_cast<void>(run_program({"sockaccelctl", "probe"}));
    const pid_t daemon = main_pid();
    RecordProperty("resident_kib", static_cast<int>(status_of(daemon, "VmRSS")));
    EXPECT_LE(status_of(daemon, "VmRSS"), 14U * 1024);
}

}  // namespace
}  // namespace sockaccel::test
