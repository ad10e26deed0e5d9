// SPDX-License-Identifier: GPL-2.0-or-later
#include "fentry.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <array>

#include "fd.hpp"

namespace sockaccel::test {
namespace {

bool try_fentry() {
    const int function = libbpf_find_vmlinux_btf_id("tcp_recvmsg", BPF_TRACE_FENTRY);
    if (function < 0)
        return false;
    std::array<bpf_insn, 2> program{};
    program[0].code = BPF_ALU64 | BPF_MOV | BPF_K;
    program[1].code = BPF_JMP | BPF_EXIT;
    bpf_prog_load_opts options{};
    options.sz = sizeof options;
    options.expected_attach_type = BPF_TRACE_FENTRY;
    options.attach_btf_id = static_cast<__u32>(function);
    const Fd loaded(::bpf_prog_load(BPF_PROG_TYPE_TRACING, "try", "GPL", program.data(),
                                    program.size(), &options));
    return loaded && Fd(::bpf_raw_tracepoint_open(nullptr, loaded.get()));
}

}  // namespace

bool fentry_loads() {
    static const bool loads = try_fentry();
    return loads;
}

}  // namespace sockaccel::test
