// SPDX-License-Identifier: GPL-2.0-or-later
// Each kernel has one of two gates. The other one would be found not to load by users only.
#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "sockaccel.h"
#include "sockaccel_copying.skel.h"

namespace sockaccel::test {
namespace {

struct Close {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
};

TEST(ProgramsLoad, TheGateForOlderKernelsDoesOnNewerOnes) {
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
