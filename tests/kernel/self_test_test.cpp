// SPDX-License-Identifier: GPL-2.0-or-later
// What the daemon's self-test says of this kernel, against measurements of the test's own: by
// programs of a few instructions, and sockets that user space puts into the SOCKHASH.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include "kernel_test.hpp"

namespace sockaccel::test {
namespace {

constexpr std::size_t kBytes = 777;

bpf_insn insn(std::uint8_t code, std::uint8_t to, std::uint8_t from, std::int16_t offset,
              std::int32_t immediate) {
    return {.code = code,
            .dst_reg = static_cast<std::uint8_t>(to & 0xf),
            .src_reg = static_cast<std::uint8_t>(from & 0xf),
            .off = offset,
            .imm = immediate};
}

// Both ends of a connection in a SOCKHASH; what the client sends is redirected, or goes by TCP.
class Bypass {
  public:
    Bypass(const TcpPair& pair, bool does_redirect)
        : sockets_(check_negative(
              ::bpf_map_create(BPF_MAP_TYPE_SOCKHASH, "test_sockets", 4, 8, 2, nullptr),
              "make a SOCKHASH")) {
        const std::array redirect{
            insn(BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, -4, 1),  // the key: end 1, the server
            insn(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_10, 0, 0),
            insn(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_3, 0, 0, -4),
            insn(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_2, BPF_PSEUDO_MAP_FD, 0, sockets_.get()),
            insn(0, 0, 0, 0, 0),
            insn(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_4, 0, 0, BPF_F_INGRESS),
            insn(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_msg_redirect_hash),
            insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)};
        const std::array pass{insn(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, SK_PASS),
                              insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)};
        program_ = Fd(
            check_negative(::bpf_prog_load(BPF_PROG_TYPE_SK_MSG, "test_redirect", "GPL",
                                           does_redirect ? redirect.data() : pass.data(),
                                           does_redirect ? redirect.size() : pass.size(), nullptr),
                           "load a program"));
        check_negative(::bpf_prog_attach(program_.get(), sockets_.get(), BPF_SK_MSG_VERDICT, 0),
                       "attach a program");
        put(0, pair.client);
        put(1, pair.server);
    }

  private:
    void put(std::uint32_t key, const End& end) const {
        const std::uint64_t value = static_cast<std::uint64_t>(end.fd());
        check_negative(::bpf_map_update_elem(sockets_.get(), &key, &value, BPF_ANY),
                       "put a socket into a SOCKHASH");
    }

    Fd sockets_, program_;
};

void wait_for_data(const End& end) {
    pollfd polled{end.fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&polled, 1, 5000), 1);
}

class SelfTest : public KernelTest {
  protected:
    SelfTest() { start_daemon(usual_policy()); }

    struct Row {
        std::string result, consequence;
        bool ok = false;
    };
    [[nodiscard]] std::map<std::string, Row> probe() {
        const auto [findings, is_usable] = daemon_->manager().Probe();
        is_usable_ = is_usable;
        std::map<std::string, Row> rows;
        for (const auto& row : findings)
            rows[std::get<0>(row)] = {std::get<1>(row), std::get<2>(row), std::get<3>(row)};
        return rows;
    }

    // With kBytes that wait for the server.
    [[nodiscard]] TcpPair waiting(bool does_redirect) {
        TcpPair pair = connect_pair({});
        bypasses_.emplace_back(pair, does_redirect);
        EXPECT_EQ(pair.client.send(kBytes), kBytes);
        wait_for_data(pair.server);
        return pair;
    }

    bool is_usable_ = false;
    std::vector<Bypass> bypasses_;
};

TEST_F(SelfTest, AgreesWithOurOwnMeasurementOfFionread) {
    const auto rows = probe();
    const bool counts_redirected = waiting(true).server.readable_bytes() == kBytes;
    const bool counts_plain = waiting(false).server.readable_bytes() == kBytes;
    EXPECT_EQ(rows.at("fionread-redirected").ok, counts_redirected)
        << rows.at("fionread-redirected").result;
    EXPECT_EQ(rows.at("fionread-plain").ok, counts_plain) << rows.at("fionread-plain").result;

    const std::string its_class = !counts_redirected ? "class A" : !counts_plain ? "class B" : "";
    reload("[[rule]]\nname = \"test\"\ncgroups = [\"" + covered_.path() + "\"]\n");
    // Where the witness watches for its use, the rule need not tolerate it.
    if (rows.at("fentry").ok) {
        EXPECT_EQ(state_of(), "active");
        return;
    }
    EXPECT_EQ(state_of(), "refused");
    const std::string why = daemon_->rule("test")->Why();
    EXPECT_EQ(why.find("FIONREAD") != std::string::npos, !its_class.empty()) << why;
    EXPECT_NE(why.find(its_class), std::string::npos) << why;
    EXPECT_EQ(why.find("\"fionread\"") != std::string::npos, !its_class.empty()) << why;
}

TEST_F(SelfTest, AgreesWithOurOwnMeasurementOfTheReceiversMemory) {
    const auto rows = probe();
    const TcpPair pair = waiting(true);
    std::array<std::uint32_t, SK_MEMINFO_VARS> memory{};
    socklen_t length = sizeof memory;
    check(::getsockopt(pair.server.fd(), SOL_SOCKET, SO_MEMINFO, memory.data(), &length),
          "SO_MEMINFO");
    const bool counts = memory[SK_MEMINFO_RMEM_ALLOC] >= kBytes;
    EXPECT_EQ(rows.at("accounting").ok, counts) << rows.at("accounting").result;
    EXPECT_TRUE(!is_usable_ || counts) << "no queue's limit would hold";
}

TEST_F(SelfTest, AgreesWithOurOwnMeasurementOfSplice) {
    const auto rows = probe();
    const TcpPair pair = waiting(true);
    std::array<int, 2> ends{};
    check(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), "pipe");
    const Fd out(ends[0]), in(ends[1]);
    const ssize_t moved =
        ::splice(pair.server.fd(), nullptr, in.get(), nullptr, kBytes, SPLICE_F_NONBLOCK);
    EXPECT_EQ(rows.at("splice").ok, moved == static_cast<ssize_t>(kBytes))
        << rows.at("splice").result;
}

// Otherwise none of this suite's other tests could be right.
TEST_F(SelfTest, FindsThisKernelUsable) {
    const auto rows = probe();
    EXPECT_TRUE(is_usable_);
    for (const char* check :
         {"types", "table", "order", "accounting", "end-of-file", "half-close", "removal"})
        EXPECT_TRUE(rows.at(check).ok) << check << ": " << rows.at(check).result;
}

TEST_F(SelfTest, LeavesEnrolledConnectionsAlone) {
    TcpPair pair = connect_pair(covered_route());
    warm_up(pair);
    const std::uint64_t before = look(pair).redirected_bytes();
    for (int i = 0; i < 3; ++i) {
        static_cast<void>(probe());
        converse(pair, {.request = 100, .response = 100, .turns = 100});
    }
    const Seen seen = look(pair);
    EXPECT_EQ(seen.state, "enrolled") << seen.text();
    EXPECT_GE(seen.redirected_bytes(), before + std::uint64_t{3 * 100 * 200}) << seen.text();
}

// 300 ms are wanted. Printed, as other load on the machine counts, too, and emulated machines are
// slow.
TEST_F(SelfTest, TakesAMoment) {
    const auto children_cpu = [this] {
        std::ifstream file("/proc/" + std::to_string(daemon_->pid()) + "/stat");
        std::string text;
        std::getline(file, text);
        std::istringstream fields(text.substr(text.rfind(')') + 2));
        std::string skipped;
        for (int field = 3; field < 16; ++field)
            fields >> skipped;
        long user = 0, system = 0;  // fields 16 and 17, proc(5)
        fields >> user >> system;
        return (user + system) * 1000 / ::sysconf(_SC_CLK_TCK);
    };
    constexpr int kRuns = 10;
    auto least = std::chrono::milliseconds::max();
    const long cpu_before = children_cpu();
    for (int i = 0; i < kRuns; ++i) {
        const auto begin = std::chrono::steady_clock::now();
        static_cast<void>(probe());
        least = std::min(least, std::chrono::duration_cast<std::chrono::milliseconds>(
                                    std::chrono::steady_clock::now() - begin));
    }
    const long cpu = (children_cpu() - cpu_before) / kRuns;
    std::printf("self-test: %ld ms at best of %d runs, %ld ms of CPU time on average\n",
                static_cast<long>(least.count()), kRuns, cpu);
    RecordProperty("least_ms", static_cast<int>(least.count()));
    RecordProperty("cpu_ms", static_cast<int>(cpu));
    EXPECT_LT(least, std::chrono::seconds(3));
}

}  // namespace
}  // namespace sockaccel::test
