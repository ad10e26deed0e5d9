// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel_support.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include "destroy.hpp"
#include "fd.hpp"
#include "lookup.skel.h"

namespace sockaccel {
namespace {

constexpr const char* kBtf = "/sys/kernel/btf/vmlinux";

// linux/capability.h
constexpr unsigned kCapNetAdmin = 12, kCapSysAdmin = 21, kCapPerfmon = 38, kCapBpf = 39;

std::uint64_t effective_capabilities() {
    std::ifstream status("/proc/self/status");
    std::string line;
    while (std::getline(status, line)) {
        if (line.rfind("CapEff:", 0) == 0)
            return std::stoull(line.substr(7), nullptr, 16);
    }
    return 0;
}

struct Named {
    int value;
    const char* name;
};

struct Helper {
    bpf_prog_type program;
    bpf_func_id helper;
    const char* name;
};

constexpr std::array kMaps{
    Named{BPF_MAP_TYPE_SOCKHASH, "SOCKHASH"},     Named{BPF_MAP_TYPE_SK_STORAGE, "SK_STORAGE"},
    Named{BPF_MAP_TYPE_LPM_TRIE, "LPM_TRIE"},     Named{BPF_MAP_TYPE_LRU_HASH, "LRU_HASH"},
    Named{BPF_MAP_TYPE_RINGBUF, "RINGBUF"},       Named{BPF_MAP_TYPE_STACK, "STACK"},
    Named{BPF_MAP_TYPE_PROG_ARRAY, "PROG_ARRAY"},
};

constexpr std::array kPrograms{
    Named{BPF_PROG_TYPE_SOCK_OPS, "sock_ops"},
    Named{BPF_PROG_TYPE_SK_MSG, "sk_msg"},
};

constexpr std::array kHelpers{
    Helper{BPF_PROG_TYPE_SK_MSG, BPF_FUNC_msg_redirect_hash, "bpf_msg_redirect_hash in sk_msg"},
    Helper{BPF_PROG_TYPE_SK_MSG, BPF_FUNC_sk_storage_get, "bpf_sk_storage_get in sk_msg (5.10)"},
    Helper{BPF_PROG_TYPE_SK_MSG, BPF_FUNC_probe_read_kernel, "bpf_probe_read_kernel in sk_msg"},
    Helper{BPF_PROG_TYPE_SOCK_OPS, BPF_FUNC_get_netns_cookie,
           "bpf_get_netns_cookie in sock_ops (5.15)"},
    Helper{BPF_PROG_TYPE_SOCK_OPS, BPF_FUNC_loop, "bpf_loop (5.17)"},
};

}  // namespace

std::vector<std::string> missing_kernel_support() {
    std::vector<std::string> missing;
    const std::uint64_t capabilities = effective_capabilities();
    const auto has = [&](unsigned capability) { return (capabilities >> capability & 1) != 0; };
    for (const auto& [value, name] :
         {Named{kCapBpf, "CAP_BPF"}, Named{kCapPerfmon, "CAP_PERFMON"}}) {
        if (!has(static_cast<unsigned>(value)) && !has(kCapSysAdmin))
            missing.push_back(std::string("the capability ") + name +
                              ": run it as root or as sockaccel.service does");
    }
    if (!has(kCapNetAdmin))
        missing.emplace_back(
            "the capability CAP_NET_ADMIN: run it as root or as sockaccel.service does");
    if (!missing.empty())
        return missing;  // without them nothing else can be asked

    if (::access(kBtf, R_OK) != 0)
        missing.push_back(std::string(kBtf) +
                          ": the kernel was built without CONFIG_DEBUG_INFO_BTF");
    for (const auto& [value, name] : kMaps) {
        if (libbpf_probe_bpf_map_type(static_cast<bpf_map_type>(value), nullptr) == 0)
            missing.push_back(std::string("BPF maps of type ") + name);
    }
    for (const auto& [value, name] : kPrograms) {
        if (libbpf_probe_bpf_prog_type(static_cast<bpf_prog_type>(value), nullptr) == 0)
            missing.push_back(std::string("BPF programs of type ") + name);
    }
    for (const auto& [program, helper, name] : kHelpers) {
        if (libbpf_probe_bpf_helper(program, helper, nullptr) == 0)
            missing.push_back(std::string("the BPF helper ") + name);
    }
    return missing;
}

bool kernel_has_function(std::string_view name) {
    const std::unique_ptr<lookup_bpf, Destroy<lookup_bpf__destroy>> skeleton(
        lookup_bpf__open_and_load());
    if (!skeleton)
        throw std::system_error(errno, std::generic_category(), "load the program that looks up");
    auto& function = skeleton->bss->function;
    if (name.size() >= sizeof function)
        throw std::invalid_argument("too long a name: " + std::string(name));
    std::ranges::copy(name, function);
    bpf_test_run_opts options{};
    options.sz = sizeof options;
    check_negative(
        bpf_prog_test_run_opts(bpf_program__fd(skeleton->progs.sa_find_function), &options),
        "look " + std::string(name) + " up in the kernel");
    return skeleton->bss->found != 0;
}

std::string kernel_release() {
    utsname names{};
    ::uname(&names);
    return names.release;
}

}  // namespace sockaccel
