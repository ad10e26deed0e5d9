// SPDX-License-Identifier: GPL-2.0-or-later
// Pause and resume under traffic: at once, without a lost byte, rule by rule.
#include <algorithm>
#include <thread>

#include "kernel_test.hpp"

namespace sockaccel::test {
namespace {

using namespace std::chrono_literals;

class Pause : public KernelTest {
  protected:
    [[nodiscard]] bool is(const TcpPair& pair, const std::string& state,
                          const std::string& reason = "none") {
        const auto seen = find(pair);
        return seen && seen->state == state && seen->reason == reason;
    }

    // Checks that traffic goes on, all of it by TCP.
    void expect_nothing_redirected(const BackgroundTraffic& traffic, const char* rule,
                                   std::chrono::milliseconds time) {
        const std::uint64_t redirected = counters(rule).at("redirected_bytes");
        const std::uint64_t arrived = traffic.bytes();
        std::this_thread::sleep_for(time);
        EXPECT_EQ(counters(rule).at("redirected_bytes"), redirected);
        EXPECT_GT(traffic.bytes(), arrived);
    }

    void expect_redirected(const char* rule) {
        const std::uint64_t before = counters(rule).at("redirected_bytes");
        EXPECT_TRUE(wait_until([&] { return counters(rule).at("redirected_bytes") > before; }));
    }
};

TEST_F(Pause, TakesEffectWithin100MillisecondsAndResumeBringsAllBack) {
    start_daemon(usual_policy());
    std::vector<TcpPair> pairs = Listener(covered_route()).connect(5);
    warm_up(pairs);
    subscribe();
    BackgroundTraffic traffic(pairs);
    expect_redirected("test");
    const auto begin = std::chrono::steady_clock::now();
    daemon_->manager().Pause("test");
    const auto took = std::chrono::steady_clock::now() - begin;
    RecordProperty(
        "pause_microseconds",
        static_cast<int>(std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
    EXPECT_LT(took, 100ms);
    EXPECT_EQ(state_of(), "paused");
    std::this_thread::sleep_for(100ms - took);
    expect_nothing_redirected(traffic, "test", 500ms);
    for (const TcpPair& pair : pairs)
        EXPECT_TRUE(wait_until([&] { return is(pair, "paired", "paused"); })) << look(pair).text();
    EXPECT_TRUE(wait_until([this] { return status().at("pairs") == 0; }));
    const auto seen = events();
    EXPECT_EQ(std::count_if(seen.begin(), seen.end(),
                            [](const SeenEvent& event) {
                                return event.kind == "left" && event.reason == "paused";
                            }),
              5);
    // Long enough for looks to have become rare.
    expect_nothing_redirected(traffic, "test", 2500ms);

    daemon_->manager().Resume("test");
    EXPECT_EQ(state_of(), "active");
    for (const TcpPair& pair : pairs)
        EXPECT_TRUE(wait_until([&] { return is(pair, "enrolled"); }, 5s)) << look(pair).text();
    expect_redirected("test");
    traffic.stop();
    exchange_bytes(pairs, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

TEST_F(Pause, OfOneRuleLeavesAnotherOneRunning) {
    start_daemon(rule("first", {client_.path()}) + rule("second", {server_.path()}));
    std::vector<TcpPair> first =
        Listener({.client = Place(client_), .server = Place(client_)}).connect(2);
    std::vector<TcpPair> second =
        Listener({.client = Place(server_), .server = Place(server_)}).connect(2);
    warm_up(first);
    warm_up(second);
    BackgroundTraffic first_traffic(first), second_traffic(second);
    daemon_->manager().Pause("first");
    expect_nothing_redirected(first_traffic, "first", 300ms);
    expect_redirected("second");
    EXPECT_EQ(counters("second").at("left"), 0U);
    EXPECT_EQ(state_of("second"), "active");
    first_traffic.stop();
    second_traffic.stop();
    for (TcpPair& pair : first)
        expect_plain(pair);
    exchange_bytes(first, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
    exchange_bytes(second, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

TEST_F(Pause, EnrolsNothingNewUntilItIsResumed) {
    start_daemon(usual_policy());
    TcpPair opening = connect_pair(covered_route());
    ASSERT_TRUE(wait_until([&] {
        converse(opening, {});
        return is(opening, "opening", "opening");
    })) << look(opening).text();
    daemon_->manager().Pause("");
    TcpPair fresh = connect_pair(covered_route());
    for (TcpPair* pair : {&opening, &fresh})
        EXPECT_TRUE(wait_until([&] {
            converse(*pair, {});
            return is(*pair, "paired", "paused");
        })) << look(*pair).text();
    std::vector<TcpPair> pairs;
    pairs.push_back(std::move(opening));
    pairs.push_back(std::move(fresh));
    ASSERT_TRUE(wait_until([this] { return status().at("pairs") == 0; }));
    BackgroundTraffic traffic(pairs);
    EXPECT_FALSE(wait_until([this] { return status().at("pairs") > 0; }, 2s))
        << "a pair is on its way into the kernel's table";
    traffic.stop();
    EXPECT_EQ(counters().at("enrolled"), 0U);
    daemon_->manager().Resume("");
    warm_up(pairs);
}

// It cannot leave; what is sent while it is paused goes by TCP, behind what was redirected.
TEST_F(Pause, HoldsForAPairThatCannotLeave) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    warm_up(pair);
    ASSERT_EQ(pair.client.send(50000), 50000U);
    daemon_->manager().Pause("test");
    const Seen before = look(pair);
    EXPECT_EQ(before.state, "draining");
    EXPECT_EQ(before.reason, "paused");
    ASSERT_EQ(pair.client.send(50000), 50000U);
    std::this_thread::sleep_for(300ms);
    daemon_->manager().Resume("test");
    ASSERT_EQ(pair.client.send(50000), 50000U);
    EXPECT_EQ(look(pair).redirected_bytes(), before.redirected_bytes());
    read_all(pair);
    warm_up(pair);
    exchange_bytes(pair, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

TEST_F(Pause, SurvivesARestart) {
    const TemporaryDirectory state;
    const std::vector<std::string> arguments = {"--state", state.path()};
    start_daemon(usual_policy(), arguments);
    daemon_->manager().Pause("test");
    ASSERT_EQ(stop_daemon(), 0);
    start_daemon(usual_policy(), arguments);
    TcpPair pair = connect_pair(covered_route());
    EXPECT_TRUE(wait_until([&] {
        converse(pair, {});
        return is(pair, "paired", "paused");
    }));
    reload(usual_policy() + rule("another", {other_.path()}));
    for (int turn = 0; turn < 150; turn++) {
        converse(pair, {});
        std::this_thread::sleep_for(10ms);
    }
    EXPECT_TRUE(is(pair, "paired", "paused")) << look(pair).text();
    EXPECT_EQ(counters().at("enrolled"), 0U);
    daemon_->manager().Resume("test");
    warm_up(pair);
}

}  // namespace
}  // namespace sockaccel::test
