// SPDX-License-Identifier: GPL-2.0-or-later
// Which connections or events are asked for, and in which order. Pure.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "report.hpp"

namespace sockaccel::ctl {

// Of each kind that is given, one has to fit.
struct Selection {
    std::vector<std::string> rules, units, states, reasons, events;
    std::vector<std::uint16_t> ports;  // of either end, in either end's view

    [[nodiscard]] bool wants(const ConnectionReport& connection) const;
    [[nodiscard]] bool wants(const EventReport& event) const;
};

// A value of an option that cannot be meant. what() says so, and what was probably meant.
class BadChoice : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Throws BadChoice: `there is no KIND "VALUE": did you mean "…"?`
void require_known(const std::string& kind, const std::vector<std::string>& values,
                   const std::vector<std::string_view>& known);

inline const std::vector<std::string_view> kStates = {"unpaired", "paired", "opening", "enrolled",
                                                      "draining"};
inline const std::vector<std::string_view> kEvents = {"paired", "enrolled", "left"};
inline const std::vector<std::string_view> kSortKeys = {"age",   "bytes",  "messages", "rule",
                                                        "state", "reason", "port",     "unit"};

// Takes out what is not wanted, and counts it.
void select(ConnectionsReport& report, const Selection& selection);
// By one of kSortKeys: the most or oldest first, names and ports upwards.
void sort(ConnectionsReport& report, const std::string& key);

}  // namespace sockaccel::ctl
