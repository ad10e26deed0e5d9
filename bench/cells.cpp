// SPDX-License-Identifier: GPL-2.0-or-later
#include "cells.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace sockaccel::bench {
namespace {

std::vector<std::size_t> widths_of(const std::vector<Cells>& rows) {
    std::vector<std::size_t> widths(rows.front().size());
    for (const Cells& row : rows)
        for (std::size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], row[i].size());
    return widths;
}

}  // namespace

std::size_t width_of(const std::vector<Cells>& rows) {
    std::size_t sum = 0;
    for (const std::size_t width : widths_of(rows))
        sum += width + 2;
    return sum - 2;
}

std::string aligned(const std::vector<Cells>& rows) {
    const std::vector<std::size_t> widths = widths_of(rows);
    std::string text;
    for (const Cells& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i)  // numbers to the right, the last is text
            line += i + 1 == row.size()
                        ? "  " + row[i]
                        : fmt::format("{}{:>{}}", i == 0 ? "" : "  ", row[i], widths[i]);
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    }
    return text;
}

}  // namespace sockaccel::bench
