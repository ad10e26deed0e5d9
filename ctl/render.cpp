// SPDX-License-Identifier: GPL-2.0-or-later
#include "render.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "eligibility.hpp"
#include "quantity.hpp"
#include "sockaccel.h"
#include "suggestion.hpp"
#include "utf8.hpp"

namespace sockaccel::ctl {

namespace {

using Json = nlohmann::ordered_json;
using std::chrono::microseconds;

// --- text

std::string joined(const std::vector<std::string>& texts, const std::string& if_empty) {
    return texts.empty() ? if_empty : fmt::format("{}", fmt::join(texts, ", "));
}

// The two largest units are enough: "12s", "3m20s", "2h05m", "4d03h".
std::string age_text(microseconds age) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(age).count();
    if (seconds < 60)
        return fmt::format("{}s", seconds);
    if (seconds < 3600)
        return fmt::format("{}m{:02}s", seconds / 60, seconds % 60);
    if (seconds < 86400)
        return fmt::format("{}h{:02}m", seconds / 3600, seconds / 60 % 60);
    return fmt::format("{}d{:02}h", seconds / 86400, seconds / 3600 % 24);
}

std::string counted(std::uint64_t count, const std::string& noun) {
    return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

// Why rules do not run, and which of them are temporary.
std::string notes(const std::vector<RuleReport>& rules) {
    std::string result;
    for (const RuleReport& rule : rules)
        if (!rule.holder.empty())
            result +=
                fmt::format("{}{} is temporary: it ends with {} on the bus, which holds it\n",
                            result.empty() ? "\n" : "", one_line(rule.name), one_line(rule.holder));
    for (const RuleReport& rule : rules)
        if (!rule.why.empty())
            result += fmt::format("{}{} is {}: {}\n", result.empty() ? "\n" : "",
                                  one_line(rule.name), rule.state, one_line(rule.why));
    return result;
}

std::string paused_text(const std::vector<std::string>& paused) {
    return paused.front().empty() ? "everything" : joined(paused, "");
}

constexpr std::size_t kShownFiles = 3;

std::string files_text(const std::vector<std::string>& files) {
    if (files.empty())
        return "no file";
    const std::size_t shown = std::min(files.size(), kShownFiles);
    std::string result = one_line(fmt::format(
        "{}", fmt::join(files.begin(), files.begin() + static_cast<std::ptrdiff_t>(shown), ", ")));
    if (files.size() > shown)
        result += fmt::format(" and {} more", files.size() - shown);
    return result;
}

constexpr std::size_t kShownForeign = 5;

Color color_of_kernel(const std::string& state) {
    return state == "usable" ? Color::green : state == "testing" ? Color::yellow : Color::red;
}

Color color_of_rule(const std::string& state) {
    return state == "active" ? Color::green : state == "refused" ? Color::red : Color::yellow;
}

Color color_of_event(const std::string& event) {
    if (event == "enrolled")
        return Color::green;
    return event == "left" ? Color::yellow : Color::none;
}

Color color_of_connection(const std::string& state) {
    if (state == "enrolled")
        return Color::green;
    return state == "unpaired" ? Color::red : Color::none;
}

std::string local_time(std::chrono::microseconds since_epoch) {
    const time_t seconds = since_epoch.count() / 1'000'000;
    tm local{};
    localtime_r(&seconds, &local);
    return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", local.tm_year + 1900,
                       local.tm_mon + 1, local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec);
}

std::string last_reload_text(const StatusReport& status) {
    return status.last_reload.count() == 0 ? "" : ", read " + local_time(status.last_reload);
}

constexpr const char* kNoRules = "no rules: nothing is accelerated, see sockaccel.toml(5)\n";

// --- JSON

std::string dump(const Json& json) {
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json to_json(const RuleReport& rule) {
    return {{"name", rule.name},
            {"state", rule.state},
            {"why", rule.why},
            {"action", rule.action},
            {"holder", rule.holder},
            {"priority", rule.priority},
            {"units", rule.units},
            {"cgroups", rule.cgroups},
            {"ports", rule.ports},
            {"networks", rule.networks},
            {"tolerate", rule.tolerate},
            {"queue_bytes", rule.queue_bytes},
            {"prove_usec", rule.prove.count()},
            {"selected_count", rule.selected_count},
            {"selected_cgroups", rule.selected_cgroups},
            {"live", rule.live()},
            {"paired", rule.paired},
            {"enrolled", rule.enrolled},
            {"left", rule.left},
            {"redirected_messages", rule.redirected_messages},
            {"redirected_bytes", rule.redirected_bytes},
            {"tcp_messages", rule.tcp_messages},
            {"tcp_bytes", rule.tcp_bytes},
            {"reasons", rule.reasons}};
}

Json to_json(const std::vector<RuleReport>& rules) {
    Json array = Json::array();
    for (const RuleReport& rule : rules)
        array.push_back(to_json(rule));
    return array;
}

Json to_json(const EndReport& end) {
    return {{"address", end.address},
            {"port", end.port},
            {"peer_address", end.peer_address},
            {"peer_port", end.peer_port},
            {"cookie", end.cookie},
            {"netns", end.netns},
            {"uid", end.uid},
            {"cgroup", end.cgroup},
            {"unit", end.unit},
            {"pid", end.pid},
            {"process", end.process},
            {"queued_bytes", end.queued_bytes},
            {"redirected_messages", end.redirected_messages},
            {"redirected_bytes", end.redirected_bytes},
            {"tcp_messages", end.tcp_messages},
            {"tcp_bytes", end.tcp_bytes},
            {"reasons", end.reasons}};
}

Json to_json(const ConnectionReport& connection) {
    return {{"rule", connection.rule},
            {"state", connection.state},
            {"reason", connection.reason},
            {"reason_text", connection.reason_text},
            {"besides", connection.besides},
            {"age_usec", connection.age.count()},
            {"client", to_json(connection.client)},
            {"server", to_json(connection.server)}};
}

// --- a policy's values as they are written

std::vector<std::string> units_of(const Rule& rule) {
    std::vector<std::string> texts;
    for (const UnitPattern& unit : rule.units)
        texts.push_back(unit.text());
    return texts;
}

std::vector<std::string> cgroups_of(const Rule& rule) {
    std::vector<std::string> texts;
    for (const CgroupGlob& glob : rule.cgroups)
        texts.push_back(glob.text());
    return texts;
}

// The units first, as they are what most rules name.
std::vector<std::string> selectors_of(const RuleReport& rule) {
    std::vector<std::string> texts = rule.units;
    texts.insert(texts.end(), rule.cgroups.begin(), rule.cgroups.end());
    return texts;
}

std::vector<std::string> ports_of(const Rule& rule) {
    std::vector<std::string> texts;
    for (const PortRange& range : rule.ports.ranges())
        texts.push_back(range.text());
    return texts;
}

std::vector<std::string> networks_of(const Rule& rule) {
    std::vector<std::string> texts;
    for (const Network& network : rule.networks)
        texts.push_back(network.text());
    return texts;
}

std::vector<std::string> hazards_of(const Rule& rule) {
    std::vector<std::string> texts;
    for (const Hazard hazard : rule.tolerate)
        texts.emplace_back(to_string(hazard));
    return texts;
}

// --- rules

Table whole_table(const std::vector<RuleReport>& rules) {
    Table table({{"RULE"},
                 {"STATE"},
                 {"ACTION"},
                 {"PRIORITY", Align::right},
                 {"PORTS"},
                 {"NETWORKS"},
                 {"SELECTS"},
                 {"NOW", Align::right},
                 {"LIVE", Align::right},
                 {"PAIRED", Align::right},
                 {"REDIRECTED", Align::right},
                 {"LEFT TO TCP", Align::right}});
    for (const RuleReport& rule : rules)
        table.add({rule.name,
                   {rule.state, color_of_rule(rule.state)},
                   rule.action,
                   std::to_string(rule.priority),
                   joined(rule.ports, "every"),
                   joined(rule.networks, "-"),
                   joined(selectors_of(rule), "-"),
                   std::to_string(rule.selected_count),
                   std::to_string(rule.live()),
                   std::to_string(rule.paired),
                   format_bytes(rule.redirected_bytes),
                   format_bytes(rule.tcp_bytes)});
    return table;
}

// What a rule matches is below it.
Table narrow_table(const std::vector<RuleReport>& rules) {
    Table table({{"RULE", Align::left, 8},
                 {"STATE"},
                 {"ACTION"},
                 {"PRIORITY", Align::right},
                 {"LIVE", Align::right},
                 {"PAIRED", Align::right},
                 {"REDIRECTED", Align::right},
                 {"LEFT TO TCP", Align::right}});
    for (const RuleReport& rule : rules)
        table.add({rule.name,
                   {rule.state, color_of_rule(rule.state)},
                   rule.action,
                   std::to_string(rule.priority),
                   std::to_string(rule.live()),
                   std::to_string(rule.paired),
                   format_bytes(rule.redirected_bytes),
                   format_bytes(rule.tcp_bytes)},
                  {fmt::format("{}: now {}", joined(selectors_of(rule), "-"),
                               counted(rule.selected_count, "cgroup")),
                   fmt::format("ports {}; networks {}", joined(rule.ports, "every"),
                               joined(rule.networks, "-"))});
    return table;
}

// --- connections

template <typename Value>
std::string both(const Value& client, const Value& server) {
    return fmt::format("{}/{}", client, server);
}

std::string bytes_both(std::uint64_t client, std::uint64_t server) {
    return both(format_bytes(client), format_bytes(server));
}

std::string ends_of(const ConnectionReport& connection) {
    const EndReport& client = connection.client;
    return endpoint(client.address, client.port) + " -> " +
           endpoint(client.peer_address, client.peer_port);
}

std::string reason_of(const ConnectionReport& connection) {
    return connection.reason == "none" ? "" : connection.reason;
}

std::vector<Table::Column> columns_of_all() {
    return {{"RULE", Align::left, 8},
            {"CLIENT -> SERVER"},
            {"STATE"},
            {"REASON"},
            {"AGE", Align::right}};
}

std::vector<Table::Cell> cells_of_all(const ConnectionReport& connection) {
    return {connection.rule,
            ends_of(connection),
            {connection.state, color_of_connection(connection.state)},
            reason_of(connection),
            age_text(connection.age)};
}

std::vector<Table::Cell> traffic_of(const ConnectionReport& connection) {
    const EndReport& client = connection.client;
    const EndReport& server = connection.server;
    return {bytes_both(client.redirected_bytes, server.redirected_bytes),
            both(client.redirected_messages, server.redirected_messages),
            bytes_both(client.tcp_bytes, server.tcp_bytes),
            both(client.tcp_messages, server.tcp_messages)};
}

const std::vector<Table::Column> kTrafficColumns = {
    {"REDIRECTED ->/<-"}, {"MESSAGES"}, {"LEFT TO TCP ->/<-"}, {"MESSAGES"}};

template <typename Range>
void append(std::vector<Table::Column>& columns, const Range& more) {
    columns.insert(columns.end(), more.begin(), more.end());
}

void append(std::vector<Table::Cell>& cells, const std::vector<Table::Cell>& more) {
    cells.insert(cells.end(), more.begin(), more.end());
}

Table whole_table(const ConnectionsReport& report) {
    std::vector<Table::Column> columns = columns_of_all();
    append(columns, kTrafficColumns);
    append(columns, std::vector<Table::Column>{{"CLIENT"}, {"SERVER"}});
    Table table(std::move(columns));
    for (const ConnectionReport& connection : report.connections) {
        std::vector<Table::Cell> cells = cells_of_all(connection);
        append(cells, traffic_of(connection));
        append(cells, {who_text(connection.client), who_text(connection.server)});
        table.add(std::move(cells));
    }
    return table;
}

// Three lines a connection.
Table narrow_table(const ConnectionsReport& report) {
    Table table(columns_of_all());
    for (const ConnectionReport& connection : report.connections) {
        const std::vector<Table::Cell> traffic = traffic_of(connection);
        table.add(
            cells_of_all(connection),
            {who_text(connection.client) + " -> " + who_text(connection.server),
             fmt::format("redirected {} in {} messages, left to TCP {} in {}", traffic[0].text,
                         traffic[1].text, traffic[2].text, traffic[3].text)});
    }
    return table;
}

Table wide_table(const ConnectionsReport& report) {
    std::vector<Table::Column> columns = columns_of_all();
    append(columns, kTrafficColumns);
    append(columns, std::vector<Table::Column>{{"CLIENT"},
                                               {"SERVER"},
                                               {"SERVER'S VIEW"},
                                               {"CLIENT CGROUP"},
                                               {"SERVER CGROUP"},
                                               {"COOKIES"},
                                               {"UIDS"}});
    Table table(std::move(columns));
    for (const ConnectionReport& connection : report.connections) {
        const EndReport& client = connection.client;
        const EndReport& server = connection.server;
        std::vector<Table::Cell> cells = cells_of_all(connection);
        append(cells, traffic_of(connection));
        append(cells, {who_text(client), who_text(server),
                       endpoint(server.peer_address, server.peer_port) + " -> " +
                           endpoint(server.address, server.port),
                       "/" + client.cgroup, "/" + server.cgroup, both(client.cookie, server.cookie),
                       both(client.uid, server.uid)});
        table.add(std::move(cells));
    }
    return table;
}

}  // namespace

std::string endpoint(const std::string& address, std::uint16_t port) {
    const bool is_ipv6 = address.find(':') != std::string::npos;
    return is_ipv6 ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port);
}

std::string who_text(const EndReport& end) {
    if (end.cookie == 0)
        return "(not seen here)";
    const std::string place = end.unit.empty() ? "/" + end.cgroup : end.unit;
    return end.pid == 0 ? place : fmt::format("{}[{}] {}", end.process, end.pid, place);
}

bool StatusReport::is_well() const {
    return problems.empty() && std::none_of(rules.begin(), rules.end(), [](const RuleReport& rule) {
               return rule.state == "refused";
           });
}

std::string status_text(const StatusReport& status, const View& view) {
    std::uint64_t live = 0, redirected = 0, left = 0;
    for (const RuleReport& rule : status.rules) {
        live += rule.live();
        redirected += rule.redirected_bytes;
        left += rule.tcp_bytes;
    }
    std::string result =
        fmt::format("sockaccel {} on Linux {}", one_line(status.version), one_line(status.kernel));
    if (!status.kernel_state.empty())
        result += fmt::format(" ({})", colored(one_line(status.kernel_state),
                                               color_of_kernel(status.kernel_state), view));
    result += "\n";
    const auto line = [&](const char* key, const std::string& value) {
        result += fmt::format("{:<12} {}\n", key, one_line(value));
    };
    line("policy", fmt::format("{}, generation {}{}", files_text(status.policy_files),
                               status.generation, last_reload_text(status)));
    line("connections", fmt::format("{} accelerated, {} in the kernel's table", live,
                                    counted(status.pairs, "pair")));
    line("bytes", fmt::format("{} redirected, {} left to TCP", format_bytes(redirected),
                              format_bytes(left)));
    line("memory",
         fmt::format("{} of {} used by queued data", format_bytes(status.budget_used_bytes),
                     format_bytes(status.budget_bytes)));
    if (!status.paused.empty())
        line("paused", paused_text(status.paused));
    line("problems", status.problems.empty() ? "none" : std::to_string(status.problems.size()));
    for (const std::string& problem : status.problems)
        result += "  " + colored(one_line(problem), Color::red, view) + "\n";
    if (!status.foreign.empty())
        line("foreign", counted(status.foreign.size(), "program") + " of others");
    const std::size_t shown = std::min(status.foreign.size(), kShownForeign);
    for (std::size_t at = 0; at < shown; ++at)
        result += fmt::format("  {}\n", one_line(status.foreign[at]));
    if (status.foreign.size() > shown)
        result +=
            fmt::format("  and {} more: --json has them all\n", status.foreign.size() - shown);
    result += "\n";
    if (status.rules.empty())
        return result + kNoRules;

    Table table({{"RULE", Align::left, 8},
                 {"STATE"},
                 {"LIVE", Align::right},
                 {"ENROLLED", Align::right},
                 {"REDIRECTED", Align::right},
                 {"LEFT TO TCP", Align::right}});
    for (const RuleReport& rule : status.rules)
        table.add({rule.name,
                   {rule.state, color_of_rule(rule.state)},
                   std::to_string(rule.live()),
                   std::to_string(rule.enrolled),
                   format_bytes(rule.redirected_bytes),
                   format_bytes(rule.tcp_bytes)});
    return result + table.text(view) + notes(status.rules);
}

std::string status_json(const StatusReport& status) {
    return dump({{"version", status.version},
                 {"kernel", status.kernel},
                 {"kernel_state", status.kernel_state},
                 {"policy_files", status.policy_files},
                 {"generation", status.generation},
                 {"last_reload_usec", status.last_reload.count()},
                 {"well", status.is_well()},
                 {"paused", status.paused},
                 {"foreign", status.foreign},
                 {"problems", status.problems},
                 {"pairs", status.pairs},
                 {"budget_used_bytes", status.budget_used_bytes},
                 {"budget_bytes", status.budget_bytes},
                 {"halves_expired", status.halves_expired},
                 {"limit_hits", status.limit_hits},
                 {"pass_usec", status.pass_usec},
                 {"rules", to_json(status.rules)}});
}

std::string rules_text(const std::vector<RuleReport>& rules, const View& view) {
    if (rules.empty())
        return kNoRules;
    const Table table = whole_table(rules);
    const bool fits = view.width == 0 || table.width() <= view.width;
    return (fits ? table : narrow_table(rules)).text(view) + notes(rules);
}

std::string rules_json(const std::vector<RuleReport>& rules) {
    return dump({{"rules", to_json(rules)}});
}

std::string connections_text(const ConnectionsReport& report, bool is_wide, const View& view) {
    std::string result = fmt::format(
        "no covered connections; those that have not carried {} segments with data yet "
        "are not listed\n",
        SA_TALK_SEGMENTS);
    if (!report.connections.empty()) {
        const Table table = is_wide ? wide_table(report) : whole_table(report);
        const bool fits = is_wide || view.width == 0 || table.width() <= view.width;
        result = fits ? table.text(view) : narrow_table(report).text(view);
    } else if (report.filtered > 0) {
        result = "no such connection\n";
    }
    if (report.omitted > 0)
        result +=
            fmt::format("{} more not shown: the list is too long for one answer\n", report.omitted);
    if (report.hidden > 0)
        result +=
            fmt::format("{} more of other users: see them as root, or with --all\n", report.hidden);
    return result;
}

std::string connections_json(const ConnectionsReport& report) {
    Json array = Json::array();
    for (const ConnectionReport& connection : report.connections)
        array.push_back(to_json(connection));
    return dump({{"connections", std::move(array)},
                 {"filtered", report.filtered},
                 {"omitted", report.omitted},
                 {"hidden", report.hidden}});
}

std::string conversations_text(const ConversationsReport& report, const View& view) {
    if (report.conversations.empty())
        return "no traffic was seen; of connections that were open before not all can be\n";
    Table table({{"CLIENT", Align::left},
                 {"SERVER", Align::left},
                 {"PORT", Align::right},
                 {"CONNECTIONS", Align::right},
                 {"BYTES ->/<-", Align::left},
                 {"MESSAGES ->/<-", Align::left},
                 {"MOSTLY ->/<-", Align::left},
                 {"PATTERN", Align::left},
                 {"USES", Align::left}});
    std::string verdicts;
    for (const ConversationReport& it : report.conversations) {
        const auto both = [](const auto& client, const auto& server) {
            return fmt::format("{}/{}", client, server);
        };
        std::vector<std::string> uses = it.client.hazards;
        for (const std::string& hazard : it.server.hazards)
            if (std::find(uses.begin(), uses.end(), hazard) == uses.end())
                uses.push_back(hazard);
        const std::string client = place_name(it.client.cgroup);
        const std::string server = place_name(it.server.cgroup);
        table.add({client, server, std::to_string(it.port), std::to_string(it.connections),
                   both(format_bytes(it.client.bytes), format_bytes(it.server.bytes)),
                   both(it.client.messages, it.server.messages),
                   both(typical_size(it.client), typical_size(it.server)),
                   std::string(to_string(pattern_of(it))),
                   joined(uses, report.is_watched ? "-" : "?")});
        const std::string refusal = judge(it, report).refusal;
        verdicts += one_line(fmt::format(
                        "{} -> {}, port {}: {}{}", client, server, it.port,
                        refusal.empty() ? "worth a rule" : "not worth a rule: ", refusal)) +
                    "\n";
    }
    if (!report.is_watched)
        verdicts +=
            "What they use of splice(2), FIONREAD and MSG_WAITALL was not seen: this kernel does "
            "not let the witness load.\n";
    if (report.lost > 0)
        verdicts += counted(report.lost, "connection") + " not in here: the table was full.\n";
    return table.text(view) + "\n" + verdicts;
}

std::string conversations_json(const ConversationsReport& report,
                               const std::vector<RuleReport>& rules, const std::string& prove) {
    const auto side = [](const SideReport& it) {
        return Json{{"cgroup", it.cgroup},  {"bytes", it.bytes}, {"messages", it.messages},
                    {"turns", it.turns},    {"sizes", it.sizes}, {"obstacles", it.obstacles},
                    {"hazards", it.hazards}};
    };
    Json array = Json::array();
    for (const ConversationReport& it : report.conversations) {
        const Judgement judgement = judge(it, report);
        Json tolerate = Json::object();
        for (const auto& [word, evidence] : judgement.tolerate)
            tolerate[word] = evidence;
        array.push_back({{"rule", it.rule},
                         {"port", it.port},
                         {"connections", it.connections},
                         {"closed", it.closed},
                         {"brief", it.brief},
                         {"brief_bytes", it.brief_bytes},
                         {"lasted_usec", it.lasted.count()},
                         {"age_usec", it.age.count()},
                         {"idle_usec", it.idle.count()},
                         {"looks", it.looks},
                         {"eligible", it.eligible},
                         {"pattern", to_string(pattern_of(it))},
                         {"worth_a_rule", judgement.refusal.empty()},
                         {"refusal", judgement.refusal},
                         {"tolerate", std::move(tolerate)},
                         {"client", side(it.client)},
                         {"server", side(it.server)}});
    }
    return dump({{"conversations", std::move(array)},
                 {"lost", report.lost},
                 {"witness", report.is_watched},
                 {"unhonoured", report.unhonoured},
                 {"policy", suggestion_toml(report, rules, prove)}});
}

std::string event_text(const EventReport& event, const View& view) {
    const auto since_epoch =
        std::chrono::duration_cast<microseconds>(event.time.time_since_epoch()).count();
    const time_t seconds = since_epoch / 1'000'000;
    tm local{};
    localtime_r(&seconds, &local);
    std::string line = fmt::format(
        "{:02}:{:02}:{:02}.{:06} {} {} {} -> {}", local.tm_hour, local.tm_min, local.tm_sec,
        since_epoch % 1'000'000,
        colored(fmt::format("{:<8}", one_line(event.event)), color_of_event(event.event), view),
        event.rule.empty() ? "-" : one_line(event.rule),
        endpoint(one_line(event.client_address), event.client_port),
        endpoint(one_line(event.server_address), event.server_port));
    if (event.reason != "none" && !event.reason.empty())
        line += fmt::format(" {}: {}", one_line(event.reason), one_line(event.reason_text));
    return line + "\n";
}

std::string event_json(const EventReport& event) {
    const auto since_epoch =
        std::chrono::duration_cast<microseconds>(event.time.time_since_epoch()).count();
    const time_t seconds = since_epoch / 1'000'000;
    tm utc{};
    gmtime_r(&seconds, &utc);
    const Json json = {
        {"time", fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", utc.tm_year + 1900,
                             utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                             since_epoch % 1'000'000)},
        {"monotonic_usec", event.monotonic.count()},
        {"event", event.event},
        {"rule", event.rule},
        {"client_address", event.client_address},
        {"client_port", event.client_port},
        {"server_address", event.server_address},
        {"server_port", event.server_port},
        {"client_cookie", event.client_cookie},
        {"server_cookie", event.server_cookie},
        {"client_uid", event.client_uid},
        {"server_uid", event.server_uid},
        {"reason", event.reason},
        {"reason_text", event.reason_text}};
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string probe_text(const ProbeReport& report, const View& view) {
    Table table({{"CHECK"}, {""}, {"RESULT"}, {"CONSEQUENCE"}}),
        narrow({{"CHECK"}, {""}, {"RESULT"}});
    for (const Finding& finding : report.findings) {
        std::vector<Table::Cell> cells = {
            finding.check,
            {finding.ok ? "right" : "wrong", finding.ok ? Color::green : Color::red},
            finding.result};
        std::vector<std::string> consequence;
        if (!finding.consequence.empty())
            consequence.push_back(finding.consequence);
        narrow.add(cells, consequence);
        cells.emplace_back(consequence.empty() ? "-" : finding.consequence);
        table.add(std::move(cells));
    }
    const bool fits = view.width == 0 || table.width() <= view.width;
    return (fits ? table : narrow).text(view) + (report.is_usable
                                                     ? "\nthis kernel is usable\n"
                                                     : "\nthis kernel is unusable: nothing is "
                                                       "accelerated\n");
}

std::string probe_json(const ProbeReport& report) {
    Json findings = Json::array();
    for (const Finding& finding : report.findings)
        findings.push_back({{"check", finding.check},
                            {"ok", finding.ok},
                            {"result", finding.result},
                            {"consequence", finding.consequence}});
    return dump({{"usable", report.is_usable}, {"findings", std::move(findings)}});
}

std::string changes_text(const std::vector<std::string>& changes) {
    if (changes.empty())
        return "nothing changed\n";
    std::string result;
    for (const std::string& change : changes)
        result += one_line(change) + "\n";
    return result;
}

std::string changes_json(const std::vector<std::string>& changes) {
    return dump({{"changes", changes}});
}

std::string diff_text(const std::vector<std::string>& changes) {
    return changes.empty() ? "" : changes_text(changes);
}

std::string policy_text(const std::string& source, const EffectivePolicy& effective) {
    const Policy& policy = effective.policy;
    std::string result = fmt::format(
        "{}: {}{}\nlimits: {} connections, {} of queued data\n", one_line(source),
        counted(policy.rules.size(), "rule"), policy.rules.size() > 1 ? ", in deciding order" : "",
        policy.limits.connections, format_bytes(policy.limits.memory_bytes));
    std::size_t place = 0;
    for (const Rule& rule : policy.rules) {
        result += fmt::format("\n{}. {}: {}\n", ++place, rule.name, to_string(rule.action));
        const auto line = [&result](const char* key, const std::string& value) {
            result += fmt::format("   {:<9} {}\n", key, one_line(value));
        };
        if (effective.files.size() > 1)
            line("from", effective.rules.at(rule.name).text());
        if (!rule.units.empty())
            line("units", joined(units_of(rule), ""));
        if (!rule.cgroups.empty())
            line("cgroups", joined(cgroups_of(rule), ""));
        line("ports", joined(ports_of(rule), "every"));
        line("networks", joined(networks_of(rule), "-"));
        if (rule.priority != 0)
            line("priority", std::to_string(rule.priority));
        if (rule.action != Action::bypass) {
            line("queue", format_bytes(rule.queue_bytes));
            line("prove", format_duration(rule.prove));
            line("tolerate", joined(hazards_of(rule), "nothing"));
        }
        const std::string why = refusal(rule, KernelVerdict{});
        if (!why.empty())
            line("refused:", why);
    }
    for (const std::string& what : effective.overridden)
        result += fmt::format("{}{}\n", &what == &effective.overridden.front() ? "\n" : "",
                              one_line(what));
    return result;
}

std::string policy_json(const std::string& source, const EffectivePolicy& effective) {
    const Policy& policy = effective.policy;
    Json rules = Json::array();
    for (const Rule& rule : policy.rules)
        rules.push_back({{"name", rule.name},
                         {"origin", effective.rules.at(rule.name).text()},
                         {"action", to_string(rule.action)},
                         {"priority", rule.priority},
                         {"units", units_of(rule)},
                         {"cgroups", cgroups_of(rule)},
                         {"ports", ports_of(rule)},
                         {"networks", networks_of(rule)},
                         {"tolerate", hazards_of(rule)},
                         {"queue_bytes", rule.queue_bytes},
                         {"prove_usec", microseconds(rule.prove).count()},
                         {"refusal", refusal(rule, KernelVerdict{})}});
    return dump({{"source", source},
                 {"files", effective.files},
                 {"overridden", effective.overridden},
                 {"doubts", effective.doubts},
                 {"limits",
                  {{"connections", policy.limits.connections},
                   {"memory_bytes", policy.limits.memory_bytes}}},
                 {"rules", std::move(rules)}});
}

}  // namespace sockaccel::ctl
