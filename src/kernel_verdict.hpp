// SPDX-License-Identifier: GPL-2.0-or-later
// What the self-test found of this kernel, and what follows from it. Pure: the measuring is
// kernel_probe's.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy.hpp"

namespace sockaccel {

// In the order in which they are made.
enum class Check {
    types,                // map, program and iterator types, helpers, BTF
    table,                // iterators put sockets into a SOCKHASH; messages are redirected
    order,                // redirected data and TCP's arrive in the order in which they were sent
    accounting,           // sk_rmem_alloc counts redirected data
    full_buffer,          // TCP's data behind more redirected data than the receive buffer
    fionread_redirected,  // FIONREAD with redirected data only
    fionread_plain,       // with data by TCP only, on a socket that is in the table
    fionread_both,        // with both
    end_of_file,          // after redirected data
    half_close,           // redirected data towards an end that has shut down its sending
    removal,              // taken out of the table while empty, the connection is plain TCP
    blocking,             // a blocking reader, woken by a signal
    splice,
    waitall,
    fentry,  // the witness's kind of program
};
inline constexpr int kCheckCount = static_cast<int>(Check::fentry) + 1;

// One word, as the table shows it: "end-of-file".
[[nodiscard]] std::string_view to_string(Check check);

struct Observation {
    Check check{};
    bool ok = false;
    std::string result;  // what was seen: "counts 0 of 1000 bytes"

    bool operator==(const Observation&) const = default;

    // One line, for a pipe; no newline in it or at its end. parse: none if it is no such line.
    [[nodiscard]] std::string line() const;
    [[nodiscard]] static std::optional<Observation> parse(std::string_view line);
};

// A row of the table.
struct Finding {
    std::string check, result, consequence;
    bool ok = false;

    bool operator==(const Finding&) const = default;
};

// What redirect does not honour, as the application's programmer knows it.
struct Unhonoured {
    Hazard hazard{};
    std::string name;  // "FIONREAD (class B: ...)"

    bool operator==(const Unhonoured&) const = default;
};

// Made by default it is that of a kernel of which nothing is known: then all is doubted.
struct KernelVerdict {
    enum class State {
        untested,
        usable,
        unusable,  // `flaw` says why: nothing may be accelerated
    };
    State state = State::untested;
    std::string flaw;
    std::vector<Unhonoured> unhonoured{{Hazard::fionread, "FIONREAD"},
                                       {Hazard::splice, "splice(2)"},
                                       {Hazard::waitall, "MSG_WAITALL"}};
    bool has_fentry = false;
    bool drops_above_buffer = true;  // what waits must not fill a receive buffer of a set size
    // Something takes connections out whose programs use what is unhonoured: then no rule has to
    // tolerate it.
    bool witness_watches = false;
    std::vector<Finding> findings;  // in the order of Check, each once; empty: untested

    bool operator==(const KernelVerdict&) const = default;
};
// "testing", "usable", "unusable"
[[nodiscard]] std::string_view to_string(KernelVerdict::State state);

// `ending`: how the test ended before its time ("it was killed by signal 11"); "" if it ran
// through. What was not observed counts as wrong: never the benefit of the doubt.
[[nodiscard]] KernelVerdict judge(const std::vector<Observation>& observations,
                                  const std::string& ending);

}  // namespace sockaccel
