// SPDX-License-Identifier: GPL-2.0-or-later
#include "connection.hpp"

namespace sockaccel {
namespace {

struct ReasonWords {
    std::string_view name, text;
};

constexpr std::array<ReasonWords, SA_REASON_COUNT> kReasons = {{
#define X(symbol, name, text) {name, text},
    SA_REASONS(X)
#undef X
}};

// A newer kernel side may know more reasons.
constexpr ReasonWords kUnknown = {"unknown", "a reason that this version does not know"};

const ReasonWords& words_of(Reason reason) {
    const auto index = static_cast<std::size_t>(reason);
    return index < kReasons.size() ? kReasons[index] : kUnknown;
}

}  // namespace

std::string_view name_of(Reason reason) {
    return words_of(reason).name;
}

std::string_view text_of(Reason reason) {
    return words_of(reason).text;
}

std::string_view to_string(ConnectionState state) {
    switch (state) {
        case ConnectionState::unpaired:
            return "unpaired";
        case ConnectionState::paired:
            return "paired";
        case ConnectionState::opening:
            return "opening";
        case ConnectionState::enrolled:
            return "enrolled";
        case ConnectionState::draining:
            return "draining";
    }
    return "unknown";
}

std::string_view to_string(EventKind kind) {
    switch (kind) {
        case EventKind::paired:
            return "paired";
        case EventKind::enrolled:
            return "enrolled";
        case EventKind::left:
            return "left";
    }
    return "unknown";
}

}  // namespace sockaccel
