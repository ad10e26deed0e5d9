// SPDX-License-Identifier: GPL-2.0-or-later
// What rules do a second. Pure.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "report.hpp"
#include "table.hpp"

namespace sockaccel::ctl {

struct Snapshot {
    std::chrono::steady_clock::time_point at;
    StatusReport status;
};

struct RuleRates {
    std::string name, state;
    std::uint64_t live = 0;
    double redirected_bytes = 0, redirected_messages = 0, tcp_bytes = 0, tcp_messages = 0;
    double enrolled = 0, left = 0;
    std::string reason;  // why most messages went by TCP in this time; "": none did

    // Of the bytes of enrolled connections, 0 … 1; 0 if there are none.
    [[nodiscard]] double redirected_share() const;
};

struct RatesReport {
    StatusReport status;  // now
    std::chrono::duration<double> over{};
    std::vector<RuleRates> rules;  // in deciding order
};

// A rule that is new, or whose counters began again, is counted from zero.
[[nodiscard]] RatesReport rates(const Snapshot& before, const Snapshot& now);

[[nodiscard]] std::string rates_screen(const RatesReport& report, const View& view);
[[nodiscard]] std::string rates_lines(const RatesReport& report);  // a line a rule
[[nodiscard]] std::string rates_json(const RatesReport& report);   // on one line

}  // namespace sockaccel::ctl
