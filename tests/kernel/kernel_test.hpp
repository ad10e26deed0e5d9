// SPDX-License-Identifier: GPL-2.0-or-later
// What each test here stands on: cgroups of its own, the real daemon on the real kernel, and what
// that daemon says of the test's connections.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cgroup.hpp"
#include "daemon.hpp"
#include "policy_text.hpp"
#include "slowness.hpp"
#include "traffic.hpp"

namespace sockaccel::test {

using Counts = std::map<std::string, std::uint64_t>;

// One connection as the daemon shows it.
struct SeenEnd {
    std::uint64_t cookie = 0;
    std::uint64_t queued_bytes = 0;
    std::uint64_t redirected_messages = 0, redirected_bytes = 0;  // that it sent
    std::uint64_t tcp_messages = 0, tcp_bytes = 0;
    Counts reasons;
};
struct Seen {
    std::string rule, state, reason, besides;
    SeenEnd client, server;

    [[nodiscard]] std::uint64_t redirected_bytes() const {
        return client.redirected_bytes + server.redirected_bytes;
    }
    [[nodiscard]] std::string text() const;
};

struct SeenEvent {
    std::string kind, rule, reason;
    std::uint64_t client_cookie = 0;
};

class KernelTest : public ::testing::Test {
  protected:
    KernelTest();
    // Stops the daemon, if the test has not; what it logged is shown if the test failed.
    void TearDown() override;

    // The usual policy: everything in covered_.
    [[nodiscard]] std::string usual_policy(const std::string& more = {}) const;

    void start_daemon(const std::string& policy, const std::vector<std::string>& arguments = {});
    void reload(const std::string& policy);
    int stop_daemon();   // SIGTERM; its exit status
    void kill_daemon();  // SIGKILL

    [[nodiscard]] std::vector<Seen> connections();
    // By the sockets' cookies, as addresses may be the same in two network namespaces.
    [[nodiscard]] std::optional<Seen> find(const TcpPair& pair);
    // The same, where it has to be there.
    [[nodiscard]] Seen look(const TcpPair& pair);
    [[nodiscard]] Counts counters(const std::string& rule = "test");
    [[nodiscard]] Counts status();  // the numbers of it
    [[nodiscard]] Counts limit_hits() { return daemon_->status().at("limit_hits").get<Counts>(); }
    [[nodiscard]] std::string state_of(const std::string& rule = "test");

    // From now on; events() has what came so far.
    void subscribe();
    [[nodiscard]] std::vector<SeenEvent> events();

    // As little traffic as makes the connection one that is looked at.
    static void talk(TcpPair& pair) { converse(pair, {.turns = 5}); }
    // Light traffic until the daemon says that each of the pairs is enrolled. Throws if one is not
    // within the timeout, saying what stands against it.
    void warm_up(TcpPair& pair, Timeout timeout = slowness() * std::chrono::seconds(10));
    void warm_up(std::span<TcpPair> pairs, Timeout timeout = slowness() * std::chrono::seconds(10));

    // The route with both ends in covered cgroups, at 127.0.0.1.
    [[nodiscard]] Route covered_route() const;

    // That its sockets are like any other.
    static void expect_plain(TcpPair& pair);
    // That, and that the daemon does not know it.
    void expect_untouched(TcpPair& pair);

    TestCgroup cgroup_, covered_, client_, server_, other_;
    std::optional<ServiceManager> service_manager_;  // of the daemons that are started, if any
    std::optional<Daemon> daemon_;
};

}  // namespace sockaccel::test
