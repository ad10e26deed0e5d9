// SPDX-License-Identifier: GPL-2.0-or-later
// Clients of the bus that ask too much and read too little: the daemon stays small, and answers
// others.
#include <signal.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "bus_names.hpp"
#include "bus_test.hpp"
#include "slowness.hpp"

namespace sockaccel::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kKibInMib = 1024;

std::size_t resident_kib(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    std::string line;
    while (std::getline(file, line))
        if (line.rfind("VmRSS:", 0) == 0)
            return std::stoul(line.substr(6));
    throw std::runtime_error("no VmRSS of " + std::to_string(pid));
}

class Flood : public ::testing::Test {
  protected:
    // AddressSanitizer keeps what is freed for a while.
    void expect_no_more_than(std::size_t before) const {
        const std::size_t growth = std::getenv("ASAN_OPTIONS") == nullptr ? 8 : 128;
        EXPECT_LT(resident_kib(daemon_.pid()), before + growth * kKibInMib);
    }

    // A call by somebody else, meanwhile.
    void expect_an_answer_within(Clock::duration most) {
        const auto begin = Clock::now();
        EXPECT_EQ(daemon_.status().at("kernel_state").get<std::string>(), "usable");
        EXPECT_LT(Clock::now() - begin, most);
    }

    TestCgroup cgroup_;
    Daemon daemon_{rule("redis", cgroup_.path())};
};

TEST_F(Flood, OfCallsWhoseAnswersNobodyReads) {
    const std::size_t before = resident_kib(daemon_.pid());
    {
        std::vector<std::unique_ptr<sdbus::IConnection>> connections;
        for (int client = 0; client < 4; client++) {
            connections.push_back(connect(daemon_.bus()));
            const auto proxy = sdbus::createProxy(*connections.back(), BusName(kBusName),
                                                  sdbus::ObjectPath(kManagerPath));
            for (int i = 0; i < 2000; i++)
                proxy->callMethodAsync("Status")
                    .onInterface("org.sockaccel1.Manager")
                    .uponReplyInvoke([](ReplyError, const Dict&) {});
        }
        expect_an_answer_within(10s * slowness());
    }
    expect_an_answer_within(10s * slowness());
    expect_no_more_than(before);
}

TEST_F(Flood, OfSignalsThatTheBusDoesNotTake) {
    daemon_.manager().Subscribe();
    const Loopback first(cgroup_);
    ASSERT_TRUE(daemon_.wait_for_signal([&] { return !daemon_.manager().events.empty(); }));
    const std::size_t before = resident_kib(daemon_.pid());

    ASSERT_EQ(::kill(daemon_.bus().pid(), SIGSTOP), 0);
    for (int i = 0; i < 1000; i++)
        const Loopback one(cgroup_);  // each is an event
    std::this_thread::sleep_for(500ms);
    ASSERT_EQ(::kill(daemon_.bus().pid(), SIGCONT), 0);

    expect_an_answer_within(10s * slowness());
    expect_no_more_than(before);
    const Loopback last(cgroup_);
    EXPECT_TRUE(daemon_.wait_for_signal([&] {
        return std::any_of(
            daemon_.manager().events.begin(), daemon_.manager().events.end(),
            [&](const auto& event) {
                return event.second.at("client_port").template get<std::uint16_t>() ==
                       last.client_port;
            });
    }));
}

}  // namespace
}  // namespace sockaccel::test
