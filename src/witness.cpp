// SPDX-License-Identifier: GPL-2.0-or-later
#include "witness.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <set>
#include <string_view>
#include <system_error>
#include <vector>

#include "kernel_support.hpp"
#include "log.hpp"
#include "sockaccel.h"
#include "witness.skel.h"

namespace sockaccel {
namespace {

struct Hook {
    const char* program;
    std::uint32_t hazards;  // that it sees
    // A kernel without the function has nothing there to be seen; of the others each has to be.
    bool is_optional = false;
};

constexpr std::array kHooks{
    Hook{"sa_see_splice", SA_TOLERATE_SPLICE},
    Hook{"sa_see_ioctl", SA_TOLERATE_FIONREAD},
    Hook{"sa_see_bpf_ioctl", SA_TOLERATE_FIONREAD, true},  // comes with 6.6.128, 6.12.75, 6.18.14
    Hook{"sa_see_recvmsg", SA_TOLERATE_WAITALL},  // MSG_OOB, too; but urg_seq tells of that anyhow
    Hook{"sa_see_bpf_recvmsg", SA_TOLERATE_WAITALL},
    Hook{"sa_see_bpf_sendmsg", SA_HAZARD_OOB},
};

constexpr std::uint32_t kAll =
    SA_TOLERATE_SPLICE | SA_TOLERATE_FIONREAD | SA_TOLERATE_WAITALL | SA_HAZARD_OOB;

// Names of .bss maps begin with a part of the object's name.
bool is_bss(const bpf_map* map) {
    const std::string_view name = bpf_map__name(map);
    return name.size() > 4 && name.substr(name.size() - 4) == ".bss";
}

const bpf_map* counterpart(const bpf_object& main, const bpf_map* map) {
    if (!is_bss(map))
        return bpf_object__find_map_by_name(&main, bpf_map__name(map));
    const bpf_map* each = nullptr;
    bpf_object__for_each_map(each, &main) if (is_bss(each)) return each;
    return nullptr;
}

// Two sets of links take turns, so that the next one can be there before the last one goes.
constexpr std::string_view kStored = "witness.";
constexpr std::array kSets{"witness.0.", "witness.1."};

struct Close {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
};

}  // namespace

Witness::Witness(bpf_object& main, FdStore& store) : main_(main), store_(store) {}

// The links hold the programs.
Witness::Links Witness::attach(std::uint32_t hazards) const {
    std::size_t size = 0;
    const void* elf = witness_bpf__elf_bytes(&size);
    const std::unique_ptr<bpf_object, Close> owned(bpf_object__open_mem(elf, size, nullptr));
    bpf_object* object = owned.get();
    if (object == nullptr)
        throw std::system_error(errno, std::generic_category(), "open the witness");
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
        const bpf_map* shared = counterpart(main_, map);
        // The programs find `control` in there by its place.
        if (shared == nullptr || bpf_map__value_size(shared) != bpf_map__value_size(map))
            throw std::system_error(ENOENT, std::generic_category(),
                                    std::string("share the map ") + bpf_map__name(map));
        check_negative(bpf_map__reuse_fd(map, bpf_map__fd(shared)),
                       std::string("share the map ") + bpf_map__name(map));
    }
    std::vector<bpf_program*> wanted;
    for (const Hook& hook : kHooks) {
        bpf_program* program = bpf_object__find_program_by_name(object, hook.program);
        const std::string_view section = bpf_program__section_name(program);
        const std::string function(section.substr(section.find('/') + 1));
        const bool is_wanted =
            (hook.hazards & hazards) != 0 && (!hook.is_optional || kernel_has_function(function));
        check_negative(bpf_program__set_autoload(program, is_wanted),
                       "choose the witness's programs");
        if (is_wanted)
            wanted.push_back(program);
    }
    check_negative(bpf_object__load(object), "load the witness");
    Links links;
    for (const bpf_program* program : wanted)
        links.emplace_back(
            bpf_program__name(program),
            check_negative(
                bpf_link_create(bpf_program__fd(program), 0, BPF_TRACE_FENTRY, nullptr),
                std::string("attach the witness to ") + bpf_program__section_name(program)));
    return links;
}

bool Witness::can_watch() {
    if (can_watch_)
        return *can_watch_;
    try {
        static_cast<void>(attach(kAll));
        can_watch_ = true;
    } catch (const std::system_error& error) {
        log::notice("kernel " + kernel_release() + " does not let the witness load (" +
                    error.what() + "): rules have to tolerate fionread, splice and waitall");
        can_watch_ = false;
    }
    return *can_watch_;
}

void Witness::watch(std::uint32_t hazards) {
    if (hazards == watched_ || (hazards != 0 && !can_watch()))
        return;
    // The new ones first: nothing is missed in between.
    const std::vector<std::string> before = store_.names();
    const bool is_first_taken = std::any_of(
        before.begin(), before.end(), [](const auto& name) { return name.starts_with(kSets[0]); });
    std::set<std::string> fresh;
    for (auto& [program, link] : hazards == 0 ? Links{} : attach(hazards)) {
        const std::string name = kSets.at(is_first_taken ? 1 : 0) + program;
        store_.put(name, std::move(link));
        fresh.insert(name);
    }
    for (const std::string& name : before)
        if (name.starts_with(kStored) && !fresh.contains(name))
            store_.remove(name);
    watched_ = hazards;
}

}  // namespace sockaccel
