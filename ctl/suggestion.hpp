// SPDX-License-Identifier: GPL-2.0-or-later
// From what was observed to a policy: which rules are worth having, which are not, and why. Pure.
#pragma once

#include <string>
#include <vector>

#include "conversations.hpp"
#include "report.hpp"

namespace sockaccel::ctl {

enum class Pattern {
    none,      // no traffic
    exchange,  // both sides send, in turn
    bulk,      // one side, in large writes
    trickle,   // one side, in small ones
};
[[nodiscard]] Pattern pattern_of(const ConversationReport& conversation);
[[nodiscard]] std::string_view to_string(Pattern pattern);

// The size that half of the messages have, or are below: "1KiB-2KiB"; "-": there is none.
[[nodiscard]] std::string typical_size(const SideReport& side);

// "redis-server.service", or the cgroup, as the policy would name it.
[[nodiscard]] std::string place_name(const std::string& cgroup);

// What is thought of one conversation.
struct Judgement {
    std::string refusal;                                        // why not; "": it is worth a rule
    std::vector<std::pair<std::string, std::string>> tolerate;  // what it needs, and the evidence
    std::vector<std::string> remarks;
};
[[nodiscard]] Judgement judge(const ConversationReport& conversation,
                              const ConversationsReport& report);

// A policy, one rule for each server's port, with comments that say why; and in comments what is
// not worth a rule. `rules`: those of the daemon, of which the observing ones give their networks.
// `prove`: "" for the default.
[[nodiscard]] std::string suggestion_toml(const ConversationsReport& report,
                                          const std::vector<RuleReport>& rules,
                                          const std::string& prove);

}  // namespace sockaccel::ctl
