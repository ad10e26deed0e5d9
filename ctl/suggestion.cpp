// SPDX-License-Identifier: GPL-2.0-or-later
#include "suggestion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "quantity.hpp"
#include "sockaccel.h"
#include "toml_text.hpp"
#include "unit_pattern.hpp"

namespace sockaccel::ctl {
namespace {

using Words = std::vector<std::string>;

// Below both of these there is nothing worth a rule.
constexpr double kLeastMessages = 10;        // a second
constexpr double kLeastBytes = 1024 * 1024;  // a second

// docs/ARCHITECTURE.md says how this was measured.
constexpr const char* kGainOfExchange =
    "1.15 to 1.25 times as many round trips as over loopback TCP";
constexpr const char* kGainOfBulk = "1.3 to 2.7 times the throughput of loopback TCP";

bool has(const Words& words, std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

double seconds_of(const ConversationReport& it) {
    return std::max(1.0, static_cast<double>(it.age.count()) / 1e6);
}

std::string rate(std::uint64_t count, double seconds) {
    const double each = static_cast<double>(count) / seconds;
    return each < 10 ? fmt::format("{:.1f}", each) : fmt::format("{:.0f}", each);
}

std::string bytes_rate(std::uint64_t bytes, double seconds) {
    return format_bytes(static_cast<std::uint64_t>(static_cast<double>(bytes) / seconds)) + "/s";
}

std::string counted(std::uint64_t count, const char* noun) {
    return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

// --- what stands against it

// Obstacles of a moment say nothing of the next one.
bool is_lasting(const std::string& reason) {
    static const std::set<std::string> kPassing = {"closed", "state", "not-accepted", "none"};
    return !kPassing.contains(reason);
}

std::string obstacle_of(const SideReport& side, const char* role) {
    for (const std::string& reason : side.obstacles) {
        if (reason == "blocking")
            return fmt::format(
                "the {} blocks: its socket is not O_NONBLOCK, so it stays in TCP, "
                "unless its rule tolerates that: sockaccel.toml(5)",
                role);
        if (reason != "user-namespace" && is_lasting(reason))
            return fmt::format("the {}'s socket cannot be enrolled: {}", role, reason);
    }
    return "";
}

// A splice user reads nothing of what is redirected, on any kernel; others depend on the kernel.
std::string hazard_of(const SideReport& side, const char* role, const ConversationsReport& report) {
    if (has(side.hazards, "splice"))
        return fmt::format(
            "the {} reads with splice(2), which never sees redirected data: it loses by a rule",
            role);
    if (has(side.hazards, "oob"))
        return fmt::format("the {} uses urgent data (MSG_OOB), which redirect does not have", role);
    for (const char* word : {"fionread", "waitall"})
        if (const auto found = report.unhonoured.find(word);
            found != report.unhonoured.end() && has(side.hazards, word))
            return fmt::format("the {} uses {}, which this kernel gets wrong on redirected data",
                               role, found->second);
    return "";
}

std::string waste_of(const ConversationReport& it) {
    const std::uint64_t bytes = it.client.bytes + it.server.bytes;
    const std::uint64_t messages = it.client.messages + it.server.messages;
    const double seconds = seconds_of(it);
    if (it.brief > 0 && it.brief_bytes * 2 > bytes)
        return fmt::format(
            "its connections are too short: {} of {} ended within {:.1f} s, and only then one is "
            "enrolled",
            it.brief, it.connections,
            static_cast<double>(SA_MIN_AGE_NS + SA_OPEN_DELAY_NS) / SA_SEC);
    switch (pattern_of(it)) {
        case Pattern::none:
            return "there was no traffic";
        case Pattern::trickle:
            return fmt::format(
                "one-way traffic in small writes ({}): redirect would be slower",
                typical_size(it.client.messages > it.server.messages ? it.client : it.server));
        case Pattern::exchange:
        case Pattern::bulk:
            break;
    }
    if (static_cast<double>(messages) < kLeastMessages * seconds &&
        static_cast<double>(bytes) < kLeastBytes * seconds)
        return fmt::format("there is hardly any traffic: {} messages a second, {}",
                           rate(messages, seconds), bytes_rate(bytes, seconds));
    return "";
}

// --- rules

struct Unit {
    std::string unit, cgroup;  // one of them
};

// Of the system's manager: a unit below slices alone. Scopes are made anew with another name.
Unit unit_of(const std::string& cgroup) {
    std::size_t begin = 0;
    while (begin < cgroup.size()) {
        const std::size_t end = std::min(cgroup.find('/', begin), cgroup.size());
        const std::string part = cgroup.substr(begin, end - begin);
        const std::string_view type = unit_type(part);
        if (type == "service" || type == "socket") {
            try {
                const UnitPattern unit = UnitPattern::parse(part);
                if (!unit.is_glob() && !part.starts_with("user@"))
                    return {part, ""};
            } catch (const std::invalid_argument&) {
            }
            break;
        }
        if (type != "slice")
            break;
        begin = end + 1;
    }
    return {"", "/" + cgroup};
}

std::string last_part(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

std::string rule_name(const std::string& server, std::uint16_t port, std::set<std::string>& taken) {
    constexpr std::size_t kLongest = 50;  // of 63, with what is added
    std::string name = last_part(server);
    for (const char* suffix : {".service", ".socket", ".scope", ".slice"})
        if (name.ends_with(suffix))
            name.resize(name.size() - std::string_view(suffix).size());
    for (char& c : name)
        if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' &&
            c != '_' && c != '.')
            c = '-';
    name = fmt::format("{}-{}", name.empty() ? "server" : name.substr(0, kLongest), port);
    for (int next = 2; !taken.insert(name).second; ++next)
        name += fmt::format("-{}", next);
    return name;
}

struct Proposal {
    const ConversationReport* conversation;
    Judgement judgement;
};

void add(Words& words, const std::string& word) {
    if (!word.empty() && !has(words, word))
        words.push_back(word);
}

std::string describe(const Proposal& proposal) {
    const ConversationReport& it = *proposal.conversation;
    const double seconds = seconds_of(it);
    std::string text = toml_comment(
        fmt::format("  from {}: {}, {} and {} messages a second each way, mostly {} and {}, {}",
                    place_name(it.client.cgroup), counted(it.connections, "connection"),
                    rate(it.client.messages, seconds), rate(it.server.messages, seconds),
                    typical_size(it.client), typical_size(it.server),
                    bytes_rate(it.client.bytes + it.server.bytes, seconds)));
    text +=
        toml_comment(fmt::format("    {}: expect {}", to_string(pattern_of(it)),
                                 pattern_of(it) == Pattern::bulk ? kGainOfBulk : kGainOfExchange));
    for (const std::string& remark : proposal.judgement.remarks)
        text += toml_comment("    " + remark);
    return text;
}

constexpr std::pair<const char*, const char*> kHowToCheck[] = {
    {"fionread", "strace -f -e trace=ioctl -p PID shows no FIONREAD (nginx, Java and .NET use it)"},
    {"splice",
     "strace -f -e trace=splice -p PID shows none that reads from a socket (HAProxy, Go's io.Copy, "
     "docker-proxy)"},
    {"waitall", "strace -f -e trace=recvfrom,recvmsg -p PID shows no MSG_WAITALL"},
};

std::string tolerate_text(const std::vector<Proposal>& proposals,
                          const ConversationsReport& report) {
    Words needed;
    std::string text;
    for (const Proposal& proposal : proposals)
        for (const auto& [word, evidence] : proposal.judgement.tolerate)
            if (!has(needed, word)) {
                needed.push_back(word);
                text += toml_comment(fmt::format("tolerate {}: {}", word, evidence));
            }
    std::string mark;
    if (!report.is_watched && !report.unhonoured.empty()) {
        text += toml_comment(
            "NOT SEEN: this kernel does not let the witness load, so whether these programs use "
            "the "
            "following was not");
        text += toml_comment(
            "seen; redirect would break them. Check, and then take the mark off the next line: "
            "until then the rule is refused.");
        for (const auto& [word, how] : kHowToCheck)
            if (const auto found = report.unhonoured.find(word); found != report.unhonoured.end()) {
                add(needed, word);
                text += toml_comment(fmt::format("  {}: {}", found->second, how));
            }
        mark = "# ";
    }
    std::sort(needed.begin(), needed.end());
    return needed.empty() ? text : text + mark + "tolerate = " + toml_strings(needed) + "\n";
}

std::string rule_text(const std::vector<Proposal>& proposals, const ConversationsReport& report,
                      const std::vector<RuleReport>& rules, const std::string& prove,
                      std::set<std::string>& taken) {
    const ConversationReport& first = *proposals.front().conversation;
    const std::string server = place_name(first.server.cgroup);
    std::string text = toml_comment(fmt::format("{}, port {}", server, first.port));
    Words units, cgroups, networks;
    for (const Proposal& proposal : proposals) {
        text += describe(proposal);
        for (const SideReport* side :
             {&proposal.conversation->server, &proposal.conversation->client}) {
            const Unit place = unit_of(side->cgroup);
            add(units, place.unit);
            add(cgroups, place.cgroup);
        }
        for (const RuleReport& rule : rules)
            if (rule.name == proposal.conversation->rule)
                for (const std::string& network : rule.networks)
                    add(networks, network);
    }
    text += "[[rule]]\nname = " + toml_string(rule_name(server, first.port, taken)) + "\n";
    if (!units.empty())
        text += "units = " + toml_strings(units) + "\n";
    if (!cgroups.empty())
        text += "cgroups = " + toml_strings(cgroups) + "\n";
    text += fmt::format("ports = [{}]\n", first.port);
    if (!networks.empty())
        text += "networks = " + toml_strings(networks) + "\n";
    if (!prove.empty())
        text += "prove = " + toml_string(prove) + "\n";
    return text + tolerate_text(proposals, report);
}

std::uint64_t messages_of(const ConversationReport& it) {
    return it.client.messages + it.server.messages;
}

std::string head(const ConversationsReport& report, const std::vector<RuleReport>& rules,
                 std::size_t proposed, std::size_t refused) {
    Words observing;
    for (const RuleReport& rule : rules)
        if (rule.action == "observe" && rule.holder.empty())
            observing.push_back(rule.name);
    std::string text =
        proposed + refused == 0
            ? toml_comment(
                  "No traffic was seen; of connections that were open before not all can be.")
            : toml_comment(
                  fmt::format("By what was observed, {} worth having, and {} not worth one.",
                              proposed == 1 ? "1 rule is" : fmt::format("{} rules are", proposed),
                              refused == 1 ? "1 conversation is"
                                           : fmt::format("{} conversations are", refused)));
    if (proposed > 0) {
        text += toml_comment(
            "What to expect is the medians that the project measured on loopback (Linux 6.18, two "
            "CPUs) for such a pattern;");
        text += toml_comment("`sockaccelctl bench` measures this host.");
    }
    if (!observing.empty())
        text += toml_comment(fmt::format(
            "Put it in place of what observes ({}): the first rule that matches decides.",
            fmt::join(observing, ", ")));
    if (report.lost > 0)
        text += toml_comment(
            fmt::format("{} found the table of observations full, and {} not in here.",
                        counted(report.lost, "connection"), report.lost == 1 ? "is" : "are"));
    return text;
}

}  // namespace

Pattern pattern_of(const ConversationReport& it) {
    // As the steward judges an open connection: see pattern() in steward.bpf.c.
    const auto [less, more] = std::minmax(it.client.messages, it.server.messages);
    if (more == 0)
        return Pattern::none;
    if (less * 16 >= more)
        return Pattern::exchange;
    return (it.client.bytes + it.server.bytes) / more >= SA_LARGE_WRITE ? Pattern::bulk
                                                                        : Pattern::trickle;
}

std::string_view to_string(Pattern pattern) {
    switch (pattern) {
        case Pattern::none:
            return "none";
        case Pattern::exchange:
            return "request/response";
        case Pattern::bulk:
            return "stream of large writes";
        case Pattern::trickle:
            return "stream of small writes";
    }
    return "?";
}

std::string typical_size(const SideReport& side) {
    const std::uint64_t all = std::accumulate(side.sizes.begin(), side.sizes.end(), 0ULL);
    std::uint64_t seen = 0;
    for (std::size_t at = 0; at < side.sizes.size(); ++at) {
        seen += side.sizes[at];
        if (seen * 2 >= all && all > 0)
            return fmt::format("{}-{}", format_bytes(1ULL << at), format_bytes(2ULL << at));
    }
    return "-";
}

std::string place_name(const std::string& cgroup) {
    if (cgroup.empty())
        return "a cgroup that is gone";
    const Unit place = unit_of(cgroup);
    return place.unit.empty() ? place.cgroup : place.unit;
}

Judgement judge(const ConversationReport& it, const ConversationsReport& report) {
    Judgement result;
    const auto refuse = [&](const std::string& why) {
        if (result.refusal.empty())
            result.refusal = why;
    };
    if (it.client.cgroup.empty() || it.server.cgroup.empty())
        refuse("one of its cgroups is gone, so no rule can name it");
    refuse(hazard_of(it.client, "client", report));
    refuse(hazard_of(it.server, "server", report));
    refuse(waste_of(it));
    const bool is_stalling =
        has(it.client.obstacles, "user-namespace") || has(it.server.obstacles, "user-namespace");
    if (it.eligible == 0 && !is_stalling) {
        refuse(obstacle_of(it.client, "client"));
        refuse(obstacle_of(it.server, "server"));
        if (it.looks == 0)
            refuse("no connection lasted long enough to be looked at: observe it for longer");
    } else if (has(it.client.obstacles, "blocking") || has(it.server.obstacles, "blocking")) {
        result.remarks.emplace_back(
            "some of its connections block: they stay in TCP, unless \"blocking\" is tolerated");
    }
    if (is_stalling)
        result.tolerate.emplace_back(
            "stall",
            "the ends are in different user namespaces, and one can hold up the other; do they "
            "trust each other?");
    for (const char* word : {"fionread", "waitall"})
        if (has(it.client.hazards, word) || has(it.server.hazards, word))
            result.tolerate.emplace_back(
                word,
                "the witness saw it used, and by the self-test this kernel honours it: "
                "`sockaccelctl probe`");
    return result;
}

std::string suggestion_toml(const ConversationsReport& report, const std::vector<RuleReport>& rules,
                            const std::string& prove) {
    std::vector<const ConversationReport*> order;
    for (const ConversationReport& it : report.conversations)
        order.push_back(&it);
    std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
        return static_cast<double>(messages_of(*a)) / seconds_of(*a) >
               static_cast<double>(messages_of(*b)) / seconds_of(*b);
    });
    std::vector<std::vector<Proposal>> proposed;  // one for each server's port
    std::vector<Proposal> refused;
    for (const ConversationReport* it : order) {
        Proposal proposal{it, judge(*it, report)};
        if (!proposal.judgement.refusal.empty()) {
            refused.push_back(std::move(proposal));
            continue;
        }
        const auto same = std::find_if(proposed.begin(), proposed.end(), [&](const auto& other) {
            const ConversationReport& first = *other.front().conversation;
            return first.port == it->port &&
                   place_name(first.server.cgroup) == place_name(it->server.cgroup);
        });
        if (same != proposed.end())
            same->push_back(std::move(proposal));
        else
            proposed.push_back({std::move(proposal)});
    }
    std::string text = head(report, rules, proposed.size(), refused.size());
    std::set<std::string> taken;
    for (const auto& proposals : proposed)
        text += "\n" + rule_text(proposals, report, rules, prove, taken);
    if (!refused.empty())
        text += "\n# Not worth a rule:\n";
    for (const Proposal& it : refused)
        text += toml_comment(fmt::format("  {} -> {}, port {}: {}",
                                         place_name(it.conversation->client.cgroup),
                                         place_name(it.conversation->server.cgroup),
                                         it.conversation->port, it.judgement.refusal));
    return text;
}

}  // namespace sockaccel::ctl
