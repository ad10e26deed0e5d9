// SPDX-License-Identifier: GPL-2.0-or-later
// The policy changes under traffic: no byte is lost, and connections follow.
#include <algorithm>
#include <thread>

#include "kernel_test.hpp"

namespace sockaccel::test {
namespace {

class Reload : public KernelTest {
  protected:
    [[nodiscard]] bool has_left(const TcpPair& pair) {
        const auto seen = find(pair);
        return !seen || seen->state == "paired";
    }
};

TEST_F(Reload, AddsARuleUnderTraffic) {
    start_daemon(rule("another", {other_.path()}));
    std::vector<TcpPair> old = Listener(covered_route()).connect(3);
    BackgroundTraffic traffic(old);
    reload(rule("another", {other_.path()}) + usual_policy());
    EXPECT_EQ(state_of(), "active");
    TcpPair fresh = connect_pair(covered_route());
    warm_up(fresh);
    const Seen before = look(fresh);
    converse(fresh, {.request = 5000, .response = 5000, .turns = 100});
    EXPECT_GE(look(fresh).redirected_bytes() - before.redirected_bytes(), 500000U);
    traffic.stop();
    exchange_bytes(old, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
    exchange_bytes(fresh, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

TEST_F(Reload, RemovesARuleUnderTrafficWithoutALostByte) {
    start_daemon(usual_policy());
    std::vector<TcpPair> pairs = Listener(covered_route()).connect(10);
    warm_up(pairs);
    subscribe();
    BackgroundTraffic traffic(pairs);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    reload("");
    for (const TcpPair& pair : pairs)
        EXPECT_TRUE(wait_until([&] { return has_left(pair); })) << look(pair).text();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    traffic.stop();

    for (const TcpPair& pair : pairs) {
        const auto is_its_end = [&pair](const SeenEvent& event) {
            return event.kind == "left" && event.client_cookie == pair.client.cookie() &&
                   event.reason == "policy";
        };
        EXPECT_TRUE(wait_until([&] {
            const auto seen = events();
            return std::any_of(seen.begin(), seen.end(), is_its_end);
        })) << "no event tells that this pair left";
    }
    for (TcpPair& pair : pairs)
        expect_plain(pair);
    exchange_bytes(pairs, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

TEST_F(Reload, BackAndForthUnderTrafficLosesNoByteAndEnrolsAgain) {
    start_daemon(usual_policy());
    std::vector<TcpPair> pairs = Listener(covered_route()).connect(5);
    BackgroundTraffic traffic(pairs);
    const auto are_enrolled = [&] {
        return std::all_of(pairs.begin(), pairs.end(), [this](const TcpPair& pair) {
            const auto seen = find(pair);
            return seen && seen->state == "enrolled";
        });
    };
    for (int round = 0; round < 3; round++) {
        ASSERT_TRUE(wait_until(are_enrolled)) << "in round " << round;
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        reload(rule("another", {other_.path()}));
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        reload(usual_policy() + rule("another", {other_.path()}));
    }
    traffic.stop();
    exchange_bytes(pairs, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

TEST_F(Reload, WithoutAChangeLeavesConnectionsEnrolled) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    warm_up(pair);
    converse(pair, {.turns = 10});
    const Seen before = look(pair);
    reload(usual_policy("queue = \"2MiB\"") + rule("another", {other_.path()}));
    converse(pair, {.request = 100, .response = 100, .turns = 10});
    const Seen after = look(pair);
    EXPECT_EQ(after.state, "enrolled");
    EXPECT_EQ(after.redirected_bytes() - before.redirected_bytes(), 2000U) << after.text();
    EXPECT_EQ(counters().at("left"), 0U);
}

TEST_F(Reload, APairThatWaitsFollowsAChangedRule) {
    const auto proving = [this](const char* more) {
        return "[[rule]]\nname = \"test\"\ncgroups = [\"" + covered_.path() +
               "\"]\ntolerate = [\"fionread\", \"splice\", \"waitall\"]\n" + more;
    };
    start_daemon(proving("prove = \"1h\""));
    std::vector<TcpPair> pairs = Listener(covered_route()).connect(2);
    BackgroundTraffic traffic(pairs);
    ASSERT_TRUE(wait_until([&] {
        const auto seen = find(pairs[0]);
        return seen && seen->reason == "proving";
    }));
    traffic.stop();
    reload(proving("prove = \"0s\""));
    warm_up(pairs);
    EXPECT_EQ(counters().at("paired"), 2U);
    exchange_bytes(pairs, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

TEST_F(Reload, ABypassRuleTakesEnrolledPairsOutAndLetsThemBackInWhenItGoes) {
    start_daemon(usual_policy());
    std::vector<TcpPair> pairs = Listener(covered_route()).connect(3);
    warm_up(pairs);
    BackgroundTraffic traffic(pairs);
    reload(usual_policy() + "[[rule]]\nname = \"exempt\"\ncgroups = [\"" + client_.path() +
           "\"]\naction = \"bypass\"\n");
    for (const TcpPair& pair : pairs)
        EXPECT_TRUE(wait_until([&] {
            const auto seen = find(pair);
            return seen && seen->state == "paired" && seen->reason == "policy";
        })) << look(pair).text();
    traffic.stop();
    for (TcpPair& pair : pairs)
        expect_plain(pair);
    reload(usual_policy());
    warm_up(pairs);
    exchange_bytes(pairs, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

TEST_F(Reload, AnEnrolledPairPassesToTheRuleThatDecidesNow) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    warm_up(pair);
    reload(usual_policy() + rule("first", {covered_.path()}, "priority = 5"));
    BackgroundTraffic traffic(std::span(&pair, 1));
    EXPECT_TRUE(wait_until([&] {
        const auto seen = find(pair);
        return seen && seen->state == "enrolled" && seen->rule == "first";
    })) << look(pair).text();
    traffic.stop();
    EXPECT_EQ(counters("first").at("paired"), 1U);
    exchange_bytes(pair, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

// What was sent before the rule went is still in the receiver's queue when the pair has to leave.
TEST_F(Reload, APairWithUnreadBytesLeavesWhenTheyAreRead) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    warm_up(pair);
    ASSERT_EQ(pair.client.send(50000), 50000U);
    reload("");
    ASSERT_EQ(pair.client.send(50000), 50000U);
    EXPECT_FALSE(wait_until([&] { return has_left(pair); }, std::chrono::milliseconds(500)));
    read_all(pair);
    BackgroundTraffic traffic(std::span(&pair, 1));
    EXPECT_TRUE(wait_until([&] { return has_left(pair); }));
    traffic.stop();
    expect_plain(pair);
    exchange_bytes(pair, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

}  // namespace
}  // namespace sockaccel::test
