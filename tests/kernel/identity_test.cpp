// SPDX-License-Identifier: GPL-2.0-or-later
// The two ends of one connection are found by their initial sequence numbers, however it was
// opened; ends of different connections never are, whatever their addresses.
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <thread>
#include <utility>

#include "kernel_test.hpp"

namespace sockaccel::test {
namespace {

using namespace std::chrono_literals;

void set_tcp_option(int fd, int option, int value) {
    check(::setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value),
          "set TCP option " + std::to_string(option));
}

bool syn_carried_data(const End& client) {
    tcp_info info{};
    socklen_t size = sizeof info;
    check(::getsockopt(client.fd(), IPPROTO_TCP, TCP_INFO, &info, &size), "TCP_INFO");
    return (info.tcpi_options & TCPI_OPT_SYN_DATA) != 0;
}

class Identity : public KernelTest {
  protected:
    Identity() { start_daemon(usual_policy()); }

    void expect_enrolled(TcpPair& pair) {
        warm_up(pair);
        const Seen before = look(pair);
        converse(pair, {.request = 1000, .response = 1000, .turns = 10});
        EXPECT_EQ(look(pair).redirected_bytes() - before.redirected_bytes(), 20000U);
        exchange_bytes(pair, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
        EXPECT_EQ(counters().at("enrolled"), 1U);
    }

    const Netns netns_;
    const Route route_{.client = Place(client_, netns_), .server = Place(server_, netns_)};
};

TEST_F(Identity, HoldsWithDataOnTheThirdAck) {
    const Listener listener(route_);
    Fd socket = route_.client.socket(AF_INET);
    set_tcp_option(socket.get(), TCP_QUICKACK, 0);  // keeps the ACK back, for data to carry it
    End client(listener.start_client(std::move(socket)), 1, 2);
    ASSERT_TRUE(wait_until([&client] { return client.send(1000) == 1000; }));
    TcpPair pair{std::move(client), End(listener.accept(), 2, 1)};
    expect_enrolled(pair);
}

TEST_F(Identity, HoldsWithADeferredAccept) {
    const Listener listener(route_);
    set_tcp_option(listener.fd(), TCP_DEFER_ACCEPT, 5);
    End client(listener.start_client(route_.client.socket(AF_INET)), 1, 2);
    ASSERT_TRUE(wait_until([&client] { return client.send(1000) == 1000; }));
    TcpPair pair{std::move(client), End(listener.accept(), 2, 1)};
    expect_enrolled(pair);
}

TEST_F(Identity, HoldsWithSynCookies) {
    netns_.sysctl("net/ipv4/tcp_syncookies", "2");  // always
    TcpPair pair = connect_pair(route_);
    expect_enrolled(pair);
}

TEST_F(Identity, HoldsWithTcpFastOpen) {
    netns_.sysctl("net/ipv4/tcp_fastopen", "3");
    const Listener listener(route_);
    set_tcp_option(listener.fd(), TCP_FASTOPEN, 16);
    for (const bool has_cookie : {false, true}) {
        Fd socket = route_.client.socket(AF_INET);
        set_tcp_option(socket.get(), TCP_FASTOPEN_CONNECT, 1);
        End client(listener.start_client(std::move(socket)), 1, 2);
        ASSERT_TRUE(wait_until([&client] { return client.send(1000) == 1000; }));
        TcpPair pair{std::move(client), End(listener.accept(), 2, 1)};
        if (has_cookie) {
            EXPECT_TRUE(syn_carried_data(pair.client));
            expect_enrolled(pair);
        }
        read_all(pair);
    }
}

// The daemon looks at an end that comes while it looks: not before the end has said what it is. And
// a policy that comes in between is not taken for one that does not cover it.
TEST_F(Identity, HoldsForThoseThatComeDuringAReload) {
    const Listener listener(route_);
    std::atomic<bool> is_over = false;
    std::thread reloads([&] {
        while (!is_over)
            daemon_->manager().Reload();
    });
    std::uint64_t made = 0;
    bool all_paired = true;
    while (made < 6000 && all_paired) {
        std::vector<TcpPair> pairs;
        for (int i = 0; i < 200; ++i)
            pairs.push_back(listener.connect());
        for (TcpPair& pair : pairs)
            talk(pair);
        made += pairs.size();
        all_paired = wait_until([&] { return counters().at("paired") == made; }, slowness() * 2s);
    }
    is_over = true;
    reloads.join();
    EXPECT_EQ(counters().at("paired"), made);
    EXPECT_EQ(limit_hits().at("halves"), 0U) << "ends were forgotten";
}

class Tenants : public KernelTest {
  protected:
    // 10.9.0.1:7001 → 10.9.0.2:7000, for each tenant.
    static Route route(const Tenant& tenant, const TestCgroup& client, const TestCgroup& server) {
        return {.client = Place(client, tenant.client),
                .server = Place(server, tenant.server),
                .address = Tenant::kServerAddress,
                .port = 7000,
                .client_address = Tenant::kClientAddress,
                .client_port = 7001};
    }

    static constexpr const char* kNetwork = "networks = [\"10.9.0.0/24\"]";
    const Habits habits_{.write = {1, 50000}, .read = {1, 50000}, .pause_percent = 10};
    const Exchange exchange_{
        .to_server = 4 << 20, .to_client = 4 << 20, .client = habits_, .server = habits_};
    Tenant a_, b_;
};

TEST_F(Tenants, WithTheSameAddressesAndPortsKeepTheirDataApart) {
    start_daemon(usual_policy(kNetwork));
    std::vector<TcpPair> pairs;
    pairs.push_back(connect_pair(route(a_, client_, server_)));
    pairs.push_back(connect_pair(route(b_, client_, server_)));
    warm_up(pairs);
    exchange_bytes(pairs, exchange_);
    for (const TcpPair& pair : pairs)  // what falls to TCP takes others along, by chance
        EXPECT_GT(look(pair).redirected_bytes(), exchange_.to_server / 4) << look(pair).text();
}

// The scheme of 4-tuples as keys delivers a's requests to b's server.
TEST_F(Tenants, AClientWhoseServerIsNotCoveredDoesNotReachACoveredOne) {
    start_daemon(usual_policy(kNetwork));
    std::vector<TcpPair> halves;
    halves.push_back(connect_pair(route(a_, client_, other_)));
    halves.push_back(connect_pair(route(b_, other_, server_)));
    BackgroundTraffic traffic(halves);
    EXPECT_FALSE(wait_until([this] { return !connections().empty(); }, std::chrono::seconds(3)));
    traffic.stop();
    exchange_bytes(halves, exchange_);
    for (TcpPair& half : halves)
        expect_untouched(half);
    EXPECT_EQ(counters().at("paired"), 0U);
}

TEST_F(Tenants, AHalfBesideAnEnrolledPairWithTheSameAddressesStaysOnTcp) {
    start_daemon(usual_policy(kNetwork));
    std::vector<TcpPair> pairs;
    pairs.push_back(connect_pair(route(a_, client_, other_)));
    pairs.push_back(connect_pair(route(b_, client_, server_)));
    BackgroundTraffic traffic{std::span(pairs).first(1)};
    warm_up(pairs[1]);
    traffic.stop();
    exchange_bytes(pairs, exchange_);
    expect_untouched(pairs[0]);
    EXPECT_GT(look(pairs[1]).redirected_bytes(), exchange_.to_server) << look(pairs[1]).text();
}

// Sequence numbers as TCP_REPAIR shows them, and lets one choose them.
struct Sequence {
    std::uint32_t send = 0, receive = 0;
};

Sequence sequence_of(int fd) {
    Sequence sequence;
    socklen_t size = sizeof sequence.send;
    set_tcp_option(fd, TCP_REPAIR, 1);
    set_tcp_option(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE);
    check(::getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &sequence.send, &size), "TCP_QUEUE_SEQ");
    set_tcp_option(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE);
    check(::getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &sequence.receive, &size), "TCP_QUEUE_SEQ");
    set_tcp_option(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
    return sequence;
}

void choose(int fd, const Sequence& sequence) {
    set_tcp_option(fd, TCP_REPAIR, 1);
    set_tcp_option(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE);
    set_tcp_option(fd, TCP_QUEUE_SEQ, static_cast<int>(sequence.send));
    set_tcp_option(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE);
    set_tcp_option(fd, TCP_QUEUE_SEQ, static_cast<int>(sequence.receive));
}

// a's server waits for its other end, which is not covered; b, who has learnt the sequence numbers,
// says that it is b's socket.
TEST_F(Tenants, AForgedEndIsNotPaired) {
    start_daemon(usual_policy(kNetwork));
    TcpPair victim = connect_pair(route(a_, other_, server_));
    const Route forged = route(b_, client_, other_);
    Fd socket = forged.client.socket(AF_INET);
    choose(socket.get(), sequence_of(victim.client.fd()));
    const Listener unused(forged);
    End forger(unused.start_client(std::move(socket)), 1, 2);
    set_tcp_option(forger.fd(), TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
    BackgroundTraffic traffic(std::span(&victim, 1));
    EXPECT_FALSE(
        wait_until([this] { return counters().at("paired") > 0; }, std::chrono::seconds(2)));
    traffic.stop();
    expect_untouched(victim);
}

// The other end of a tun device: a "server" whose initial sequence number is chosen.
class ForgedServer {
  public:
    explicit ForgedServer(const Netns& netns) {
        const Fd file(check(::open(netns.file().c_str(), O_RDONLY | O_CLOEXEC), "open a netns"));
        std::thread([&] {
            if (::setns(file.get(), CLONE_NEWNET) == 0)
                tun_ = Fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
        }).join();
        ifreq request{};
        request.ifr_flags = IFF_TUN | IFF_NO_PI;
        std::string("tun0").copy(request.ifr_name, sizeof request.ifr_name - 1);
        check(::ioctl(tun_.get(), TUNSETIFF, &request), "TUNSETIFF");
        netns.ip(std::string("addr add ") + Tenant::kClientAddress + "/24 dev tun0");
        netns.ip("link set tun0 up");
    }

    // Answers the SYN that comes. False: none does.
    [[nodiscard]] bool accept(std::uint32_t isn) const {
        return wait_until([&] {
            Packet syn{};
            const ssize_t size = ::read(tun_.get(), syn.data(), syn.size());
            constexpr std::uint8_t kSyn = 2;
            if (size < 40 || syn[0] != 0x45 || syn[9] != IPPROTO_TCP || syn[33] != kSyn)
                return false;
            const auto answer = syn_ack(syn, isn);
            return ::write(tun_.get(), answer.data(), answer.size()) == 40;
        });
    }

  private:
    using Packet = std::array<std::uint8_t, 2048>;
    using Answer = std::array<std::uint8_t, 40>;  // an IPv4 and a TCP header without options

    static std::uint32_t sum(const Answer& answer, std::size_t from, std::size_t to) {
        std::uint32_t sum = 0;
        for (std::size_t i = from; i < to; i += 2)
            sum += static_cast<std::uint32_t>(answer[i] << 8 | answer[i + 1]);
        return sum;
    }

    static void put_checksum(Answer& answer, std::size_t at, std::uint32_t sum) {
        sum = (sum & 0xffff) + (sum >> 16);
        sum = ~((sum & 0xffff) + (sum >> 16));
        answer[at] = static_cast<std::uint8_t>(sum >> 8);
        answer[at + 1] = static_cast<std::uint8_t>(sum);
    }

    static void put_sequence(Answer& answer, std::size_t at, std::uint32_t sequence) {
        for (std::size_t i = 0; i < 4; i++)
            answer[at + i] = static_cast<std::uint8_t>(sequence >> (24 - 8 * i));
    }

    static Answer syn_ack(const Packet& syn, std::uint32_t isn) {
        Answer answer{0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, IPPROTO_TCP};
        std::copy_n(&syn[16], 4, &answer[12]);
        std::copy_n(&syn[12], 4, &answer[16]);
        std::copy_n(&syn[22], 2, &answer[20]);
        std::copy_n(&syn[20], 2, &answer[22]);
        const std::uint32_t theirs = static_cast<std::uint32_t>(syn[24]) << 24 |
                                     static_cast<std::uint32_t>(syn[25]) << 16 |
                                     static_cast<std::uint32_t>(syn[26]) << 8 | syn[27];
        put_sequence(answer, 24, isn);
        put_sequence(answer, 28, theirs + 1);
        answer[32] = 5 << 4;
        answer[33] = 0x12;  // SYN and ACK
        answer[34] = 0xff;  // the window
        put_checksum(answer, 10, sum(answer, 0, 20));
        put_checksum(answer, 36, sum(answer, 12, 40) + IPPROTO_TCP + 20);
        return answer;
    }

    Fd tun_;
};

// As above, but with a real handshake: b's client chooses its number and connects to a server of
// its own that does, too.
class ClaimedTwice : public Tenants {
  protected:
    static End forge(const Route& route, const Netns& netns, const Sequence& next) {
        const ForgedServer server(netns);
        End forger(route.client.socket(AF_INET), 1, 2);
        set_tcp_option(forger.fd(), TCP_REPAIR, 1);
        set_tcp_option(forger.fd(), TCP_REPAIR_QUEUE, TCP_SEND_QUEUE);
        set_tcp_option(forger.fd(), TCP_QUEUE_SEQ, static_cast<int>(next.send - 1));
        set_tcp_option(forger.fd(), TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
        const Listener unused({.client = route.client,
                               .server = route.client,
                               .address = Tenant::kServerAddress,
                               .port = route.port,
                               .listen_on = "127.0.0.1",
                               .client_address = Tenant::kClientAddress,
                               .client_port = route.client_port});
        Fd socket = unused.start_client(forger.release());
        EXPECT_TRUE(server.accept(next.receive - 1));
        EXPECT_TRUE(wait_until([&] {
            pollfd polled{socket.get(), POLLOUT, 0};
            return ::poll(&polled, 1, 0) == 1 && polled.revents == POLLOUT;
        }));
        End end(std::move(socket), 1, 2);
        EXPECT_EQ(sequence_of(end.fd()).send, next.send);
        EXPECT_EQ(sequence_of(end.fd()).receive, next.receive);
        set_tcp_option(end.fd(), TCP_NODELAY, 1);  // for each of these to be a segment
        for (int i = 0; i < 9; i++)
            EXPECT_EQ(end.send(10), 10U);
        return end;
    }

    const Netns forgers_;
};

TEST_F(ClaimedTwice, BeforeItIsEnrolledNeitherIsBelieved) {
    if (::access("/dev/net/tun", W_OK) != 0)
        GTEST_SKIP() << "there is no /dev/net/tun";
    start_daemon(usual_policy(kNetwork));
    TcpPair victim = connect_pair(route(a_, client_, server_));
    const End forger =
        forge({.client = Place(client_, forgers_), .port = 7000, .client_port = 7001}, forgers_,
              sequence_of(victim.client.fd()));
    BackgroundTraffic traffic(std::span(&victim, 1));
    EXPECT_FALSE(
        wait_until([this] { return counters().at("enrolled") > 0; }, std::chrono::seconds(3)));
    traffic.stop();
    exchange_bytes(victim, exchange_);
    EXPECT_EQ(counters().at("redirected_bytes"), 0U);
    EXPECT_EQ(look(victim).state, "unpaired") << look(victim).text();
    EXPECT_EQ(look(victim).reason, "ambiguous") << look(victim).text();
}

// The true client is not covered, and so does not claim what the forger does.
TEST_F(ClaimedTwice, ByTheForgerAloneItIsNotBelieved) {
    if (::access("/dev/net/tun", W_OK) != 0)
        GTEST_SKIP() << "there is no /dev/net/tun";
    start_daemon(usual_policy(kNetwork));
    TcpPair victim = connect_pair(route(a_, other_, server_));
    const End forger =
        forge({.client = Place(client_, forgers_), .port = 7000, .client_port = 7001}, forgers_,
              sequence_of(victim.client.fd()));
    BackgroundTraffic traffic(std::span(&victim, 1));
    EXPECT_TRUE(wait_until([&] {
        const auto all = connections();
        return all.size() == 1 && all[0].state == "unpaired" && all[0].reason == "unproven";
    })) << (connections().empty() ? "not listed" : connections()[0].text());
    traffic.stop();
    EXPECT_EQ(counters().at("enrolled"), 0U);
}

TEST_F(ClaimedTwice, AfterItIsEnrolledTheSecondClaimIsNoOnes) {
    if (::access("/dev/net/tun", W_OK) != 0)
        GTEST_SKIP() << "there is no /dev/net/tun";
    start_daemon(usual_policy(kNetwork));
    TcpPair victim = connect_pair(route(a_, client_, server_));
    const Sequence next = sequence_of(victim.client.fd());
    warm_up(victim);
    const End forger = forge(
        {.client = Place(client_, forgers_), .port = 7000, .client_port = 7001}, forgers_, next);
    BackgroundTraffic traffic(std::span(&victim, 1));
    EXPECT_FALSE(
        wait_until([this] { return counters().at("paired") > 1; }, std::chrono::seconds(3)));
    traffic.stop();
    exchange_bytes(victim, exchange_);
    EXPECT_EQ(look(victim).state, "enrolled") << look(victim).text();
}

}  // namespace
}  // namespace sockaccel::test
