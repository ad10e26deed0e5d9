// SPDX-License-Identifier: GPL-2.0-or-later
#include "limit_watch.hpp"

#include <algorithm>

#include "quantity.hpp"

namespace sockaccel {
namespace {

constexpr std::array<std::string_view, SA_LIMIT_COUNT> kNames = {{
#define X(symbol, name) name,
    SA_LIMITS(X)
#undef X
}};

std::string counted(std::uint64_t count, const std::string& noun) {
    return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string text_of(Limit limit, std::uint64_t count, const Totals& totals) {
    switch (limit) {
        case SA_LIMIT_CONNECTIONS:
            return "the limit of " + counted(totals.max_pairs, "accelerated connection") +
                   " is reached: " + counted(count, "connection") +
                   " left in plain TCP; raise limits.connections and restart sockacceld";
        case SA_LIMIT_MEMORY:
            return "limits.memory, " + format_bytes(totals.budget_bytes) +
                   ", is used up by queued data: " + counted(count, "message") +
                   " left to TCP; raise it, or lower the rules' queue";
        case SA_LIMIT_HALVES:
            return "the table of halves was too small: " + counted(count, "end") +
                   " forgotten; raise limits.connections and restart sockacceld";
        case SA_LIMIT_TCP_MEMORY:
            return "the kernel is short of memory for TCP: " + counted(count, "message") +
                   " left to TCP; raise the sysctl net.ipv4.tcp_mem";
        case SA_LIMIT_CGROUP_MEMORY:
            return "the memory cgroup of a receiver is short of memory: " +
                   counted(count, "message") + " left to TCP; raise its memory.max";
        case SA_LIMIT_OWN_MEMORY:
            return "sockacceld has no memory left for connections: " + counted(count, "end") +
                   " left in plain TCP; raise MemoryMax= of sockaccel.service";
        case SA_LIMIT_COUNT:
            break;
    }
    return "?";
}

}  // namespace

std::string_view name_of(Limit limit) {
    return kNames.at(limit);
}

std::vector<std::string> LimitWatch::look(const Totals& totals, Instant now) {
    std::vector<std::string> lines;
    for (std::size_t index = 0; index < told_.size(); index++) {
        Told& told = told_[index];
        const std::uint64_t hits = totals.limit_hits[index];
        if (told.at && now < *told.at + kInterval)
            continue;
        if (hits == told.hits) {
            told.at.reset();
            continue;
        }
        told.text = text_of(static_cast<Limit>(index), hits - told.hits, totals);
        told.hits = hits;
        told.at = now;
        lines.push_back(told.text);
    }
    return lines;
}

std::optional<Instant> LimitWatch::next() const {
    std::optional<Instant> next;
    for (const Told& told : told_)
        if (told.at)
            next = std::min(next.value_or(Instant::max()), *told.at + kInterval);
    return next;
}

std::vector<std::string> LimitWatch::problems() const {
    std::vector<std::string> problems;
    for (const Told& told : told_)
        if (told.at)
            problems.push_back(told.text);
    return problems;
}

}  // namespace sockaccel
