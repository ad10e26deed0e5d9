// SPDX-License-Identifier: GPL-2.0-or-later
// The seam between what is decided and what the kernel does. BpfDatapath is the real one; the unit
// tests have the one fake.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "connection.hpp"
#include "conversation.hpp"
#include "legacy.hpp"
#include "plan.hpp"

namespace sockaccel {

// Times are CLOCK_MONOTONIC.
using Instant = std::chrono::nanoseconds;

struct PassResult {
    std::optional<Instant> next;  // when the next pass would find something to do
    std::uint32_t pairs = 0;      // slots in use: enrolled, joining or leaving
    std::uint32_t candidates = 0;
};

struct Totals {
    std::array<std::uint64_t, SA_LIMIT_COUNT> limit_hits{};  // by enum sa_limit
    std::uint64_t budget_used_bytes = 0, budget_bytes = 0;
    std::uint64_t halves_expired = 0;  // ends whose other end was not covered
    std::uint32_t pairs = 0;
    std::uint32_t max_pairs = 0;
};

struct Listing {
    std::vector<Connection> connections;
    std::uint32_t omitted = 0;  // that were not wanted: see Datapath::connections()
    std::uint32_t hidden = 0;   // that the viewer may not see
};

// Of a daemon whose work is carried on: what it had in force.
struct Inheritance {
    Legacy legacy;
    RuleMask draining = 0, paused = 0;  // as drain() and pause() were told
};

// Not thread-safe. Failures of the kernel are std::system_error that name the object.
class Datapath {
  public:
    virtual ~Datapath() = default;

    // From the daemon before; none: this one starts with nothing.
    [[nodiscard]] virtual std::optional<Inheritance> inheritance() = 0;

    // Lays the tables out aside; the next set_membership() swaps them in together with it: a
    // connection is judged by the old policy or by the new one, never by a mix. `verdict` is kept
    // with their rules for the daemon after this one.
    virtual void set_tables(const Tables& tables, const Limits& limits,
                            const KernelVerdict& verdict) = 0;

    // Makes the sets of attached cgroups and of memberships equal to `membership`. A cgroup that
    // vanished meanwhile is no error. Returns what is not as it should be, a line each: a path that
    // could not be attached to, with the cause; a limit that a restart does not change.
    virtual std::vector<std::string> set_membership(const Membership& membership) = 0;

    // Pairs of these rules leave, for this reason, within the next passes; 0 ends it.
    virtual void drain(RuleMask rules, Reason reason) = 0;

    // From now on the gate leaves every message of these rules to TCP, and nothing of them is
    // enrolled; their pairs leave within the next passes. For all other rules that ends.
    virtual void pause(RuleMask rules) = 0;

    // Can this kernel watch for the use of FIONREAD, splice(2) and MSG_WAITALL? Where it can, that
    // is done for each rule that does not tolerate it.
    [[nodiscard]] virtual bool witness_watches() = 0;

    // Looks for connections that were open before they were covered: they become candidates of the
    // next pass. Takes time by how many descriptors the host's processes have.
    virtual void adopt() = 0;

    // One pass of the steward over candidates and pairs; or only over the pairs that there are, so
    // that none is enrolled.
    enum class Pass { all, pairs_only };
    virtual PassResult pass(Pass kind) = 0;

    // Readable when pass() or an event waits.
    [[nodiscard]] virtual int event_fd() const = 0;

    // Takes everything that waits at event_fd(): true if a pass is wanted; gives events to `sink`.
    virtual bool take_events(const std::function<void(const ConnectionEvent&)>& sink) = 0;

    // Whether paired, enrolled and left events are wanted; off costs nothing.
    virtual void want_events(bool wanted) = 0;

    // About `most` of them, if there are more: some, whichever. With a viewer, at least those that
    // this user may see; whoever shows them looks again.
    enum class Which { all, in_table };  // the latter: enrolled or draining
    [[nodiscard]] virtual Listing connections(Which which, std::uint32_t most,
                                              std::optional<std::uint32_t> viewer) = 0;
    // All of them, counted only.
    [[nodiscard]] virtual Census census() = 0;
    [[nodiscard]] virtual RuleCounters counters(RuleId rule) = 0;
    [[nodiscard]] virtual Totals totals() = 0;
    // Of the rules that observe, since they are in force.
    [[nodiscard]] virtual Conversations conversations() = 0;

    // Other people's programs that work, or might, on the same connections, a line each, such as
    // "sock_ops program 123 (theirs) on cgroup /system.slice": those attached to a cgroup that this
    // is attached to, to one above or to one below, and every owner of sockets' sk_msg hook.
    using PathOfCgroup = std::function<std::string(std::uint64_t id)>;
    [[nodiscard]] virtual std::vector<std::string> foreign(const PathOfCgroup& path_of) = 0;
};

}  // namespace sockaccel
