// SPDX-License-Identifier: GPL-2.0-or-later
// The daemon with the capabilities that sockaccel.service gives it, and no more, does its work on
// this kernel. What else confines it there is tested where systemd runs: tests/system.
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "fentry.hpp"
#include "kernel_test.hpp"

namespace sockaccel::test {
namespace {

constexpr uid_t kUser = 65534;

// What the unit says of its capabilities in this line, by the names that setpriv(1) has for them.
std::vector<std::string> capabilities(const std::string& setting) {
    std::ifstream unit(SERVICE_UNIT);
    for (std::string line; std::getline(unit, line);) {
        if (line.rfind(setting + "=", 0) != 0)
            continue;
        std::vector<std::string> names;
        std::istringstream words(line.substr(setting.size() + 1));
        for (std::string name; words >> name;) {
            std::transform(name.begin(), name.end(), name.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
            names.push_back(name.substr(std::string("cap_").size()));
        }
        return names;
    }
    throw std::runtime_error(std::string(SERVICE_UNIT) + " has no line " + setting);
}

// A set of them and nothing else.
std::string exactly(const std::vector<std::string>& names) {
    std::string text = "-all";
    for (const std::string& name : names)
        text += ",+" + name;
    return text;
}

class Confinement : public KernelTest {
  protected:
    // A program that becomes the daemon, confined, wherever its files are. It opens the places that
    // Daemon has made for root.
    Confinement() {
        check(::chmod(directory_.path().c_str(), 0755), "open a directory");
        std::filesystem::copy_file(from_environment("SOCKACCELD"),
                                   directory_.path() / "sockacceld");
        const std::string user = std::to_string(kUser);
        const std::string ambient = exactly(capabilities("AmbientCapabilities"));
        const std::string program = directory_.write(
            "confined",
            "#!/bin/sh\nset -e\nchmod 0755 \"${RUNTIME_DIRECTORY%/*}\"\n"
            "install -d -o " +
                user +
                " \"$RUNTIME_DIRECTORY\"\n"
                "exec setpriv --reuid=" +
                user + " --regid=" + user + " --clear-groups --no-new-privs --inh-caps=" + ambient +
                " --ambient-caps=" + ambient +
                " --bounding-set=" + exactly(capabilities("CapabilityBoundingSet")) + " " +
                (directory_.path() / "sockacceld").string() + " \"$@\"\n");
        check(::chmod(program.c_str(), 0755), "make it executable");
        check(::setenv(kVariable, program.c_str(), 1), "name it");
    }
    ~Confinement() override { ::unsetenv(kVariable); }

    void start(const std::string& policy) {
        daemon_.emplace(policy, std::vector<std::string>{}, PrivateBus::Kind::open, nullptr,
                        std::vector<std::pair<std::string, int>>{}, kVariable);
    }

    [[nodiscard]] std::string status_of_process(const std::string& name) const {
        std::ifstream file("/proc/" + std::to_string(daemon_->pid()) + "/status");
        for (std::string line; std::getline(file, line);)
            if (line.rfind(name + ":\t", 0) == 0)
                return line.substr(name.size() + 2);
        return {};
    }

    static constexpr const char* kVariable = "SOCKACCELD_CONFINED";
    TemporaryDirectory directory_;
};

TEST_F(Confinement, TheUnitsCapabilitiesSuffice) {
    // Without a tolerated hazard the rule is active only if the witness is attached.
    const std::string tolerate = fentry_loads() ? "" : "\"fionread\", \"splice\", \"waitall\"";
    start("[[rule]]\nname = \"test\"\ncgroups = [\"" + covered_.path() +
          "\"]\nprove = \"0s\"\ntolerate = [" + tolerate + "]\n");
    EXPECT_EQ(status_of_process("Uid").substr(0, 6), "65534\t");
    const std::uint64_t held = std::stoull(status_of_process("CapEff"), nullptr, 16);
    EXPECT_EQ(static_cast<std::size_t>(__builtin_popcountll(held)),
              capabilities("CapabilityBoundingSet").size());
    EXPECT_EQ(status_of_process("CapBnd"), status_of_process("CapEff"));

    EXPECT_EQ(daemon_->manager().KernelState(), "usable");
    EXPECT_EQ(state_of(), "active") << daemon_->rule("test")->Why();
    TcpPair pair = connect_pair(covered_route());
    warm_up(pair);
    converse(pair, {.turns = 20});
    EXPECT_GT(look(pair).redirected_bytes(), 0U);
    EXPECT_TRUE(std::get<1>(daemon_->manager().Probe()));
    EXPECT_EQ(stop_daemon(), 0);
}

}  // namespace
}  // namespace sockaccel::test
