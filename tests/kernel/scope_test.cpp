// SPDX-License-Identifier: GPL-2.0-or-later
// What no rule covers is left alone, while a covered connection beside it is enrolled.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/socket.h>

#include <array>
#include <initializer_list>
#include <span>
#include <thread>

#include "kernel_test.hpp"

namespace sockaccel::test {
namespace {

class Scope : public KernelTest {
  protected:
    // The strangers have the best of traffic, for as long as it takes to enrol a covered connection
    // and longer.
    void expect_never_enrolled(std::span<TcpPair> strangers, TcpPair& covered) {
        BackgroundTraffic traffic(strangers);
        warm_up(covered);
        converse(covered, {.turns = 10});
        std::this_thread::sleep_for(std::chrono::milliseconds(500));
        traffic.stop();
        for (TcpPair& stranger : strangers)
            expect_untouched(stranger);
        EXPECT_EQ(counters().at("enrolled"), 1U);
        EXPECT_EQ(connections().size(), 1U);
    }
};

TEST_F(Scope, LeavesAConnectionAloneWhoseOtherEndIsNotCovered) {
    start_daemon(usual_policy());
    std::vector<TcpPair> strangers;
    strangers.push_back(connect_pair({.client = Place(client_), .server = Place(other_)}));
    strangers.push_back(connect_pair({.client = Place(other_), .server = Place(server_)}));
    strangers.push_back(connect_pair({.client = Place(other_), .server = Place(other_)}));
    TcpPair covered = connect_pair(covered_route());
    expect_never_enrolled(strangers, covered);
    EXPECT_EQ(counters().at("paired"), 1U);
}

TEST_F(Scope, LeavesAServerAddressAloneThatIsInNoNetwork) {
    start_daemon(usual_policy());  // loopback only
    const BridgedContainers containers;
    const Route across{.client = Place(client_, containers.first),
                       .server = Place(server_, containers.second),
                       .address = containers.second_address};
    const Route within{.client = Place(client_, containers.first),
                       .server = Place(server_, containers.first),
                       .address = containers.first_address};
    std::vector<TcpPair> strangers;
    strangers.push_back(connect_pair(across));
    strangers.push_back(connect_pair(within));
    const Route loopback{.client = Place(client_, containers.first),
                         .server = Place(server_, containers.first)};
    TcpPair covered = connect_pair(loopback);
    expect_never_enrolled(strangers, covered);
}

TEST_F(Scope, LeavesAPortAloneThatTheRuleDoesNotName) {
    const Netns netns;
    start_daemon(usual_policy("ports = [7000, \"7010-7019\"]"));
    Route route{.client = Place(client_, netns), .server = Place(server_, netns)};
    std::vector<TcpPair> strangers;
    for (const auto port : std::initializer_list<std::uint16_t>{6999, 7001, 7009, 7020}) {
        route.port = port;
        strangers.push_back(connect_pair(route));
    }
    // The client's port is of no importance.
    Route backwards = route;
    backwards.port = 8000;
    backwards.client_address = "127.0.0.1";
    backwards.client_port = 7000;
    strangers.push_back(connect_pair(backwards));
    route.port = 7019;
    TcpPair covered = connect_pair(route);
    expect_never_enrolled(strangers, covered);
}

TEST_F(Scope, NeverEnrolsAShortLivedConnection) {
    start_daemon(usual_policy());
    const Listener listener(covered_route());
    TcpPair lasting = listener.connect();
    for (int count = 0; count < 300; count++) {
        TcpPair brief = listener.connect();
        converse(brief, {.request = 1000, .response = 1000, .turns = 20});
    }
    warm_up(lasting);
    EXPECT_EQ(counters().at("enrolled"), 1U);
    EXPECT_TRUE(wait_until([this] { return connections().size() == 1; }));
}

TEST_F(Scope, ABypassRuleWinsIfItMatchesEitherEnd) {
    const TestCgroup exempt(covered_, "exempt");
    start_daemon(usual_policy("priority = 9") + "[[rule]]\nname = \"exempt\"\ncgroups = [\"" +
                 exempt.path() + "\"]\naction = \"bypass\"\n");
    std::vector<TcpPair> strangers;
    strangers.push_back(connect_pair({.client = Place(exempt), .server = Place(server_)}));
    strangers.push_back(connect_pair({.client = Place(client_), .server = Place(exempt)}));
    strangers.push_back(connect_pair({.client = Place(exempt), .server = Place(exempt)}));
    TcpPair covered = connect_pair(covered_route());
    BackgroundTraffic traffic(strangers);
    warm_up(covered);
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    traffic.stop();
    EXPECT_EQ(counters().at("enrolled"), 1U);
    for (const TcpPair& stranger : strangers) {
        const auto seen = find(stranger);
        EXPECT_TRUE(!seen || seen->state == "paired") << seen->text();
        EXPECT_TRUE(!seen || seen->redirected_bytes() == 0) << seen->text();
    }
}

// Who stalls inside recv() holds his sender: within one user namespace they trust each other so
// far.
TEST_F(Scope, LeavesEndsOfDifferentUserNamespacesOnTcpUnlessTheRuleToleratesStall) {
    start_daemon(usual_policy());
    Route route = covered_route();
    route.client = Place(client_).in_a_user_namespace();
    TcpPair pair = connect_pair(route);
    EXPECT_TRUE(wait_until([&] {
        converse(pair, {.turns = 10});
        const auto seen = find(pair);
        return seen && seen->reason == "user-namespace";
    })) << look(pair).text();
    TcpPair usual = connect_pair(covered_route());
    BackgroundTraffic traffic({&pair, 1});
    warm_up(usual);
    traffic.stop();
    expect_plain(pair);
    EXPECT_EQ(counters().at("enrolled"), 1U);
    reload(rule("test", {covered_.path()}, {}, "stall"));
    warm_up(pair);
}

// What systemd attaches for IPAddressDeny= is such a program; this one lets all pass.
TEST_F(Scope, LeavesAnEndWithAnIpFilterAlone) {
    const std::array<bpf_insn, 2> pass_all{
        bpf_insn{
            .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 1},
        bpf_insn{.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    const Fd filter(check(bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "pass_all", "GPL",
                                        pass_all.data(), pass_all.size(), nullptr),
                          "load a filter"));
    const TestCgroup filtered(covered_, "filtered"), below(filtered, "below");
    const Fd directory(check(::open(filtered.directory().c_str(), O_RDONLY | O_CLOEXEC), "open"));
    const Fd link(check(
        bpf_link_create(filter.get(), directory.get(), BPF_CGROUP_INET_EGRESS, nullptr), "attach"));
    start_daemon(usual_policy());
    std::vector<TcpPair> strangers;
    strangers.push_back(connect_pair({.client = Place(filtered), .server = Place(server_)}));
    strangers.push_back(connect_pair({.client = Place(client_), .server = Place(below)}));
    TcpPair covered = connect_pair(covered_route());
    BackgroundTraffic traffic(strangers);
    warm_up(covered);
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    for (const TcpPair& stranger : strangers) {
        EXPECT_EQ(look(stranger).state, "paired");
        EXPECT_EQ(look(stranger).reason, "filtered");
    }
    traffic.stop();
    EXPECT_EQ(counters().at("enrolled"), 1U);
}

TEST_F(Scope, NeverEnrolsAnEndThatBlocks) {
    start_daemon(usual_policy());
    std::vector<TcpPair> pairs = Listener(covered_route()).connect(2);
    pairs[0].server.set_blocking(true);
    warm_up(pairs[1]);
    for (int turn = 0; turn < 200; turn++) {
        converse(pairs[0], {});
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    const Seen seen = look(pairs[0]);
    EXPECT_EQ(seen.state, "paired");
    EXPECT_EQ(seen.reason, "blocking");
    EXPECT_EQ(seen.besides, "none");
    pairs[0].server.set_blocking(false);
    warm_up(pairs[0], std::chrono::seconds(20));
}

TEST_F(Scope, AnOptionThatComesWhileAPairOpensKeepsItOutAsLongAsItIsSet) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    const auto shows = [&](const char* state, const char* reason) {
        return wait_until([&] {
            converse(pair, {});
            const auto seen = find(pair);
            return seen && seen->state == state && seen->reason == reason;
        });
    };
    const auto set_lowat = [&pair](int bytes) {
        check(::setsockopt(pair.server.fd(), SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes),
              "set SO_RCVLOWAT");
    };
    ASSERT_TRUE(shows("opening", "opening")) << look(pair).text();
    set_lowat(2);
    EXPECT_TRUE(shows("paired", "rcvlowat")) << look(pair).text();
    set_lowat(1);
    warm_up(pair);
    EXPECT_EQ(counters().at("enrolled"), 1U);
}

TEST_F(Scope, LeavesASocketWithAPeekOffsetOnTcp) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    const int offset = 0;
    if (::setsockopt(pair.client.fd(), SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset) != 0)
        GTEST_SKIP() << "TCP has no SO_PEEK_OFF on this kernel";
    EXPECT_TRUE(wait_until([&] {
        converse(pair, {});
        const auto seen = find(pair);
        return seen && seen->state == "paired" && seen->reason == "peek-offset";
    })) << look(pair).text();
}

TEST_F(Scope, LeavesConnectionsAboveTheLimitOnTcp) {
    start_daemon("[limits]\nconnections = 3\n" + usual_policy());
    std::vector<TcpPair> pairs = Listener(covered_route()).connect(10);
    BackgroundTraffic traffic(pairs);
    const auto count = [this](const auto& has) {
        const auto all = connections();
        return std::count_if(all.begin(), all.end(), has);
    };
    const auto is_enrolled = [](const Seen& seen) { return seen.state == "enrolled"; };
    const auto is_full = [](const Seen& seen) { return seen.reason == "full"; };
    EXPECT_TRUE(wait_until([&] { return count(is_enrolled) == 3 && count(is_full) == 7; }))
        << count(is_enrolled) << " are enrolled, " << count(is_full) << " too many";
    traffic.stop();
    EXPECT_EQ(counters().at("enrolled"), 3U);
    // Where one goes, another may come.
    pairs.clear();
    EXPECT_TRUE(wait_until([this] { return status().at("pairs") == 0; }));
    TcpPair later = connect_pair(covered_route());
    warm_up(later);
}

}  // namespace
}  // namespace sockaccel::test
