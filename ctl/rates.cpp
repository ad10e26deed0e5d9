// SPDX-License-Identifier: GPL-2.0-or-later
#include "rates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "quantity.hpp"

namespace sockaccel::ctl {

namespace {

std::uint64_t grown(std::uint64_t before, std::uint64_t now) {
    return now >= before ? now - before : now;
}

std::string main_reason(const Counts& before, const Counts& now) {
    std::string result;
    std::uint64_t most = 0;
    for (const auto& [reason, count] : now) {
        const auto known = before.find(reason);
        const std::uint64_t more = grown(known == before.end() ? 0 : known->second, count);
        if (more > most) {
            most = more;
            result = reason;
        }
    }
    return result;
}

std::string bytes_text(double bytes) {
    return format_bytes(static_cast<std::uint64_t>(bytes));
}

std::string share_text(const RuleRates& rule) {
    return rule.redirected_bytes + rule.tcp_bytes > 0
               ? fmt::format("{:.0f}%", 100 * rule.redirected_share())
               : "-";
}

}  // namespace

double RuleRates::redirected_share() const {
    const double all = redirected_bytes + tcp_bytes;
    return all > 0 ? redirected_bytes / all : 0;
}

RatesReport rates(const Snapshot& before, const Snapshot& now) {
    RatesReport report{now.status, now.at - before.at, {}};
    const double seconds = std::max(report.over.count(), 1e-3);
    for (const RuleReport& rule : now.status.rules) {
        const auto known =
            std::find_if(before.status.rules.begin(), before.status.rules.end(),
                         [&](const RuleReport& other) { return other.name == rule.name; });
        const RuleReport old = known == before.status.rules.end() ? RuleReport{} : *known;
        const auto rate = [&](std::uint64_t RuleReport::*counter) {
            return static_cast<double>(grown(old.*counter, rule.*counter)) / seconds;
        };
        RuleRates& row = report.rules.emplace_back();
        row.name = rule.name;
        row.state = rule.state;
        row.live = rule.live();
        row.redirected_bytes = rate(&RuleReport::redirected_bytes);
        row.redirected_messages = rate(&RuleReport::redirected_messages);
        row.tcp_bytes = rate(&RuleReport::tcp_bytes);
        row.tcp_messages = rate(&RuleReport::tcp_messages);
        row.enrolled = rate(&RuleReport::enrolled);
        row.left = rate(&RuleReport::left);
        row.reason = main_reason(old.reasons, rule.reasons);
    }
    return report;
}

std::string rates_screen(const RatesReport& report, const View& view) {
    const StatusReport& status = report.status;
    double redirected = 0, left = 0;
    std::uint64_t live = 0;
    for (const RuleRates& rule : report.rules) {
        redirected += rule.redirected_bytes;
        left += rule.tcp_bytes;
        live += rule.live;
    }
    std::string head =
        fmt::format("sockaccel: {} accelerated, {}/s redirected, {}/s left to TCP, {} of {} queued",
                    live, bytes_text(redirected), bytes_text(left),
                    format_bytes(status.budget_used_bytes), format_bytes(status.budget_bytes));
    if (!status.problems.empty())
        head += fmt::format("; problems: {}", status.problems.size());
    Table table({{"RULE", Align::left, 6},
                 {"STATE"},
                 {"LIVE", Align::right},
                 {"REDIRECTED/s", Align::right},
                 {"MSG/s", Align::right},
                 {"TCP/s", Align::right},
                 {"MSG/s", Align::right},
                 {"SHARE", Align::right},
                 {"WHY TCP", Align::left, 6}});
    for (const RuleRates& rule : report.rules)
        table.add({rule.name,
                   {rule.state, rule.state == "active" ? Color::green : Color::yellow},
                   std::to_string(rule.live),
                   bytes_text(rule.redirected_bytes),
                   fmt::format("{:.0f}", rule.redirected_messages),
                   bytes_text(rule.tcp_bytes),
                   fmt::format("{:.0f}", rule.tcp_messages),
                   share_text(rule),
                   rule.reason});
    return cut(head, view.width) + "\n" + cut("q ends it", view.width) + "\n\n" + table.text(view);
}

std::string rates_lines(const RatesReport& report) {
    std::string result;
    for (const RuleRates& rule : report.rules)
        result += fmt::format(
            "{} {} live={} redirected={:.0f}B/s messages={:.0f}/s tcp={:.0f}B/s "
            "tcp-messages={:.0f}/s{}\n",
            one_line(rule.name), rule.state, rule.live, rule.redirected_bytes,
            rule.redirected_messages, rule.tcp_bytes, rule.tcp_messages,
            rule.reason.empty() ? "" : " why=" + rule.reason);
    return result.empty() ? "no rules\n" : result;
}

std::string rates_json(const RatesReport& report) {
    using Json = nlohmann::ordered_json;
    Json rules = Json::array();
    for (const RuleRates& rule : report.rules)
        rules.push_back({{"name", rule.name},
                         {"state", rule.state},
                         {"live", rule.live},
                         {"redirected_bytes_per_second", rule.redirected_bytes},
                         {"redirected_messages_per_second", rule.redirected_messages},
                         {"tcp_bytes_per_second", rule.tcp_bytes},
                         {"tcp_messages_per_second", rule.tcp_messages},
                         {"enrolled_per_second", rule.enrolled},
                         {"left_per_second", rule.left},
                         {"reason", rule.reason}});
    return Json{{"seconds", report.over.count()},
                {"budget_used_bytes", report.status.budget_used_bytes},
                {"budget_bytes", report.status.budget_bytes},
                {"rules", std::move(rules)}}
               .dump(-1, ' ', false, Json::error_handler_t::replace) +
           "\n";
}

}  // namespace sockaccel::ctl
