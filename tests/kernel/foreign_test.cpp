// SPDX-License-Identifier: GPL-2.0-or-later
// Other people's BPF programs on the same cgroups and sockets: named, and never disturbed.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bpf_objects.hpp"
#include "kernel_test.hpp"
#include "theirs.skel.h"

namespace sockaccel::test {
namespace {

// Somebody's programs, loaded; they go with this object.
class Theirs {
  public:
    explicit Theirs(std::uint32_t rwnd_segments = 0, std::uint32_t timeout_jiffies = 0)
        : skeleton_(theirs_bpf__open()) {
        if (!skeleton_)
            throw std::runtime_error("open the test's BPF object");
        skeleton_->rodata->rwnd_segments = rwnd_segments;
        skeleton_->rodata->timeout_jiffies = timeout_jiffies;
        check_negative(theirs_bpf__load(skeleton_.get()), "load the test's BPF programs");
    }

    void attach(const TestCgroup& cgroup) { attach(skeleton_->progs.theirs, cgroup); }
    // What hears of each round trip and segment of the connections that are made from now on.
    void watch(const TestCgroup& cgroup) { attach(skeleton_->progs.their_watcher, cgroup); }
    [[nodiscard]] std::uint64_t samples() const { return skeleton_->bss->samples; }
    [[nodiscard]] std::uint64_t segments() const { return skeleton_->bss->segments; }

    // As the only one that may be on the cgroup and below it.
    void attach_exclusively(const TestCgroup& cgroup) const {
        check(bpf_prog_attach(bpf_program__fd(skeleton_->progs.theirs), open(cgroup).get(),
                              BPF_CGROUP_SOCK_OPS, 0),
              "attach a sock_ops program exclusively");
    }
    void detach(const TestCgroup& cgroup) const {
        check(bpf_prog_detach2(bpf_program__fd(skeleton_->progs.theirs), open(cgroup).get(),
                               BPF_CGROUP_SOCK_OPS),
              "detach a sock_ops program");
    }

    // Into their SOCKMAP, with or without a program that sees its messages.
    void attach_verdict() const {
        check(bpf_prog_attach(bpf_program__fd(skeleton_->progs.their_verdict),
                              bpf_map__fd(skeleton_->maps.their_sockets), BPF_SK_MSG_VERDICT, 0),
              "attach an sk_msg program");
    }
    void take(const End& end) const {
        const __u32 key = 0;
        const int fd = end.fd();
        check(bpf_map__update_elem(skeleton_->maps.their_sockets, &key, sizeof key, &fd, sizeof fd,
                                   BPF_ANY),
              "put a socket into their SOCKMAP");
    }
    [[nodiscard]] std::uint64_t messages() const { return skeleton_->bss->messages; }

    [[nodiscard]] std::string sock_ops_line(const TestCgroup& cgroup) const {
        return fmt::format("sock_ops program {} (theirs) on cgroup /{}",
                           id_of(skeleton_->progs.theirs), cgroup.path());
    }
    [[nodiscard]] std::string sk_msg_line() const {
        return fmt::format("sk_msg program {} (their_verdict)",
                           id_of(skeleton_->progs.their_verdict));
    }
    [[nodiscard]] std::uint32_t sock_ops_id() const { return id_of(skeleton_->progs.theirs); }

  private:
    void attach(const bpf_program* program, const TestCgroup& cgroup) {
        const Fd directory = open(cgroup);
        link_.reset(bpf_program__attach_cgroup(program, directory.get()));
        if (!link_)
            check(-1, "attach a sock_ops program");
    }
    static Fd open(const TestCgroup& cgroup) {
        return Fd(check(::open(cgroup.directory().c_str(), O_RDONLY | O_CLOEXEC),
                        "open cgroup " + cgroup.path()));
    }
    static std::uint32_t id_of(const bpf_program* program) {
        bpf_prog_info info{};
        std::uint32_t size = sizeof info;
        check(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size), "ask for a program");
        return info.id;
    }

    struct Destroy {
        void operator()(theirs_bpf* skeleton) const { theirs_bpf__destroy(skeleton); }
        void operator()(bpf_link* link) const { bpf_link__destroy(link); }
    };
    std::unique_ptr<theirs_bpf, Destroy> skeleton_;
    std::unique_ptr<bpf_link, Destroy> link_;
};

// What a connection begins with: the answers to the two questions.
struct Beginning {
    std::uint32_t timeout_usec = 0, window = 0;

    bool operator==(const Beginning&) const = default;
};

void PrintTo(const Beginning& beginning, std::ostream* out) {
    *out << beginning.timeout_usec << " us, window " << beginning.window;
}

class Foreign : public KernelTest {
  protected:
    Foreign() {
        nowhere_.ip("link add nowhere type veth peer name nobody");
        nowhere_.ip("addr add 10.77.0.1/24 dev nowhere");
        nowhere_.ip("link set nobody up");
        nowhere_.ip("link set nowhere up");
        nowhere_.ip("neigh add 10.77.0.2 lladdr 02:00:00:00:00:02 dev nowhere");
    }

    // Of a connection to where nobody answers, from a socket of client_.
    [[nodiscard]] Beginning beginning() const {
        const Fd socket = Place(client_, nowhere_).socket(AF_INET);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(7);
        address.sin_addr.s_addr = ::inet_addr("10.77.0.2");
        if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
                0 ||
            errno != EINPROGRESS)
            throw std::runtime_error("connecting to nowhere does not wait for an answer");
        tcp_info info{};
        socklen_t size = sizeof info;
        check(::getsockopt(socket.get(), IPPROTO_TCP, TCP_INFO, &info, &size), "TCP_INFO");
        return {info.tcpi_rto, info.tcpi_rcv_ssthresh};
    }

    [[nodiscard]] std::vector<std::string> foreign() {
        return daemon_->status().at("foreign").get<std::vector<std::string>>();
    }
    [[nodiscard]] bool names(const std::string& line) {
        const auto lines = foreign();
        return std::find(lines.begin(), lines.end(), line) != lines.end();
    }

    [[nodiscard]] bool is_left_alone(const TcpPair& pair) {
        const auto seen = find(pair);
        return seen && seen->state == "paired" && seen->reason == "foreign";
    }

    // That the daemon changes nothing of what their programs, as attached now, answer.
    void expect_same_with_the_daemon(const Beginning& with_nobody) {
        const Beginning before = beginning();
        EXPECT_NE(before.timeout_usec, with_nobody.timeout_usec);
        EXPECT_NE(before.window, with_nobody.window);
        start_daemon(usual_policy());
        EXPECT_EQ(state_of(), "active");
        EXPECT_EQ(beginning(), before);
        TcpPair pair = connect_pair(covered_route());
        warm_up(pair);
        exchange_bytes(pair, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
        EXPECT_EQ(beginning(), before);
    }

    const Netns nowhere_;
};

TEST_F(Foreign, SockOpsAboveAnswersAsWithoutUsAndIsNamed) {
    const Beginning with_nobody = beginning();
    Theirs theirs(3, 700);
    theirs.attach(cgroup_);
    expect_same_with_the_daemon(with_nobody);
    EXPECT_TRUE(names(theirs.sock_ops_line(cgroup_)));
    EXPECT_NE(
        daemon_->output().find("there is a program of others: " + theirs.sock_ops_line(cgroup_)),
        std::string::npos);
    EXPECT_EQ(daemon_->manager().Problems(), std::vector<std::string>{});
    EXPECT_EQ(stop_daemon(), 0);
    EXPECT_EQ(sock_ops_programs_on(cgroup_), BpfIds{theirs.sock_ops_id()});
}

TEST_F(Foreign, WhatTheSelfTestHasLoadedIsNotNamed) {
    start_daemon(usual_policy());
    ASSERT_NE(daemon_->output().find("self-test of the kernel"), std::string::npos)
        << daemon_->output();
    EXPECT_EQ(daemon_->output().find("sa_probe"), std::string::npos) << daemon_->output();
}

TEST_F(Foreign, SockOpsBelowAnswersAsWithoutUs) {
    const Beginning with_nobody = beginning();
    Theirs theirs(3, 700);
    theirs.attach(client_);
    expect_same_with_the_daemon(with_nobody);
    EXPECT_TRUE(names(theirs.sock_ops_line(client_)));
    EXPECT_NE(
        daemon_->output().find("there is a program of others: " + theirs.sock_ops_line(client_)),
        std::string::npos);
    EXPECT_EQ(daemon_->manager().Problems(), std::vector<std::string>{});
}

// With a link and without one; far below, and beside.
TEST_F(Foreign, SockOpsFarBelowIsNamedAndWhatIsBesideIsNot) {
    const TestCgroup pod(client_, "pod"), container(pod, "container");
    start_daemon(usual_policy());
    Theirs linked, attached, beside;
    linked.attach(pod);
    attached.attach_exclusively(container);
    beside.attach(other_);
    EXPECT_TRUE(names(linked.sock_ops_line(pod)));
    EXPECT_TRUE(names(attached.sock_ops_line(container)));
    EXPECT_FALSE(names(beside.sock_ops_line(other_)));
    for (const std::string& line : foreign())
        EXPECT_EQ(line.find("sa_pair_ends"), std::string::npos) << line << ": ours is not foreign";
    attached.detach(container);
    EXPECT_FALSE(names(attached.sock_ops_line(container)));
    EXPECT_TRUE(names(linked.sock_ops_line(pod)));
}

TEST_F(Foreign, SockOpsOnVeryManyCgroupsBelowIsNamedForSome) {
    std::vector<std::unique_ptr<TestCgroup>> pods;
    std::vector<std::unique_ptr<Theirs>> theirs;
    for (int count = 0; count < 70; count++) {
        pods.push_back(std::make_unique<TestCgroup>(client_, "pod" + std::to_string(count)));
        theirs.push_back(std::make_unique<Theirs>());
        theirs.back()->attach(*pods.back());
    }
    start_daemon(usual_policy());
    std::size_t named = 0;
    for (std::size_t i = 0; i < pods.size(); i++)
        named += names(theirs[i]->sock_ops_line(*pods[i])) ? 1 : 0;
    EXPECT_EQ(named, 64U);
    EXPECT_TRUE(names("sock_ops programs in more than 64 places below those cgroups"));
}

// Each is looked into for programs of others, and may be gone by then.
TEST_F(Foreign, CgroupsThatGoMeanwhileDoNotMakeStatusFail) {
    Theirs theirs;
    theirs.attach(other_);
    const TestCgroup churn(cgroup_, "churn");
    start_daemon(rule("test", {covered_.path(), churn.path() + "/*"}));
    std::atomic<bool> is_over = false;
    std::thread others([&] {
        while (!is_over) {
            std::vector<TestCgroup> some;
            for (int i = 0; i < 8; ++i)
                some.emplace_back(churn, std::to_string(i));
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
    });
    for (int i = 0; i < 2000 && !HasFailure(); ++i)
        EXPECT_NO_THROW(static_cast<void>(status()));
    is_over = true;
    others.join();
}

TEST_F(Foreign, SockOpsAboveOnTheSameAndBelowAnswerAsWithoutUs) {
    const Beginning with_nobody = beginning();
    Theirs above(3, 0), same(0, 700), below(5, 900);
    above.attach(cgroup_);
    same.attach(covered_);
    below.attach(client_);
    expect_same_with_the_daemon(with_nobody);
    EXPECT_TRUE(names(above.sock_ops_line(cgroup_)));
    EXPECT_TRUE(names(same.sock_ops_line(covered_)));
}

TEST_F(Foreign, SockOpsThatComesLaterIsNamedAndOursGoesOn) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    warm_up(pair);
    const Beginning before = beginning();
    {
        Theirs theirs(3, 700);
        EXPECT_FALSE(names(theirs.sock_ops_line(covered_)));
        theirs.attach(covered_);
        EXPECT_TRUE(names(theirs.sock_ops_line(covered_)));
        EXPECT_NE(beginning(), before);
        TcpPair fresh = connect_pair(covered_route());
        warm_up(fresh);
    }
    EXPECT_EQ(beginning(), before);
    EXPECT_EQ(look(pair).state, "enrolled");
    for (const std::string& line : foreign())
        EXPECT_EQ(line.find(cgroup_.path()), std::string::npos) << line << ": ours is not foreign";
}

// What is in TCP to stay spares us the calls for its segments; they may be others', too.
TEST_F(Foreign, SockOpsThatWatchesEachSegmentGoesOnDoingSo) {
    start_daemon(usual_policy());
    for (const TestCgroup* where : {&cgroup_, &client_}) {
        for (const bool is_covered : {true, false}) {
            SCOPED_TRACE(where->path() + (is_covered ? ", covered" : ", not covered"));
            Theirs theirs;
            theirs.watch(*where);
            TcpPair pair = connect_pair(
                {.client = Place(client_), .server = Place(is_covered ? covered_ : other_)});
            const int on = 1;
            check(::setsockopt(pair.client.fd(), SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on),
                  "SO_TIMESTAMP");
            const auto talk = [&pair] { converse(pair, {.turns = 100}); };
            const auto forgotten = status().at("halves_expired");
            ASSERT_TRUE(wait_until([&] {
                talk();
                const auto seen = find(pair);
                return is_covered ? seen && seen->reason == "timestamps"
                                  : status().at("halves_expired") > forgotten;
            }));
            talk();
            const std::uint64_t samples = theirs.samples(), segments = theirs.segments();
            talk();
            EXPECT_GE(theirs.samples(), samples + 90);
            EXPECT_GE(theirs.segments(), segments + 90);
        }
    }
}

TEST_F(Foreign, SockOpsThatWantsToBeAloneStaysSo) {
    const Theirs theirs(3, 700);
    theirs.attach_exclusively(cgroup_);
    const Beginning before = beginning();
    start_daemon(usual_policy());
    EXPECT_EQ(daemon_->manager().Problems().size(), 1U);
    EXPECT_TRUE(names(theirs.sock_ops_line(cgroup_)));
    EXPECT_EQ(beginning(), before);
    TcpPair pair = connect_pair(covered_route());
    expect_untouched(pair);
    theirs.detach(cgroup_);
    daemon_->manager().Reload();
    EXPECT_EQ(daemon_->manager().Problems(), std::vector<std::string>{});
    TcpPair fresh = connect_pair(covered_route());
    warm_up(fresh);
}

TEST_F(Foreign, ASocketInAnotherSockmapStaysOnTcpAndTheirProgramGoesOn) {
    start_daemon(usual_policy());
    const Theirs theirs;
    theirs.attach_verdict();
    std::vector<TcpPair> pairs = Listener(covered_route()).connect(2);
    theirs.take(pairs[0].client);
    EXPECT_TRUE(names(theirs.sk_msg_line()));
    BackgroundTraffic traffic(pairs);
    EXPECT_TRUE(wait_until([&] { return is_left_alone(pairs[0]); }, std::chrono::seconds(20)))
        << look(pairs[0]).text();
    EXPECT_TRUE(wait_until([&] {
        const auto seen = find(pairs[1]);
        return seen && seen->state == "enrolled";
    }));
    const std::uint64_t messages = theirs.messages();
    EXPECT_TRUE(wait_until([&] { return theirs.messages() > messages + 10; }));
    traffic.stop();
    EXPECT_EQ(look(pairs[0]).redirected_bytes(), 0U);
    exchange_bytes(pairs, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
    EXPECT_EQ(counters().at("enrolled"), 1U);
}

TEST_F(Foreign, ASocketInASockmapWithoutAProgramStaysOnTcp) {
    start_daemon(usual_policy());
    const Theirs theirs;
    TcpPair pair = connect_pair(covered_route());
    theirs.take(pair.server);
    BackgroundTraffic traffic(std::span(&pair, 1));
    EXPECT_TRUE(wait_until([&] { return is_left_alone(pair); }, std::chrono::seconds(20)))
        << look(pair).text();
    traffic.stop();
    EXPECT_EQ(look(pair).redirected_bytes(), 0U);
    exchange_bytes(pair, {.to_server = 1 << 20, .to_client = 1 << 20, .finish = true});
}

}  // namespace
}  // namespace sockaccel::test
