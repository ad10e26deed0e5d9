// SPDX-License-Identifier: GPL-2.0-or-later
// Each kernel has one of two gates. The other one would be found not to load by users only.
#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <memory>

#include "destroy.hpp"
#include "sockaccel.h"
#include "sockaccel.skel.h"

namespace sockaccel::test {
namespace {

TEST(ProgramsLoad, TheGateForOlderKernelsDoesOnNewerOnes) {
    const std::unique_ptr<sockaccel_bpf, Destroy<sockaccel_bpf__destroy>> skeleton(
        sockaccel_bpf__open());
    ASSERT_NE(skeleton, nullptr);
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, skeleton->obj)
        bpf_program__set_autoload(program, program == skeleton->progs.sa_gate_copying);
    EXPECT_EQ(sockaccel_bpf__load(skeleton.get()), 0);
}

}  // namespace
}  // namespace sockaccel::test
