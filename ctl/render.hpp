// SPDX-License-Identifier: GPL-2.0-or-later
// What sockaccelctl prints. Pure: values in, text or JSON out, with a newline at the end.
//
// The text is for people and may change; the JSON is for programs: keys are only ever added. Names
// of cgroups are chosen by others, so control characters in them are written as \xNN in the text.
#pragma once

#include <string>
#include <vector>

#include "conversations.hpp"
#include "policy_source.hpp"
#include "report.hpp"

namespace sockaccel::ctl {

[[nodiscard]] std::string status_text(const StatusReport& status);
[[nodiscard]] std::string status_json(const StatusReport& status);

[[nodiscard]] std::string rules_text(const std::vector<RuleReport>& rules);
[[nodiscard]] std::string rules_json(const std::vector<RuleReport>& rules);

// `is_wide`: with cgroups, socket cookies, users, and what the server sees.
[[nodiscard]] std::string connections_text(const ConnectionsReport& report, bool is_wide);
[[nodiscard]] std::string connections_json(const ConnectionsReport& report);

// One line an event; the text has local time, the JSON UTC.
[[nodiscard]] std::string event_text(const EventReport& event);
[[nodiscard]] std::string event_json(const EventReport& event);

// What rules that observe have seen. The JSON has the policy that is suggested by it, too: see
// suggestion.hpp for `rules` and `prove`.
[[nodiscard]] std::string conversations_text(const ConversationsReport& report);
[[nodiscard]] std::string conversations_json(const ConversationsReport& report,
                                             const std::vector<RuleReport>& rules,
                                             const std::string& prove);

// What the self-test found, a row a check.
[[nodiscard]] std::string probe_text(const ProbeReport& report);
[[nodiscard]] std::string probe_json(const ProbeReport& report);

[[nodiscard]] std::string changes_text(const std::vector<std::string>& changes);
[[nodiscard]] std::string changes_json(const std::vector<std::string>& changes);

// What a reload would change.
[[nodiscard]] std::string diff_text(const std::vector<std::string>& changes);

// What a policy means: limits, and the rules in deciding order, those with the reason that most
// kernels make refused. `source` is what it is called.
[[nodiscard]] std::string policy_text(const std::string& source, const EffectivePolicy& effective);
[[nodiscard]] std::string policy_json(const std::string& source, const EffectivePolicy& effective);

}  // namespace sockaccel::ctl
