// SPDX-License-Identifier: GPL-2.0-or-later
// Cgroups that are nested, that come late, and that come back.
#include "bpf_objects.hpp"
#include "kernel_test.hpp"

namespace sockaccel::test {
namespace {

class Cgroups : public KernelTest {
  protected:
    // Both ends in this cgroup: enrolled, and redirected.
    void expect_accelerated(const TestCgroup& cgroup) {
        TcpPair pair = connect_pair({.client = Place(cgroup), .server = Place(cgroup)});
        warm_up(pair);
        const Seen before = look(pair);
        converse(pair, {.request = 5000, .response = 5000, .turns = 100});
        EXPECT_GT(look(pair).redirected_bytes(), before.redirected_bytes() + 500000);
        exchange_bytes(pair, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
    }
};

TEST_F(Cgroups, AConnectionIsPairedOnceUnderNestedCgroups) {
    start_daemon(rule("test", {covered_.path(), covered_.path() + "/**", client_.path()}));
    expect_accelerated(client_);
    EXPECT_EQ(counters().at("paired"), 1U);
    EXPECT_EQ(counters().at("enrolled"), 1U);
}

// Two rules attach to parent and child: programs of both run for the child's sockets.
TEST_F(Cgroups, AConnectionIsPairedOnceUnderTwoRulesForParentAndChild) {
    start_daemon(rule("test", {client_.path()}, "priority = 5") + rule("outer", {covered_.path()}));
    expect_accelerated(client_);
    EXPECT_EQ(counters("test").at("paired"), 1U);
    EXPECT_EQ(counters("outer").at("paired"), 0U);
    TcpPair mixed = connect_pair(covered_route());  // server_ is the outer rule's only
    warm_up(mixed);
    EXPECT_EQ(look(mixed).rule, "outer");
    EXPECT_EQ(counters("outer").at("paired"), 1U);
}

TEST_F(Cgroups, OneThatIsMadeAfterTheStartIsPickedUp) {
    start_daemon(rule("test", {cgroup_.path() + "/late-*"}));
    EXPECT_EQ(state_of(), "waiting");
    const TestCgroup late(cgroup_, "late-1");
    ASSERT_TRUE(wait_until([this] { return state_of() == "active"; }));
    expect_accelerated(late);
}

TEST_F(Cgroups, OneThatComesBackUnderItsNameIsPickedUp) {
    TestCgroup again(cgroup_, "again");
    start_daemon(rule("test", {again.path()}));
    expect_accelerated(again);
    again.remove();
    ASSERT_TRUE(wait_until([this] { return state_of() == "waiting"; }));
    again.make();
    ASSERT_TRUE(wait_until([this] { return state_of() == "active"; }));
    expect_accelerated(again);
}

TEST_F(Cgroups, OneThatComesBackAtOnceIsPickedUp) {
    TestCgroup again(cgroup_, "again");
    start_daemon(rule("test", {again.path()}));
    for (int round = 0; round < 20; round++) {
        again.remove();
        again.make();
    }
    ASSERT_TRUE(wait_until([&] { return !sock_ops_programs_on(again).empty(); }));
    ASSERT_TRUE(wait_until([this] { return state_of() == "active"; }));
    expect_accelerated(again);
}

TEST_F(Cgroups, OneBelowACoveredOneNeedsNoLookOfTheDaemon) {
    start_daemon(usual_policy());
    const TestCgroup child(covered_, "child"), grandchild(child, "grandchild");
    expect_accelerated(grandchild);
}

}  // namespace
}  // namespace sockaccel::test
