// SPDX-License-Identifier: GPL-2.0-or-later
#include "paused.hpp"

#include <algorithm>

#include "likely_meant.hpp"
#include "utf8.hpp"

namespace sockaccel {
namespace {

constexpr std::string_view kEverythingWritten = "*";
constexpr std::size_t kMaxQuotedBytes = 64;  // of a name that is no rule's

void expect_known(const std::string& rule, const std::vector<std::string>& known) {
    if (std::find(known.begin(), known.end(), rule) != known.end())
        return;
    const auto meant = likely_meant(rule, {known.begin(), known.end()});
    throw NoSuchRule("there is no rule \"" + shortened(rule, kMaxQuotedBytes) + "\"" +
                     (meant ? ": did you mean \"" + std::string(*meant) + "\"?" : ""));
}

// Names of rules have no others, and no two lines run together.
bool is_name(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return c > ' ' && c < 0x7f && c != kEverythingWritten[0];
    });
}

}  // namespace

void Paused::pause(const std::string& rule, const std::vector<std::string>& known) {
    if (rule == kEverything) {
        names_ = {rule};
        return;
    }
    expect_known(rule, known);
    if (!everything())
        names_.insert(rule);
}

void Paused::resume(const std::string& rule, const std::vector<std::string>& known) {
    if (rule == kEverything) {
        names_.clear();
        return;
    }
    if (!names_.contains(rule))
        expect_known(rule, known);
    if (everything())
        names_ = {known.begin(), known.end()};
    names_.erase(rule);
}

bool Paused::has(const std::string& rule) const {
    return everything() || names_.contains(rule);
}

bool Paused::everything() const {
    return names_.contains(std::string(kEverything));
}

std::string Paused::text() const {
    std::string text;
    for (const std::string& name : names_)
        text += (name == kEverything ? std::string(kEverythingWritten) : name) + "\n";
    return text;
}

Paused Paused::parse(std::string_view text) {
    Paused paused;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        const std::string_view line = text.substr(0, end);
        if (line == kEverythingWritten)
            paused.names_.emplace(kEverything);
        else if (is_name(line))
            paused.names_.emplace(line);
        else
            throw std::invalid_argument("a line of it is no name of a rule");
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    }
    if (paused.everything())
        paused.names_ = {std::string(kEverything)};
    return paused;
}

}  // namespace sockaccel
