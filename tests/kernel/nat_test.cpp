// SPDX-License-Identifier: GPL-2.0-or-later
// NAT between the two ends of a connection: they see other addresses, and are one pair all the
// same.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "kernel_test.hpp"
#include "nat_host.hpp"

namespace sockaccel::test {
namespace {

using namespace std::chrono_literals;

// Why NAT cannot be tested here; "" if it can.
std::string missing() {
    if (std::system("command -v nft >/dev/null") != 0)
        return "nft is not installed";
    try {
        const Netns netns;
        load_rules(
            netns,
            "chain n { type nat hook postrouting priority 100; masquerade; }\n"
            "chain d { type nat hook prerouting priority -100; tcp dport 1 dnat to 10.0.0.1; }\n"
            "chain o { type nat hook output priority -100; tcp dport 2 redirect to :3; }\n");
    } catch (const std::exception& error) {
        return std::string("this kernel has no NAT by nf_tables: ") + error.what();
    }
    return {};
}

std::string text(const Dict& connection, const std::string& end) {
    const auto endpoint = [&](const std::string& prefix) {
        return connection.at(prefix + "address").get<std::string>() + ":" +
               std::to_string(connection.at(prefix + "port").get<std::uint16_t>());
    };
    return endpoint(end + "_") + " - " + endpoint(end + "_peer_");
}

class Nat : public KernelTest {
  protected:
    void SetUp() override {
        if (const std::string what = missing(); !what.empty())
            GTEST_SKIP() << what;
    }

    // As the daemon shows them: the client's and the server's view of the one of this rule.
    [[nodiscard]] std::pair<std::string, std::string> views(const std::string& rule = "test") {
        for (const Dict& connection : daemon_->connections())
            if (connection.at("rule").get<std::string>() == rule)
                return {text(connection, "client"), text(connection, "server")};
        return {};
    }

    // Right bytes both ways, most of them redirected.
    void expect_redirected_byte_exact(TcpPair& pair) {
        warm_up(pair);
        const Seen before = look(pair);
        constexpr std::uint64_t kBytes = 4 << 20;
        const Habits habits{.write = {1, 100000}, .read = {1, 100000}, .pause_percent = 10};
        exchange_bytes(
            pair, {.to_server = kBytes, .to_client = kBytes, .client = habits, .server = habits});
        const Seen after = look(pair);
        EXPECT_GE(after.redirected_bytes() - before.redirected_bytes(), kBytes / 4) << after.text();
    }

    void keep_busy(TcpPair& pair, std::chrono::milliseconds time) {
        const auto end = std::chrono::steady_clock::now() + time;
        while (std::chrono::steady_clock::now() < end) {
            converse(pair, {.request = 100, .response = 100});
            std::this_thread::sleep_for(10ms);
        }
    }
};

TEST_F(Nat, DnatToAPublishedPortIsRedirected) {
    const NatHost nat;
    nat.publish();
    start_daemon(usual_policy("networks = [\"10.98.0.0/24\"]\nports = [8080]"));
    TcpPair pair = connect_pair({.client = Place(client_, nat.client),
                                 .server = Place(server_, nat.server),
                                 .address = nat.host_to_client,
                                 .port = 80,
                                 .listen_on = nat.server_address,
                                 .connect_port = 8080});
    expect_redirected_byte_exact(pair);
    const auto [client, server] = views();
    const std::string client_port =
        client.substr(client.find(':') + 1, client.find(' ') - client.find(':') - 1);
    EXPECT_EQ(client,
              nat.client_address + ":" + client_port + " - " + nat.host_to_client + ":8080");
    EXPECT_EQ(server, nat.server_address + ":80 - " + nat.client_address + ":" + client_port);
}

TEST_F(Nat, ARuleMayNameTheServersOwnAddressBehindDnat) {
    const NatHost nat;
    nat.publish();
    start_daemon(usual_policy("networks = [\"10.99.0.1\"]\nports = [80]"));
    TcpPair pair = connect_pair({.client = Place(client_, nat.client),
                                 .server = Place(server_, nat.server),
                                 .address = nat.host_to_client,
                                 .port = 80,
                                 .listen_on = nat.server_address,
                                 .connect_port = 8080});
    expect_redirected_byte_exact(pair);
}

TEST_F(Nat, MasqueradeIsRedirected) {
    const NatHost nat;
    load_rules(nat.host,
               "chain hide { type nat hook postrouting priority 100;\n"
               "oifname br0 masquerade random; }\n");
    start_daemon(usual_policy("networks = [\"10.99.0.0/24\"]"));
    TcpPair pair = connect_pair({.client = Place(client_, nat.client),
                                 .server = Place(server_, nat.server),
                                 .address = nat.server_address,
                                 .port = 80});
    expect_redirected_byte_exact(pair);
    const auto [client, server] = views();
    EXPECT_EQ(client.find(nat.client_address + ":"), 0U) << client;
    EXPECT_EQ(server.find(nat.server_address + ":80 - " + nat.host_to_server + ":"), 0U) << server;
}

TEST_F(Nat, DnatAndMasqueradeTogetherAreRedirected) {
    const NatHost nat;
    load_rules(nat.host,
               "chain publish { type nat hook prerouting priority -100;\n"
               "tcp dport 8080 dnat to " +
                   nat.server_address +
                   ":80; }\n"
                   "chain hide { type nat hook postrouting priority 100;\n"
                   "oifname br0 masquerade random; }\n");
    start_daemon(usual_policy("networks = [\"10.98.0.0/16\"]"));
    TcpPair pair = connect_pair({.client = Place(client_, nat.client),
                                 .server = Place(server_, nat.server),
                                 .address = nat.host_to_client,
                                 .port = 80,
                                 .listen_on = nat.server_address,
                                 .connect_port = 8080});
    expect_redirected_byte_exact(pair);
}

// Beside the numbers, only the negotiated options could agree, and a middlebox has made them
// differ: the server believes that both ends know selective acknowledgements, the client does not.
TEST_F(Nat, WhereNothingButTheNumbersAgreesItStaysInTcpAsUnproven) {
    const NatHost nat;
    load_rules(
        nat.host,
        "chain publish { type nat hook prerouting priority -100;\n"
        "tcp dport 8080 dnat to " +
            nat.server_address +
            ":80; }\n"
            "chain hide { type nat hook postrouting priority 100;\n"
            "oifname br0 masquerade random; }\n"
            "chain mangle { type filter hook forward priority 0;\n"
            "tcp sport 80 tcp flags & (syn | ack) == syn | ack reset tcp option sack-perm; }\n");
    start_daemon(usual_policy("networks = [\"10.98.0.0/16\"]"));
    TcpPair pair = connect_pair({.client = Place(client_, nat.client),
                                 .server = Place(server_, nat.server),
                                 .address = nat.host_to_client,
                                 .port = 80,
                                 .listen_on = nat.server_address,
                                 .connect_port = 8080});
    EXPECT_TRUE(wait_until([&] {
        converse(pair, {});
        const auto seen = find(pair);
        return seen && seen->state == "unpaired" && seen->reason == "unproven";
    }));
    EXPECT_EQ(look(pair).rule, "test");
    exchange_bytes(pair, {.to_server = 1 << 20, .to_client = 1 << 20});
    EXPECT_EQ(look(pair).redirected_bytes(), 0U) << look(pair).text();
    EXPECT_EQ(counters().at("paired"), 0U);
    expect_plain(pair);
    pair.client.close();
    pair.server.close();
    EXPECT_TRUE(wait_until([this] { return connections().empty(); }));
}

// A sidecar: what the client sends to port 80 goes to a proxy on its host, and from there to the
// server. Both hops are connections of this host.
class Sidecar : public Nat {
  protected:
    [[nodiscard]] std::string proxy_config() const {
        return "global\n  maxconn 100\n"
               "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n"
               "  timeout server 60s\n"
               "frontend in\n  bind 127.0.0.1:15001\n  default_backend out\n"
               "backend out\n  server s 127.0.0.1:8000\n";
    }
};

TEST_F(Sidecar, HaproxyBehindRedirectHasBothHopsRedirected) {
    const Netns netns;
    netns.ip("addr add 10.77.0.1/32 dev lo");
    load_rules(netns,
               "chain sidecar { type nat hook output priority -100;\n"
               "ip daddr 10.77.0.1 tcp dport 80 redirect to :15001; }\n");
    const TemporaryDirectory directory;
    const TestCgroup proxy(covered_, "proxy");
    Process haproxy(
        Place(proxy, netns)
            .command({"haproxy", "-db", "-f", directory.write("haproxy.cfg", proxy_config())}));
    // What the client means, and what the proxy does: a rule for each.
    start_daemon(rule("in", {covered_.path()}, "networks = [\"10.77.0.1\"]\nports = [80]") +
                 rule("out", {covered_.path()}, "ports = [8000]"));
    std::optional<TcpPair> pair;
    ASSERT_TRUE(wait_until([&] {
        run_in(netns, "true");
        return haproxy.runs() && run({{"nsenter", "--net=" + netns.file(), "bash", "-c",
                                       "exec 3<>/dev/tcp/127.0.0.1/15001"},
                                      {},
                                      {}})
                                         .status == 0;
    })) << haproxy.standard_error();
    pair.emplace(connect_pair({.client = Place(client_, netns),
                               .server = Place(server_, netns),
                               .address = "10.77.0.1",
                               .port = 8000,
                               .listen_on = "127.0.0.1",
                               .connect_port = 80}));
    ASSERT_TRUE(wait_until([&] {
        converse(*pair, {.request = 100, .response = 100});
        const auto all = connections();
        return std::count_if(all.begin(), all.end(),
                             [](const Seen& seen) { return seen.state == "enrolled"; }) == 2;
    })) << connections().size();
    const auto [client, client_hop] = views("in");
    EXPECT_NE(client.find(" - 10.77.0.1:80"), std::string::npos) << client;
    EXPECT_EQ(client_hop.find("127.0.0.1:15001 - 10.77.0.1:"), 0U) << client_hop;
    const auto [proxy_hop, server] = views("out");
    EXPECT_EQ(server.find("127.0.0.1:8000 - 127.0.0.1:"), 0U) << server;
    EXPECT_NE(proxy_hop.find(" - 127.0.0.1:8000"), std::string::npos) << proxy_hop;
    constexpr std::uint64_t kBytes = 4 << 20;
    exchange_bytes(*pair, {.to_server = kBytes, .to_client = kBytes});
    for (const char* rule : {"in", "out"})
        EXPECT_GE(counters(rule).at("redirected_bytes"), kBytes / 4) << rule;
    exchange_bytes(*pair, {.to_server = 100000, .to_client = 100000, .finish = true});
    EXPECT_TRUE(haproxy.runs());
}

// conntrack sees no packet of what is redirected. Were it to forget the connection, the server's
// next packet by TCP would have an address that the client does not know, and a reset would be the
// answer.
class Conntrack : public Nat {
  protected:
    static constexpr auto kTimeout = 5s;

    void SetUp() override {
        Nat::SetUp();
        if (IsSkipped())
            return;
        nat_.host.sysctl("net/netfilter/nf_conntrack_tcp_timeout_established",
                         std::to_string(kTimeout.count()));
    }

    TcpPair redirected_pair(const std::string& chains) {
        load_rules(nat_.host, chains);
        start_daemon(usual_policy("networks = [\"10.98.0.0/15\"]"));
        TcpPair pair = connect_pair({.client = Place(client_, nat_.client),
                                     .server = Place(server_, nat_.server),
                                     .address = nat_.host_to_client,
                                     .port = 80,
                                     .listen_on = nat_.server_address,
                                     .connect_port = 8080});
        warm_up(pair);
        return pair;
    }

    const NatHost nat_;
    const std::string publish_ =
        "chain publish { type nat hook prerouting priority -100;\n"
        "tcp dport 8080 dnat to " +
        nat_.server_address + ":80; }\n";
};

TEST_F(Conntrack, ATimeoutShorterThanTheConnectionsLifeDoesNoHarm) {
    TcpPair pair = redirected_pair(publish_);
    keep_busy(pair, 3 * kTimeout);
    const Seen seen = look(pair);
    EXPECT_EQ(seen.state, "enrolled");
    const Counts counts = counters();
    EXPECT_GE(counts.at("redirected_messages"), 50 * counts.at("tcp_messages")) << seen.text();
    ASSERT_EQ(stop_daemon(), 0);
    ASSERT_EQ(pair.server.send(50000), 50000U);  // the server first
    read_all(pair);
    exchange_bytes(pair, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

TEST_F(Conntrack, NorDoesItToAFirewallWithoutNat) {
    load_rules(nat_.host,
               "chain forward { type filter hook forward priority 0; policy drop;\n"
               "ct state established accept\n"
               "ct state new ip saddr 10.98.0.1 tcp flags syn tcp dport 80 accept; }\n");
    start_daemon(usual_policy("networks = [\"10.99.0.0/24\"]"));
    TcpPair pair = connect_pair({.client = Place(client_, nat_.client),
                                 .server = Place(server_, nat_.server),
                                 .address = nat_.server_address,
                                 .port = 80});
    warm_up(pair);
    keep_busy(pair, 2 * kTimeout);
    ASSERT_EQ(stop_daemon(), 0);
    ASSERT_EQ(pair.server.send(50000), 50000U);
    read_all(pair);
    exchange_bytes(pair, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

TEST_F(Conntrack, NorDoesItAtTheQueueLimit) {
    TcpPair pair = redirected_pair(publish_ +
                                   "chain hide { type nat hook postrouting priority 100;\n"
                                   "oifname br0 masquerade random; }\n");
    keep_busy(pair, 2 * kTimeout);
    EXPECT_TRUE(flood(pair.server, {.message = 50000, .most = 32 << 20}).blocked);
    EXPECT_GE(look(pair).server.reasons["queue"], 1U);
    read_all(pair);
    exchange_bytes(pair, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

}  // namespace
}  // namespace sockaccel::test
