// SPDX-License-Identifier: GPL-2.0-or-later
#include "port_set.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <stdexcept>
#include <system_error>

#include <fmt/format.h>

namespace sockaccel {
namespace {

[[noreturn]] void refuse(std::string_view text) {
    throw std::invalid_argument(fmt::format(
        "\"{}\" is neither a port nor a range of ports: write 6379 or \"7000-7100\"", text));
}

std::uint16_t parse_port(std::string_view text, std::string_view whole) {
    if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos)
        refuse(whole);
    std::uint16_t port = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), port).ec != std::errc())
        throw std::invalid_argument(fmt::format("port {} is above 65535", text));
    if (port == 0)
        throw std::invalid_argument("port 0 is below 1");
    return port;
}

}  // namespace

PortRange PortRange::parse(std::string_view text) {
    const std::size_t dash = text.find('-');
    if (dash == std::string_view::npos) {
        const std::uint16_t port = parse_port(text, text);
        return {port, port};
    }
    const PortRange range{parse_port(text.substr(0, dash), text),
                          parse_port(text.substr(dash + 1), text)};
    if (range.first > range.last)
        throw std::invalid_argument(fmt::format("port range {} is reversed: did you mean {}-{}?",
                                                text, range.last, range.first));
    return range;
}

std::string PortRange::text() const {
    return first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
}

void PortSet::add(PortRange range) {
    // "Before" with a gap: what is neither before nor after `range` overlaps it or touches it.
    const auto is_before = [](const PortRange& a, const PortRange& b) {
        return a.last + 1 < b.first;
    };
    const auto touching = std::equal_range(ranges_.begin(), ranges_.end(), range, is_before);
    if (touching.first != touching.second) {
        range.first = std::min(range.first, touching.first->first);
        range.last = std::max(range.last, std::prev(touching.second)->last);
    }
    ranges_.insert(ranges_.erase(touching.first, touching.second), range);
}

bool PortSet::covers(std::uint16_t port) const {
    if (ranges_.empty())
        return true;
    const auto after = std::upper_bound(
        ranges_.begin(), ranges_.end(), port,
        [](std::uint16_t wanted, const PortRange& range) { return wanted < range.first; });
    return after != ranges_.begin() && port <= std::prev(after)->last;
}

}  // namespace sockaccel
