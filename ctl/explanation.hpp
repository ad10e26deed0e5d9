// SPDX-License-Identifier: GPL-2.0-or-later
// Why connections are accelerated or not, as text and as JSON. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coverage.hpp"
#include "report.hpp"
#include "table.hpp"

namespace sockaccel::ctl {

struct Explanation {
    ConnectionReport connection;  // of one that no rule covers: ends only
    bool is_covered = false;
    bool is_private = false;            // whether it is covered is for others to know
    std::vector<RuleVerdict> verdicts;  // of one that is not covered
    std::string advice;                 // what would change it
};

// Of a connection that the daemon lists, by one of these rules.
[[nodiscard]] Explanation explain(const ConnectionReport& connection,
                                  const std::vector<RuleReport>& rules);

[[nodiscard]] std::string explanations_text(const std::vector<Explanation>& explanations,
                                            const View& view = {});
[[nodiscard]] std::string explanations_json(const std::vector<Explanation>& explanations);

}  // namespace sockaccel::ctl
