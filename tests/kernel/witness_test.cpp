// SPDX-License-Identifier: GPL-2.0-or-later
// The witness: what redirect cannot honour is seen, and obeyed. Where the kernel does not let
// fentry programs load (the kernel is asked here, not the daemon), each test claims instead that a
// rule that does not vouch for its programs is refused.
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "fentry.hpp"
#include "kernel_test.hpp"
#include "sockaccel.h"

namespace sockaccel::test {
namespace {

using namespace std::chrono_literals;

struct HazardCase {
    const char* reason;  // and what `tolerate` calls it
    void (*use)(TcpPair&);
};

std::string name_of(const ::testing::TestParamInfo<HazardCase>& test) {
    return test.param.reason;
}

void use_splice(TcpPair& pair) {
    pair.server.splice(1000);
}

void use_fionread(TcpPair& pair) {
    static_cast<void>(pair.server.readable_bytes());
}

void use_waitall(TcpPair& pair) {
    pair.server.receive(1000, MSG_WAITALL);
}

// A program that is ready for urgent data, though none comes.
void ask_for_urgent_data(TcpPair& pair) {
    char byte = 0;
    EXPECT_EQ(::recv(pair.server.fd(), &byte, 1, MSG_OOB), -1);
}

void send_urgent_data(TcpPair& pair) {
    const char sent = '!';
    ASSERT_EQ(::send(pair.server.fd(), &sent, 1, MSG_OOB), 1);
    // Redirected, it would be read all the same, but nobody would be told of it.
    pollfd polled{pair.client.fd(), POLLPRI, 0};
    EXPECT_EQ(::poll(&polled, 1, 1000 * slowness()), 1);
    char byte = 0;
    EXPECT_EQ(::recv(pair.client.fd(), &byte, 1, MSG_OOB), 1);
    EXPECT_EQ(byte, sent);
}

class WitnessTest : public KernelTest {
  protected:
    [[nodiscard]] std::string policy(const std::string& tolerate = "",
                                     const std::string& prove = "0s",
                                     const std::string& more = "") const {
        return "[[rule]]\nname = \"test\"\ncgroups = [\"" + covered_.path() + "\"]\nprove = \"" +
               prove + "\"\ntolerate = [" + tolerate + "]\n" + more + "\n";
    }

    // False: this kernel cannot watch, and the rule was refused for that.
    [[nodiscard]] bool start(const std::string& text) {
        start_daemon(text);
        if (fentry_loads()) {
            EXPECT_EQ(state_of(), "active") << daemon_->rule("test")->Why();
            return true;
        }
        EXPECT_EQ(state_of(), "refused");
        const std::string why = daemon_->rule("test")->Why();
        EXPECT_NE(why.find("the witness, which would watch for their use, does not load"),
                  std::string::npos)
            << why;
        TcpPair pair = connect_pair(covered_route());
        converse(pair, {.turns = 10});
        expect_untouched(pair);
        EXPECT_EQ(tracing_links(), 0U);
        return false;
    }

    void warm(std::vector<TcpPair>& pairs) { warm_up(pairs, slowness() * 10s); }
    void warm(TcpPair& pair) { warm_up(pair, slowness() * 10s); }

    // With traffic, so that the steward looks at it.
    void expect_left_to_tcp(TcpPair& pair, const std::string& reason) {
        std::string text;
        const auto deadline = std::chrono::steady_clock::now() + slowness() * 5s;
        do {
            converse(pair, {});
            const auto seen = find(pair);
            text = seen ? seen->text() : "not known";
            if (seen && seen->state == "paired" && seen->reason == reason)
                return;
            std::this_thread::sleep_for(20ms);
        } while (std::chrono::steady_clock::now() < deadline);
        ADD_FAILURE() << "not left to TCP by " << reason << ": " << text;
    }

    [[nodiscard]] bool is_enrolled(const TcpPair& pair) { return look(pair).state == "enrolled"; }

    // Links of fentry programs that the daemon holds.
    [[nodiscard]] std::size_t tracing_links() const {
        std::size_t count = 0;
        for (const auto& entry : std::filesystem::directory_iterator(
                 "/proc/" + std::to_string(daemon_->pid()) + "/fdinfo")) {
            std::ifstream file(entry.path());
            for (std::string line; std::getline(file, line);)
                count += line == "link_type:\ttracing" ? 1 : 0;
        }
        return count;
    }

    const Listener listener_{covered_route()}, another_port_{covered_route()};
};

class HazardTest : public WitnessTest, public ::testing::WithParamInterface<HazardCase> {};

TEST_P(HazardTest, OnPlainTcpKeepsThisAndLaterPairsOfItsPortOnTcp) {
    if (!start(policy()))
        return;
    const auto& [reason, use] = GetParam();
    TcpPair pair = listener_.connect();
    use(pair);
    expect_left_to_tcp(pair, reason);
    TcpPair later = listener_.connect(), elsewhere = another_port_.connect();
    warm(elsewhere);
    expect_left_to_tcp(later, reason);
    // The server's cgroup and port are marked, whoever the client is.
    TcpPair of_another_client =
        listener_.pair(listener_.start_client(Place(covered_).socket(AF_INET)));
    expect_left_to_tcp(of_another_client, reason);
    for (TcpPair* each : {&pair, &later, &elsewhere, &of_another_client})
        exchange_bytes(*each, {.to_server = 300000, .to_client = 300000, .finish = true},
                       slowness() * 10s);
    EXPECT_EQ(counters().at("enrolled"), 1U);
}

TEST_P(HazardTest, AtAConnectionThatHasEndedKeepsLaterOnesOnTcp) {
    if (!start(policy()))
        return;
    const auto& [reason, use] = GetParam();
    {
        TcpPair pair = listener_.connect();
        use(pair);
    }
    TcpPair later = listener_.connect();
    expect_left_to_tcp(later, reason);
}

TEST_P(HazardTest, OnAnEnrolledPairDrainsItAndOthersOfItsPort) {
    if (!start(policy()))
        return;
    const auto& [reason, use] = GetParam();
    std::vector<TcpPair> pairs = listener_.connect(2);
    pairs.push_back(another_port_.connect());
    warm(pairs);
    use(pairs[0]);
    EXPECT_TRUE(wait_until([&] { return !is_enrolled(pairs[0]) && !is_enrolled(pairs[1]); },
                           slowness() * 2s))
        << look(pairs[0]).text() << "\n"
        << look(pairs[1]).text();
    EXPECT_TRUE(is_enrolled(pairs[2]));
    expect_left_to_tcp(pairs[0], reason);
    expect_left_to_tcp(pairs[1], reason);
    expect_plain(pairs[0]);
    exchange_bytes(pairs, {.to_server = 300000, .to_client = 300000, .finish = true},
                   slowness() * 10s);
}

INSTANTIATE_TEST_SUITE_P(Witness, HazardTest,
                         ::testing::Values(HazardCase{"splice", use_splice},
                                           HazardCase{"fionread", use_fionread},
                                           HazardCase{"waitall", use_waitall},
                                           HazardCase{"oob", ask_for_urgent_data}),
                         name_of);

class ToleratedTest : public WitnessTest, public ::testing::WithParamInterface<HazardCase> {};

TEST_P(ToleratedTest, IsEnrolledAndStays) {
    const auto& [reason, use] = GetParam();
    if (!start(policy("\"" + std::string(reason) + "\"")))
        return;
    TcpPair pair = listener_.connect();
    use(pair);
    warm(pair);
    use(pair);
    converse(pair, {.turns = 100});
    EXPECT_TRUE(is_enrolled(pair)) << look(pair).text();
}

INSTANTIATE_TEST_SUITE_P(Witness, ToleratedTest,
                         ::testing::Values(HazardCase{"splice", use_splice},
                                           HazardCase{"fionread", use_fionread},
                                           HazardCase{"waitall", use_waitall}),
                         name_of);

TEST_F(WitnessTest, SeesUrgentDataOnPlainTcpOnEachKernel) {
    start_daemon(usual_policy());
    TcpPair pair = listener_.connect();
    send_urgent_data(pair);
    expect_left_to_tcp(pair, "oob");
}

TEST_F(WitnessTest, LetsTheFirstUrgentByteOfAnIdleEnrolledPairGoByTcp) {
    if (!start(policy()))
        return;
    TcpPair pair = listener_.connect();
    warm(pair);
    send_urgent_data(pair);
    expect_left_to_tcp(pair, "oob");
}

TEST_F(WitnessTest, GivesAFirstSpliceOfAnIdleEnrolledPairAllThatFollows) {
    if (!start(policy()))
        return;
    TcpPair pair = listener_.connect();
    warm(pair);
    EXPECT_EQ(pair.server.splice(1000), 0U);
    // No wait: the gate is closed already.
    ASSERT_EQ(pair.client.send(1000), 1000U);
    EXPECT_TRUE(wait_until([&] { return pair.server.splice(1000) > 0; }));
    EXPECT_TRUE(wait_until([&] { return !is_enrolled(pair); }, slowness() * 2s));
    ASSERT_EQ(pair.client.send(1000), 1000U);
    EXPECT_TRUE(wait_until([&] {
        pair.server.splice(1000);
        return pair.server.received() == pair.client.sent();
    }));
    EXPECT_FALSE(pair.server.at_eof());
}

// What sockaccel(7) names: what is unread of the redirected bytes a splice does not see. They are
// not lost to recv(2), and what comes after them is right again.
TEST_F(WitnessTest, LeavesRedirectedBytesThatASpliceDoesNotSeeToRecv) {
    if (!start(policy()))
        return;
    TcpPair pair = listener_.connect();
    warm(pair);
    ASSERT_EQ(pair.client.send(1000), 1000U);
    EXPECT_EQ(pair.server.splice(1000), 0U);
    std::this_thread::sleep_for(slowness() * 300ms);
    // Not by TCP yet: it would be seen first.
    ASSERT_EQ(pair.client.send(1000), 1000U);
    EXPECT_EQ(pair.server.splice(1000), 0U);
    EXPECT_FALSE(pair.server.at_eof());
    read_all(pair);
    EXPECT_TRUE(wait_until([&] { return !is_enrolled(pair); }, slowness() * 3s));
    ASSERT_EQ(pair.client.send(1000), 1000U);
    EXPECT_TRUE(wait_until([&] { return pair.server.splice(1000) > 0; }));
    exchange_bytes(pair, {.to_server = 300000, .to_client = 300000, .finish = true},
                   slowness() * 10s);
}

TEST_F(WitnessTest, CountsRightAfterAFirstFionreadOnAnEnrolledPair) {
    if (!start(policy()))
        return;
    TcpPair pair = listener_.connect();
    warm(pair);
    ASSERT_EQ(pair.client.send(1000), 1000U);
    const std::size_t first = pair.server.readable_bytes();
    RecordProperty("first_count_of_1000", static_cast<int>(first));
    EXPECT_TRUE(first == 0 || first == 1000) << first;
    read_all(pair);
    EXPECT_TRUE(wait_until([&] { return !is_enrolled(pair); }, slowness() * 2s));
    expect_plain(pair);
}

// The service manager keeps its links, too.
TEST_F(WitnessTest, SeesAUseWhileNoDaemonRuns) {
    service_manager_.emplace();
    if (!start(policy()))
        return;
    TcpPair pair = listener_.connect();
    warm(pair);
    const std::size_t links = tracing_links();
    kill_daemon();
    static_cast<void>(pair.server.readable_bytes());
    ASSERT_EQ(pair.client.send(1000), 1000U);
    EXPECT_EQ(pair.server.readable_bytes(), 1000U) << "the gate was not closed";
    start_daemon(policy());
    expect_left_to_tcp(pair, "fionread");
    EXPECT_EQ(tracing_links(), links);
    const auto kept = service_manager_->names();
    EXPECT_EQ(std::count_if(kept.begin(), kept.end(),
                            [](const std::string& name) {
                                return name.find(".witness.") != std::string::npos;
                            }),
              static_cast<std::ptrdiff_t>(links));
}

TEST_F(WitnessTest, SeesWaitallWhereRedirectedBytesAnswerIt) {
    if (!start(policy()))
        return;
    TcpPair pair = listener_.connect();
    warm(pair);
    ASSERT_EQ(pair.client.send(500), 500U);
    EXPECT_EQ(pair.server.receive(1000, MSG_WAITALL), 500U);
    EXPECT_TRUE(wait_until([&] { return !is_enrolled(pair); }, slowness() * 2s));
    expect_left_to_tcp(pair, "waitall");
}

TEST_F(WitnessTest, RefusesWhatItSeesDuringTheProveTime) {
    const auto prove = slowness() * 3s;
    if (!start(policy("", std::to_string(prove.count()) + "s")))
        return;
    TcpPair pair = listener_.connect(), clean = another_port_.connect();
    const auto begin = std::chrono::steady_clock::now();
    expect_left_to_tcp(pair, "proving");
    expect_left_to_tcp(clean, "proving");
    pair.client.splice(1000);  // the client's program this time
    expect_left_to_tcp(pair, "splice");
    warm(clean);
    EXPECT_GT(std::chrono::steady_clock::now() - begin, prove);
    expect_left_to_tcp(pair, "splice");
    EXPECT_EQ(counters().at("enrolled"), 1U);
}

constexpr const char* kTolerant = "\"fionread\", \"splice\", \"waitall\"";

TEST_F(WitnessTest, ProvesTheServersCgroupToo) {
    const auto prove = slowness() * 2s;
    start_daemon(policy(kTolerant, std::to_string(prove.count()) + "s"));
    TcpPair pair = listener_.connect();
    warm(pair);
    // The same client and port; the server is another one.
    const Listener another({.client = Place(client_),
                            .server = Place(covered_),
                            .address = "127.0.0.2",
                            .port = listener_.port()});
    TcpPair fresh = another.connect();
    const auto begin = std::chrono::steady_clock::now();
    expect_left_to_tcp(fresh, "proving");
    warm(fresh);
    EXPECT_GT(std::chrono::steady_clock::now() - begin, prove - 100ms);
}

TEST_F(WitnessTest, ProvesAnewWhatGetsTheIdOfAnEarlierRule) {
    const auto prove = slowness() * 3s;
    const auto with_networks = [&](int variant) {
        return policy(
            kTolerant, std::to_string(prove.count()) + "s",
            variant % 2 == 0 ? "networks = [\"127.0.0.0/8\"]" : "networks = [\"127.0.0.0/16\"]");
    };
    start_daemon(with_networks(0));
    {
        TcpPair pair = listener_.connect();
        warm(pair);
    }
    // Each change takes a new id, until there is none left.
    for (int i = 1; i <= SA_MAX_RULES; i++)
        reload(with_networks(i));
    TcpPair pair = listener_.connect();
    const auto begin = std::chrono::steady_clock::now();
    expect_left_to_tcp(pair, "proving");
    warm(pair);
    EXPECT_GT(std::chrono::steady_clock::now() - begin, prove);
}

TEST_F(WitnessTest, ForgetsWhatItSawWhenTheRuleIsAnotherOne) {
    if (!start(policy()))
        return;
    {
        TcpPair pair = listener_.connect();
        use_splice(pair);
        expect_left_to_tcp(pair, "splice");
    }
    reload(policy("", "0s", "queue = \"2MiB\""));  // still the same rule
    TcpPair same = listener_.connect();
    expect_left_to_tcp(same, "splice");
    reload(policy("", "0s", "networks = [\"127.0.0.0/8\"]"));
    TcpPair pair = listener_.connect();
    warm(pair);
}

TEST_F(WitnessTest, IsLoadedOnlyWhileARuleNeedsIt) {
    start_daemon("");
    EXPECT_EQ(tracing_links(), 0U);
    reload(policy());
    const std::size_t all = tracing_links();
    EXPECT_EQ(all >= 5, fentry_loads()) << all;
    reload(policy("\"waitall\""));
    EXPECT_EQ(tracing_links(), all == 0 ? 0 : all - 2) << "recv(2) of others costs nothing";
    reload(policy("\"fionread\", \"splice\", \"waitall\""));
    EXPECT_EQ(tracing_links(), all == 0 ? 0 : 1) << "calls of enrolled sockets only";
    reload("[[rule]]\nname = \"test\"\ncgroups = [\"nosuch.slice\"]\n");
    EXPECT_EQ(tracing_links(), 0U);
    reload(policy());
    EXPECT_EQ(tracing_links(), all);
    reload("");
    EXPECT_EQ(tracing_links(), 0U);
}

// Not a claim but a measurement, for --gtest_also_run_disabled_tests: what the witness adds to a
// call. With it and without it in turn, medians of the differences.
TEST_F(WitnessTest, DISABLED_CostPerCall) {
    if (!start(policy("", "1h")))
        return;
    constexpr int kCalls = 3000, kRounds = 15;
    TcpPair covered = listener_.connect(), uninvolved = connect_pair({});
    expect_left_to_tcp(covered, "proving");
    for (TcpPair* pair : {&covered, &uninvolved})
        ASSERT_EQ(pair->client.send(1), 1U);
    const auto peek = [](int fd) {
        char byte = 0;
        return ::recv(fd, &byte, 1, MSG_PEEK) == 1;
    };
    const auto count = [](int fd) {
        int bytes = 0;
        return ::ioctl(fd, FIONREAD, &bytes) == 0;
    };
    const auto time = [](auto call, const TcpPair& pair) {
        const auto begin = std::chrono::steady_clock::now();
        for (int i = 0; i < kCalls; i++)
            if (!call(pair.server.fd()))
                throw std::runtime_error("a call fails");
        return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin)
                   .count() /
               kCalls;
    };
    // [recv uninvolved, recv covered, FIONREAD uninvolved, FIONREAD covered]
    const auto all = [&] {
        return std::array{time(peek, uninvolved), time(peek, covered), time(count, uninvolved),
                          time(count, covered)};
    };
    std::array<std::vector<double>, 4> without, added;
    all();
    for (int round = 0; round < kRounds; round++) {
        reload("");
        ASSERT_EQ(tracing_links(), 0U);
        const auto off = all();
        reload(policy("", "1h"));
        ASSERT_GE(tracing_links(), 5U);
        const auto on = all();
        for (std::size_t i = 0; i < off.size(); i++) {
            without[i].push_back(off[i]);
            added[i].push_back(on[i] - off[i]);
        }
    }
    const auto median = [](std::vector<double>& values) {
        std::ranges::nth_element(values, values.begin() + kRounds / 2);
        return values[kRounds / 2];
    };
    constexpr std::array kNames{"recv, uninvolved", "recv, covered", "FIONREAD, uninvolved",
                                "FIONREAD, covered"};
    for (std::size_t i = 0; i < kNames.size(); i++) {
        const double base = median(without[i]), more = median(added[i]);
        std::printf("%-22s %6.0f ns without, %+5.0f ns with the witness (%+.1f %%)\n", kNames[i],
                    base, more, 100 * more / base);
    }
}

}  // namespace
}  // namespace sockaccel::test
