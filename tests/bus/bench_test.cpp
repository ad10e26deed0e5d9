// SPDX-License-Identifier: GPL-2.0-or-later
// sockaccelctl bench: on this kernel, by the daemon that runs. How fast it is, is no matter here.
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "bus_test.hpp"
#include "cgroup_tree.hpp"
#include "slowness.hpp"

namespace sockaccel::test {
namespace {

using nlohmann::json;

class Bench : public ::testing::Test {
  protected:
    // Reads both rules of the daemon's policy and its own cgroups.
    static void expect_nothing_left(Daemon& daemon) {
        EXPECT_TRUE(wait_until([&] { return daemon.manager().Rules().empty(); }));
        EXPECT_TRUE(wait_until([&] { return daemon.connections().empty(); }));
        for (const auto& entry : std::filesystem::directory_iterator(find_cgroup2_root()))
            EXPECT_EQ(entry.path().filename().string().find("sockaccel-bench-"), std::string::npos)
                << entry.path();
    }

    static Command command(Daemon& daemon, const Names& more) {
        Command command{
            {from_environment("SOCKACCELCTL"), "--bus", daemon.bus().address(), "bench"}, {}, {}};
        command.arguments.insert(command.arguments.end(), more.begin(), more.end());
        return command;
    }
};

TEST_F(Bench, MeasuresWhatIsRedirectedAndLeavesNothing) {
    Daemon daemon("");
    const TemporaryDirectory directory;
    const std::filesystem::path plot = directory.path() / "plot.png";
    const Outcome outcome =
        run(command(daemon, {"--json", "--sizes", "100", "--repeat", "2", "--plot", plot.string()}),
            slowness() * std::chrono::seconds(30));
    ASSERT_EQ(outcome.status, 0) << outcome.error;
    EXPECT_EQ(outcome.error, "");
    const json result = json::parse(outcome.output);
    ASSERT_EQ(result["cases"].size(), 2U);
    const json& requests = result["cases"][0];
    EXPECT_EQ(requests["pattern"], "request_response");
    EXPECT_EQ(requests["state"], "enrolled") << requests;
    EXPECT_GT(requests["redirected"], 0.9) << requests;
    for (const char* way : {"plain", "accelerated", "unix"}) {
        EXPECT_GT(requests[way]["per_second"]["median"], 0) << way;
        EXPECT_EQ(requests[way]["samples_per_second"].size(), 2U) << way;
    }
    EXPECT_GT(std::filesystem::file_size(plot), 5000U);
    EXPECT_FALSE(std::filesystem::exists(plot.string() + ".svg"));
    expect_nothing_left(daemon);
}

// Prints on a terminal how far it is, which script(1) is for it.
TEST_F(Bench, ShowsItsProgressAndCanBeInterrupted) {
    Daemon daemon("");
    std::string line;
    for (const std::string& word : command(daemon, {"--repeat", "1000"}).arguments)
        line += word + " ";
    Process process(
        {{"script", "--quiet", "--return", "--command", "exec " + line, "/dev/null"}, {}, {}});
    EXPECT_TRUE(
        wait_until([&] { return process.standard_output().find(" s left") != std::string::npos; },
                   slowness() * std::chrono::seconds(20)))
        << process.standard_output();
    process.signal(SIGTERM);
    EXPECT_TRUE(process.wait());
    expect_nothing_left(daemon);
}

TEST_F(Bench, AnInterruptIsItsExitStatus) {
    Daemon daemon("");
    Process process(command(daemon, {"--repeat", "1000"}));
    EXPECT_TRUE(wait_until([&] { return !daemon.connections().empty(); },
                           slowness() * std::chrono::seconds(10)));
    process.signal(SIGINT);
    EXPECT_EQ(process.wait(), 130) << process.standard_error();
    EXPECT_EQ(process.standard_error(), "interrupted: nothing is left behind\n");
    expect_nothing_left(daemon);
}

TEST_F(Bench, MistakesAreToldBeforeAnythingIsMeasured) {
    Daemon daemon("");
    const auto told = [&](const Names& arguments) {
        const Outcome outcome = run(command(daemon, arguments));
        EXPECT_EQ(outcome.status, 1);
        return outcome.error;
    };
    EXPECT_EQ(told({"--plot", "x.gif"}),
              "sockaccelctl: --plot x.gif: the name has to end with .svg or .png\n");
    EXPECT_EQ(told({"--plot", "/proc/no/x.svg"}),
              "sockaccelctl: --plot /proc/no/x.svg: No such file or directory\n");
    EXPECT_EQ(told({"--sizes", "64,0"}), "sockaccelctl: size `0` is not between 1 and 16MiB\n");
    expect_nothing_left(daemon);
}

TEST_F(Bench, SaysWhyNothingCanBeAccelerated) {
    Daemon daemon("");
    daemon.manager().Pause("");
    const Outcome outcome = run(command(daemon, {"--sizes", "64"}));
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.error,
              "sockaccelctl: nothing can be accelerated: the rule is paused: everything goes by "
              "TCP until it is resumed\n");
    expect_nothing_left(daemon);
}

TEST_F(Bench, WithoutADaemonItIsNotRunning) {
    const PrivateBus bus;
    EXPECT_EQ(run_ctl(bus, {"bench", "--quick"}).status, 3);
}

}  // namespace
}  // namespace sockaccel::test
