// SPDX-License-Identifier: GPL-2.0-or-later
// One daemon is killed, and the next one carries on with what the service manager has kept:
// connections stay redirected all the time, and no byte is lost.
#include <unistd.h>

#include <chrono>
#include <thread>

#include "bpf_objects.hpp"
#include "kernel_test.hpp"
#include "sockaccel.h"

namespace sockaccel::test {
namespace {

using Names = std::multiset<std::string>;

class Handover : public KernelTest {
  protected:
    Handover() { service_manager_.emplace(); }

    void start_with_pairs(std::size_t count, const std::string& more = {}) {
        start_daemon(usual_policy(more));
        pairs_ = Listener(covered_route()).connect(count);
        warm_up(pairs_);
    }

    void kill_and_start(const std::string& policy) {
        kill_daemon();
        start_daemon(policy);
    }

    // Of the first pair: that now, and at once, its data is redirected.
    void expect_redirected(TcpPair& pair) {
        const Seen before = look(pair);
        converse(pair, {.request = 1000, .response = 1000, .turns = 50});
        const Seen after = look(pair);
        EXPECT_EQ(after.state, "enrolled") << after.text();
        EXPECT_EQ(after.redirected_bytes() - before.redirected_bytes(), 100000U) << after.text();
    }

    // That these leave, and then live on in TCP, where they have been enrolled before.
    void expect_back_in_tcp() {
        for (TcpPair& pair : pairs_)
            expect_plain(pair);
        exchange_bytes(pairs_, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
    }

    void expect_new_ones_served() {
        TcpPair fresh = connect_pair(covered_route());
        warm_up(fresh);
        exchange_bytes(fresh, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
    }

    [[nodiscard]] Names names_of(const std::string& abi) {
        Names names;
        for (const std::string& name : service_manager_->names())
            if (name.rfind("sockaccel." + abi + ".", 0) == 0)
                names.insert(name);
        return names;
    }

    static std::string own(const std::string& name) {
        return "sockaccel." + std::to_string(SA_ABI) + "." + name;
    }

    std::vector<TcpPair> pairs_;
};

TEST_F(Handover, AfterAKillUnderTrafficEveryMessageWasRedirected) {
    start_with_pairs(10);
    const Counts before = counters();
    BackgroundTraffic traffic(pairs_);
    for (int round = 0; round < 3; round++) {
        kill_daemon();
        const std::uint64_t bytes = traffic.bytes();
        EXPECT_TRUE(wait_until([&] { return traffic.bytes() > bytes + (1 << 20); }))
            << "nothing arrives without the daemon";
        start_daemon(usual_policy());
    }
    traffic.stop();
    const Counts after = counters();
    EXPECT_EQ(after.at("paired"), 10U);
    EXPECT_EQ(after.at("enrolled"), 10U);
    EXPECT_EQ(after.at("left"), 0U);
    EXPECT_GE(after.at("redirected_bytes") - before.at("redirected_bytes"), traffic.bytes() / 2);
    std::uint64_t redirected = 0, by_tcp = 0;
    for (const TcpPair& pair : pairs_) {
        const Seen seen = look(pair);
        EXPECT_EQ(seen.state, "enrolled") << seen.text();
        redirected += seen.redirected_bytes();
        by_tcp += seen.client.tcp_bytes + seen.server.tcp_bytes;
    }
    EXPECT_EQ(after.at("redirected_bytes"), redirected);
    EXPECT_EQ(after.at("tcp_bytes"), by_tcp);
    exchange_bytes(pairs_, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

TEST_F(Handover, WhileNoDaemonRunsDataIsRedirected) {
    start_with_pairs(1);
    const Seen before = look(pairs_[0]);
    kill_daemon();
    converse(pairs_[0], {.request = 1000, .response = 1000, .turns = 100});
    start_daemon(usual_policy());
    const Seen after = look(pairs_[0]);
    EXPECT_EQ(after.redirected_bytes() - before.redirected_bytes(), 200000U) << after.text();
    expect_redirected(pairs_[0]);
}

TEST_F(Handover, WhatIsUnreadStaysReadable) {
    start_with_pairs(2);
    flood(pairs_[0].client, {.message = 5000, .most = 200000});
    flood(pairs_[1].server, {.message = 100, .most = 10000});
    kill_daemon();
    flood(pairs_[0].client, {.message = 5000, .most = 200000});
    start_daemon(usual_policy());
    flood(pairs_[0].client, {.message = 5000, .most = 200000});
    for (TcpPair& pair : pairs_)
        read_all(pair);
    expect_redirected(pairs_[0]);
    exchange_bytes(pairs_, {.to_server = 8 << 20, .to_client = 8 << 20, .finish = true});
}

TEST_F(Handover, ConnectionsThatBeginWithoutADaemonAreEnrolledByTheNext) {
    start_with_pairs(1);
    kill_daemon();
    TcpPair fresh = connect_pair(covered_route());
    start_daemon(usual_policy());
    warm_up(fresh);
    exchange_bytes(fresh, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

TEST_F(Handover, PairsThatCloseWithoutADaemonAreCleanedUpByTheNext) {
    start_with_pairs(5);
    kill_daemon();
    exchange_bytes(pairs_, {.to_server = 100000, .to_client = 100000, .finish = true});
    pairs_.clear();
    start_daemon(usual_policy());
    EXPECT_TRUE(wait_until([this] { return counters().at("left") == 5; }));
    EXPECT_EQ(status().at("pairs"), 0U);
}

TEST_F(Handover, NothingOfTheDaemonBeforeStaysButTheStub) {
    start_with_pairs(2);
    const BpfObjects first = BpfObjects::held_by(daemon_->pid());
    kill_and_start(usual_policy());
    EXPECT_TRUE(wait_until([&] { return first.remaining().programs.size() <= 1; }))
        << first.remaining().programs.size() << " programs";
    const BpfIds attached = sock_ops_programs_on(covered_);
    EXPECT_EQ(attached.size(), 1U);
    const BpfObjects second = BpfObjects::held_by(daemon_->pid());
    for (const std::uint32_t id : attached)
        EXPECT_EQ(second.programs.count(id), 1U) << "the program is the old one";
    // The self-test of a daemon elsewhere on the host may show up, the predecessor's may not.
    for (const char* name : {"(sa_stub", "(sa_gate"})
        EXPECT_EQ(daemon_->output().find(name), std::string::npos) << daemon_->output();
    pairs_.clear();
    EXPECT_EQ(stop_daemon(), 0);
    EXPECT_EQ(service_manager_->names(), Names{});
    EXPECT_TRUE(wait_until([&] {
        return first.remaining().programs.empty() && second.remaining().programs.empty() &&
               second.remaining().links.empty();
    }));
}

TEST_F(Handover, TheStoreDoesNotGrow) {
    start_with_pairs(1);
    // The witness has two sets of names, for the old and the new one, in turn.
    const auto stored = [this] {
        Names names;
        for (std::string name : service_manager_->names()) {
            if (const std::size_t at = name.find("witness.1."); at != std::string::npos)
                name[at + 8] = '0';
            names.insert(name);
        }
        return names;
    };
    const Names names = stored();
    EXPECT_EQ(names.count(own("leave")), 1U);
    EXPECT_GT(names.count(own("map.sockets")), 0U);
    for (int round = 0; round < 3; round++)
        kill_and_start(usual_policy());
    EXPECT_EQ(stored(), names);
    reload("");
    EXPECT_TRUE(wait_until([&] { return stored().size() == names.size() - 1; }))
        << "the link to the cgroup is still kept";
    reload(usual_policy());
    EXPECT_EQ(stored(), names);
}

TEST_F(Handover, ASignalByHandTakesAllOutAndEmptiesTheStore) {
    start_with_pairs(3);
    BackgroundTraffic traffic(pairs_);
    EXPECT_EQ(stop_daemon(), 0);
    EXPECT_TRUE(service_manager_->was_told("STOPPING=1"));
    EXPECT_EQ(service_manager_->names(), Names{});
    EXPECT_TRUE(sock_ops_programs_on(covered_).empty());
    traffic.stop();
    expect_back_in_tcp();
}

// --- with another policy

TEST_F(Handover, RulesKeepTheirPairsAndCountersWhateverElseThePolicySays) {
    start_daemon(rule("gone", {other_.path()}) + usual_policy());
    pairs_ = Listener(covered_route()).connect(2);
    warm_up(pairs_);
    BackgroundTraffic traffic(pairs_);
    kill_and_start(rule("another", {other_.path()}) + rule("zebra", {other_.path()}) +
                   usual_policy("queue = \"2MiB\""));
    traffic.stop();
    EXPECT_EQ(counters("another").at("redirected_bytes"), 0U);
    EXPECT_EQ(counters("zebra").at("paired"), 0U);
    const Counts counts = counters();
    EXPECT_EQ(counts.at("enrolled"), 2U);
    EXPECT_EQ(counts.at("left"), 0U);
    for (TcpPair& pair : pairs_) {
        EXPECT_EQ(look(pair).rule, "test");
        expect_redirected(pair);
    }
}

TEST_F(Handover, PairsOfARuleThatIsGoneLeave) {
    start_with_pairs(3);
    BackgroundTraffic traffic(pairs_);
    kill_and_start(rule("another", {other_.path()}));
    for (const TcpPair& pair : pairs_)
        EXPECT_TRUE(wait_until([&] {
            const auto seen = find(pair);
            return !seen || seen->state == "paired";
        }));
    traffic.stop();
    expect_back_in_tcp();
}

TEST_F(Handover, PairsOfARuleThatWasRefusedMeanwhileDoNotPassToIt) {
    start_with_pairs(1);
    const std::string refused = "[[rule]]\nname = \"first\"\npriority = 5\ncgroups = [\"" +
                                covered_.path() + "\"]\nprove = \"0s\"\n";
    BackgroundTraffic traffic(pairs_);
    kill_and_start(usual_policy() + refused);
    traffic.stop();
    if (state_of("first") != "refused")
        GTEST_SKIP() << "this kernel has a witness, so the rule runs";
    EXPECT_EQ(counters().at("left"), 0U);
    expect_redirected(pairs_[0]);
}

TEST_F(Handover, AnotherLimitOfConnectionsWaitsForAStop) {
    start_daemon("[limits]\nconnections = 100\n" + usual_policy());
    pairs_ = Listener(covered_route()).connect(1);
    warm_up(pairs_);
    const std::string larger = "[limits]\nconnections = 200\n" + usual_policy();
    const auto is_told = [this] {
        for (const std::string& problem : daemon_->manager().Problems())
            if (problem.find("limits.connections = 200") == 0)
                return true;
        return false;
    };
    kill_and_start(larger);
    EXPECT_TRUE(is_told());
    expect_redirected(pairs_[0]);
    EXPECT_EQ(stop_daemon(), 0);
    start_daemon(larger);
    EXPECT_FALSE(is_told());
}

TEST_F(Handover, AnInvalidPolicyTakesAllOut) {
    start_with_pairs(2);
    BackgroundTraffic traffic(pairs_);
    kill_daemon();
    EXPECT_THROW(start_daemon("[[rule]]\n"), std::runtime_error);
    daemon_.reset();
    EXPECT_EQ(service_manager_->names(), Names{});
    EXPECT_TRUE(sock_ops_programs_on(covered_).empty());
    traffic.stop();
    expect_back_in_tcp();
}

// --- what cannot be carried on

TEST_F(Handover, WhatIsOfAnotherAbiIsTakenOut) {
    start_with_pairs(5);
    flood(pairs_[0].client, {.message = 5000, .most = 100000});
    BackgroundTraffic traffic(std::span<TcpPair>(pairs_).subspan(1));
    kill_daemon();
    service_manager_->rename_all(own(""), "sockaccel.1.");
    std::thread late_reader([this] {
        std::this_thread::sleep_for(std::chrono::milliseconds(1500));
        read_all(pairs_[0]);
    });
    start_daemon(usual_policy());
    late_reader.join();
    EXPECT_EQ(names_of("1"), Names{});
    EXPECT_EQ(names_of(std::to_string(SA_ABI)).count(own("map.pairs")), 1U);
    EXPECT_EQ(sock_ops_programs_on(covered_).size(), 1U);
    EXPECT_EQ(status().at("pairs"), 0U);
    traffic.stop();
    expect_back_in_tcp();
    expect_new_ones_served();
}

class HandoverWithout : public Handover, public ::testing::WithParamInterface<const char*> {};

TEST_P(HandoverWithout, IsAFreshStartThatLosesNoByte) {
    start_with_pairs(3);
    flood(pairs_[0].client, {.message = 5000, .most = 100000});
    BackgroundTraffic traffic(std::span<TcpPair>(pairs_).subspan(1));
    kill_daemon();
    service_manager_->drop(own(GetParam()));
    start_daemon(usual_policy(), {"--stop-timeout", "1"});
    traffic.stop();
    read_all(pairs_[0]);
    // They may keep the empty stub.
    exchange_bytes(pairs_, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
    expect_new_ones_served();
    pairs_.clear();
}

INSTANTIATE_TEST_SUITE_P(, HandoverWithout,
                         ::testing::Values("leave", "legacy", "map.pairs", "map.control",
                                           "map.programs", "map.sockets", "map.halves"),
                         [](const auto& test) {
                             std::string name = test.param;
                             std::erase(name, '.');
                             return name;
                         });

TEST_F(Handover, WithADamagedLegacyIsAFreshStart) {
    start_with_pairs(2);
    BackgroundTraffic traffic(pairs_);
    kill_daemon();
    check(::ftruncate(service_manager_->get(own("legacy")), 40), "cut the legacy off");
    start_daemon(usual_policy());
    traffic.stop();
    EXPECT_NE(daemon_->output().find("not carried on"), std::string::npos);
    expect_back_in_tcp();
    expect_new_ones_served();
}

}  // namespace
}  // namespace sockaccel::test
