// SPDX-License-Identifier: GPL-2.0-or-later
#include "predecessor.hpp"

#include <bpf/bpf.h>

#include <string>
#include <thread>

#include "event_loop.hpp"
#include "log.hpp"
#include "sockaccel.h"

namespace sockaccel {
namespace {

using Instant = std::chrono::nanoseconds;

constexpr std::chrono::milliseconds kBetweenSteps{5};

// How many pairs remain.
std::uint32_t take_step(int leave) {
    const Fd iterator(check(bpf_iter_create(leave), "take out what the daemon before left"));
    std::uint32_t remaining = 0;
    if (::read(iterator.get(), &remaining, sizeof remaining) != sizeof remaining)
        throw std::system_error(errno, std::generic_category(),
                                "take out what the daemon before left");
    return remaining;
}

void take_out(int leave, Instant deadline) {
    std::uint32_t remaining = 0;
    while ((remaining = take_step(leave)) > 0 && now() < deadline)
        std::this_thread::sleep_for(kBetweenSteps);
    if (remaining > 0)
        log::notice(std::to_string(remaining) +
                    " connections keep the empty stub (plain TCP) until they close: their readers "
                    "have not read what was redirected to them");
}

}  // namespace

void clear_away(FdStore& store, std::chrono::milliseconds patience) {
    const Instant deadline = now() + patience;
    for (const int leave : store.all("leave")) {
        try {
            take_out(leave, deadline);
        } catch (const std::system_error& error) {
            log::warning(error.what());
        }
    }
    // Also where the iterator is missing: what is unread stays with the sockets, TCP goes on.
    const __u32 gate = 0;
    for (const int programs : store.all("map.programs"))
        bpf_map_delete_elem(programs, &gate);
    store.clear();
}

}  // namespace sockaccel
