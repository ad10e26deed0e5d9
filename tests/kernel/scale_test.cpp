// SPDX-License-Identifier: GPL-2.0-or-later
// Many cgroups: selected by many rules at once, and coming and going under traffic.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "bpf_objects.hpp"
#include "kernel_test.hpp"

namespace sockaccel::test {
namespace {

class Scale : public KernelTest {
  protected:
    [[nodiscard]] std::uint64_t resident_bytes() const {
        std::ifstream file("/proc/" + std::to_string(daemon_->pid()) + "/statm");
        std::uint64_t size = 0, resident = 0;
        file >> size >> resident;
        return resident * 4096;
    }

    [[nodiscard]] std::size_t descriptors() const {
        const auto directory =
            std::filesystem::directory_iterator("/proc/" + std::to_string(daemon_->pid()) + "/fd");
        return static_cast<std::size_t>(std::distance(begin(directory), end(directory)));
    }

    // That it has used until now.
    [[nodiscard]] std::chrono::milliseconds cpu_time() const {
        std::ifstream file("/proc/" + std::to_string(daemon_->pid()) + "/stat");
        std::string word;
        for (int field = 1; field < 14; ++field)
            file >> word;
        long user = 0, system = 0;
        file >> user >> system;
        return std::chrono::milliseconds((user + system) * 1000 / ::sysconf(_SC_CLK_TCK));
    }

    void expect_accelerated(const TestCgroup& cgroup, const std::string& rule) {
        TcpPair pair = connect_pair({.client = Place(cgroup), .server = Place(cgroup)});
        warm_up(pair);
        EXPECT_EQ(look(pair).rule, rule);
        exchange_bytes(pair, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
    }
};

// Sixteen paths and a glob for each of 64 rules.
TEST_F(Scale, SixtyFourRulesTakeAThousandCgroupsQuickly) {
    const TestCgroup many(cgroup_, "many");
    std::vector<TestCgroup> cgroups;
    for (int i = 0; i < 1000; ++i)
        cgroups.emplace_back(many, "unit-" + std::to_string(1000 + i) + ".service");
    const auto policy = [&](const std::string& more) {
        std::string text;
        for (std::size_t r = 0; r < 64; ++r) {
            std::vector<std::string> paths{many.path() + "/unit-*" + std::to_string(100 + r) +
                                           ".service"};
            for (std::size_t i = 0; i < 16; ++i)
                paths.push_back(cgroups[(16 * r + i) % 1000].path());
            text += rule("r" + std::to_string(100 + r), paths, more);
        }
        return text;
    };
    start_daemon(policy(""));
    EXPECT_EQ(sock_ops_programs_on(many).size(), 1U) << "one link, above them all";
    EXPECT_TRUE(sock_ops_programs_on(cgroups[0]).empty());

    // Of its own time, which a busy machine does not make longer; 100 ms are usual.
    std::chrono::milliseconds least = std::chrono::hours(1);
    for (const char* more : {"queue = \"2MiB\"", "ports = [5000, 6000]", ""}) {
        const std::chrono::milliseconds before = cpu_time();
        reload(policy(more));
        least = std::min(least, cpu_time() - before);
    }
    EXPECT_LT(least, slowness() * std::chrono::milliseconds(300));
    expect_accelerated(cgroups[0], "r100");
    expect_accelerated(cgroups[999], "r162");
}

// About 100 of them at a time: now above, now below the number of links.
TEST_F(Scale, TenThousandCgroupsComeAndGoUnderTraffic) {
    start_daemon(rule("test", {covered_.path(), cgroup_.path() + "/churn/*"}));
    TcpPair pair = connect_pair(covered_route());
    warm_up(pair);
    const TestCgroup churn(cgroup_, "churn");
    const std::uint64_t resident = resident_bytes();
    const std::size_t open = descriptors();
    {
        BackgroundTraffic traffic({&pair, 1});
        constexpr int kCgroups = 10000, kAtATime = 100;
        const auto directory = [&](int i) { return churn.directory() / std::to_string(i); };
        for (int i = 0; i < kCgroups + kAtATime; ++i) {
            if (i < kCgroups)
                check(::mkdir(directory(i).c_str(), 0755), "make a cgroup");
            if (i >= kAtATime)
                check(::rmdir(directory(i - kAtATime).c_str()), "remove a cgroup");
        }
        traffic.stop();
    }
    ASSERT_TRUE(daemon_->process().runs());
    EXPECT_EQ(state_of(), "active");
    EXPECT_EQ(look(pair).state, "enrolled");
    EXPECT_TRUE(wait_until([&] { return daemon_->rule("test")->SelectedCount() == 1; }));
    EXPECT_TRUE(wait_until([&] { return descriptors() <= open + 2; }))
        << descriptors() << " descriptors, " << open << " before";
    EXPECT_LT(resident_bytes(), resident + (8 << 20));
    EXPECT_EQ(daemon_->manager().Problems(), std::vector<std::string>{});

    const TestCgroup late(churn, "late");
    EXPECT_TRUE(wait_until([&] { return daemon_->rule("test")->SelectedCount() == 2; }));
    expect_accelerated(late, "test");
}

}  // namespace
}  // namespace sockaccel::test
