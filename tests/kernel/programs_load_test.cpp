// SPDX-License-Identifier: GPL-2.0-or-later
// All programs load on this kernel, and do something. Each kernel has one of two gates: the other
// one would be found not to load by users only.
#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "fentry.hpp"
#include "kernel_test.hpp"
#include "sockaccel.h"
#include "sockaccel_copying.skel.h"

namespace sockaccel::test {
namespace {

struct Close {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
};

class ProgramsLoad : public KernelTest {};

TEST_F(ProgramsLoad, TheWitnessDoesWhereverSuchProgramsDo) {
    start_daemon("[[rule]]\nname = \"test\"\ncgroups = [\"" + covered_.path() + "\"]\n");
    const bool is_refused =
        daemon_->output().find("does not let the witness load") != std::string::npos;
    EXPECT_EQ(is_refused, !fentry_loads());
    EXPECT_EQ(state_of(), is_refused ? "refused" : "active") << daemon_->rule("test")->Why();
}

TEST_F(ProgramsLoad, AConnectionIsEnrolledWithThem) {
    start_daemon(usual_policy());
    TcpPair pair = connect_pair(covered_route());
    warm_up(pair);
    exchange_bytes(pair, {.to_server = 1 << 20, .to_client = 1 << 20});
    EXPECT_GT(look(pair).redirected_bytes(), 0U);
}

TEST_F(ProgramsLoad, TheGateForOlderKernelsDoesOnNewerOnes) {
    std::size_t size = 0;
    const void* elf = sockaccel_copying_bpf__elf_bytes(&size);
    const std::unique_ptr<bpf_object, Close> object(bpf_object__open_mem(elf, size, nullptr));
    ASSERT_NE(object, nullptr);
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object.get())
        bpf_program__set_autoload(program, bpf_program__name(program) == std::string("sa_gate"));
    EXPECT_EQ(bpf_object__load(object.get()), 0);
}

}  // namespace
}  // namespace sockaccel::test
