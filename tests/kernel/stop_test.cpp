// SPDX-License-Identifier: GPL-2.0-or-later
// The daemon ends, as it should or by force: no byte is lost, and nothing of it stays.
#include <chrono>
#include <thread>

#include "bpf_objects.hpp"
#include "kernel_test.hpp"

namespace sockaccel::test {
namespace {

class Stop : public KernelTest {
  protected:
    void start_with_pairs(std::size_t count) {
        start_daemon(usual_policy());
        pairs_ = Listener(covered_route()).connect(count);
        warm_up(pairs_);
        held_ = BpfObjects::held_by(daemon_->pid());
        ASSERT_FALSE(held_.programs.empty());
        ASSERT_FALSE(sock_ops_programs_on(covered_).empty());
    }

    void expect_nothing_left() {
        EXPECT_TRUE(sock_ops_programs_on(covered_).empty());
        EXPECT_TRUE(wait_until([this] { return held_.remaining().empty(); }))
            << held_.remaining().programs.size() << " programs and "
            << held_.remaining().links.size() << " links of the daemon still exist";
    }

    std::vector<TcpPair> pairs_;
    BpfObjects held_;
};

TEST_F(Stop, BySigtermUnderTrafficLosesNoByteAndLeavesNothing) {
    start_with_pairs(10);
    BackgroundTraffic traffic(pairs_);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    EXPECT_EQ(stop_daemon(), 0);
    expect_nothing_left();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    traffic.stop();
    for (TcpPair& pair : pairs_)
        expect_plain(pair);
    exchange_bytes(pairs_, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

TEST_F(Stop, BySigtermKeepsBytesThatAreNotReadYet) {
    start_with_pairs(2);
    flood(pairs_[0].client, {.message = 5000, .most = 200000});
    EXPECT_EQ(stop_daemon(), 0);
    EXPECT_TRUE(sock_ops_programs_on(covered_).empty());
    flood(pairs_[0].client, {.message = 5000, .most = 200000});
    read_all(pairs_[0]);
    exchange_bytes(pairs_, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
    pairs_.clear();
    expect_nothing_left();
}

TEST_F(Stop, ByForceKeepsBytesThatAreNotReadYetAndTrafficGoesOnByTcp) {
    start_with_pairs(2);
    flood(pairs_[0].client, {.message = 5000, .most = 200000});
    flood(pairs_[1].server, {.message = 100, .most = 10000});
    kill_daemon();
    EXPECT_TRUE(wait_until([this] { return sock_ops_programs_on(covered_).empty(); }));
    flood(pairs_[0].client, {.message = 5000, .most = 200000});
    for (TcpPair& pair : pairs_)
        read_all(pair);
    exchange_bytes(pairs_, {.to_server = 8 << 20, .to_client = 8 << 20, .finish = true});
    pairs_.clear();
    expect_nothing_left();
}

TEST_F(Stop, ByForceUnderTrafficLosesNoByte) {
    start_with_pairs(10);
    BackgroundTraffic traffic(pairs_);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    kill_daemon();
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    traffic.stop();
    exchange_bytes(pairs_, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
    pairs_.clear();
    expect_nothing_left();
}

TEST_F(Stop, DoesNotWaitForConnectionsThatHaveEnded) {
    start_with_pairs(5);
    exchange_bytes(pairs_, {.to_server = 100000, .to_client = 100000, .finish = true});
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(stop_daemon(), 0);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
    expect_nothing_left();
}

TEST_F(Stop, AndANewStartServesNewConnections) {
    start_with_pairs(2);
    BackgroundTraffic traffic(pairs_);
    EXPECT_EQ(stop_daemon(), 0);
    start_daemon(usual_policy());
    std::vector<TcpPair> fresh = Listener(covered_route()).connect(2);
    warm_up(fresh);
    BackgroundTraffic more(fresh);
    kill_daemon();
    start_daemon(usual_policy());
    TcpPair freshest = connect_pair(covered_route());
    warm_up(freshest);
    exchange_bytes(freshest, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
    more.stop();
    traffic.stop();
    exchange_bytes(fresh, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
    exchange_bytes(pairs_, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

}  // namespace
}  // namespace sockaccel::test
