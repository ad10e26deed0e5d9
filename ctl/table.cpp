// SPDX-License-Identifier: GPL-2.0-or-later
#include "table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "utf8.hpp"

namespace sockaccel::ctl {

namespace {

constexpr std::size_t kGap = 2, kNoteIndent = 2;

const char* code_of(Color color) {
    switch (color) {
        case Color::bold:
            return "\033[1m";
        case Color::green:
            return "\033[32m";
        case Color::yellow:
            return "\033[33m";
        case Color::red:
            return "\033[31m";
        case Color::gray:
            return "\033[90m";
        case Color::none:
            break;
    }
    return "";
}

std::size_t sum_of(const std::vector<std::size_t>& widths) {
    return std::accumulate(widths.begin(), widths.end(), std::size_t{0}) +
           kGap * (widths.size() - 1);
}

}  // namespace

std::string colored(const std::string& text, Color color, const View& view) {
    if (!view.has_color || color == Color::none || text.empty())
        return text;
    return code_of(color) + text + "\033[0m";
}

std::string one_line(std::string_view text) {
    const std::string valid = valid_utf8(text);
    std::string result;
    for (std::string_view rest = valid; !rest.empty();) {
        const std::size_t length = utf8_length(rest);
        const auto first = static_cast<unsigned char>(rest[0]);
        // U+0080 … U+009F are the second set of control characters.
        const bool is_control = first < 0x20 || first == 0x7f ||
                                (first == 0xc2 && static_cast<unsigned char>(rest[1]) < 0xa0);
        if (is_control)
            for (const char byte : rest.substr(0, length))
                result += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
        else
            result += rest.substr(0, length);
        rest.remove_prefix(length);
    }
    return result;
}

std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) {
        return (static_cast<unsigned char>(byte) & 0xc0) != 0x80;
    }));
}

std::string cut(const std::string& text, std::size_t width) {
    if (width == 0 || width_of(text) <= width)
        return text;
    std::string result;
    std::string_view rest = text;
    for (std::size_t at = 1; at < width; ++at) {
        const std::size_t length = utf8_length(rest);
        result += rest.substr(0, length);
        rest.remove_prefix(length);
    }
    return result + "…";
}

std::string wrapped(const std::string& text, std::size_t indent, const View& view) {
    const std::string margin(indent, ' ');
    std::string result, line = margin;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find(' ', at), text.size());
        const std::string word = text.substr(at, end - at);
        const bool is_first = line.size() == indent;
        if (view.width > 0 && !is_first && width_of(line) + 1 + width_of(word) > view.width) {
            result += line + "\n";
            line = margin + word;
        } else {
            line += (is_first ? "" : " ") + word;
        }
        at = end + 1;
    }
    return result + line + "\n";
}

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {
    Row head;
    for (const Column& column : columns_)
        head.cells.emplace_back(column.head, Color::bold);
    rows_.push_back(std::move(head));
}

void Table::add(std::vector<Cell> cells, std::vector<std::string> notes) {
    for (Cell& cell : cells)
        cell.text = one_line(cell.text);
    for (std::string& note : notes)
        note = one_line(note);
    rows_.push_back({std::move(cells), std::move(notes)});
}

std::vector<std::size_t> Table::widths() const {
    std::vector<std::size_t> result(columns_.size());
    for (const Row& row : rows_)
        for (std::size_t at = 0; at < row.cells.size(); ++at)
            result[at] = std::max(result[at], width_of(row.cells[at].text));
    return result;
}

std::size_t Table::width() const {
    return sum_of(widths());
}

std::string Table::line(const Row& row, const std::vector<std::size_t>& widths,
                        const View& view) const {
    std::string result;
    std::size_t room = view.width;  // that is left on the line; meaningless if it is not limited
    std::size_t gap = 0;            // owed before the next cell that is not empty
    for (std::size_t at = 0; at < row.cells.size(); ++at) {
        const std::size_t space = at > 0 ? kGap : 0;
        std::string text = cut(row.cells[at].text, widths[at]);
        gap += space;
        std::size_t width = widths[at];
        if (view.width > 0) {
            if (gap >= room)
                break;
            if (gap + width > room) {
                width = room - gap;
                text = cut(text, width);
            }
        }
        const std::size_t padding = width - width_of(text);
        if (text.empty()) {
            gap += padding;
        } else {
            const bool is_right = columns_[at].align == Align::right;
            result += std::string(gap + (is_right ? padding : 0), ' ');
            result += colored(text, row.cells[at].color, view);
            room -= std::min(room, gap + width - (is_right ? 0 : padding));
            gap = is_right ? 0 : padding;
        }
    }
    return result + "\n";
}

std::string Table::text(const View& view) const {
    std::vector<std::size_t> wanted = widths();
    while (view.width > 0 && sum_of(wanted) > view.width) {
        std::size_t widest = columns_.size();
        for (std::size_t at = 0; at < columns_.size(); ++at)
            if (columns_[at].least > 0 && wanted[at] > columns_[at].least &&
                (widest == columns_.size() || wanted[at] > wanted[widest]))
                widest = at;
        if (widest == columns_.size())
            break;
        --wanted[widest];
    }
    std::string result;
    for (const Row& row : rows_) {
        result += line(row, wanted, view);
        for (const std::string& note : row.notes)
            result += wrapped(note, kNoteIndent, view);
    }
    return result;
}

}  // namespace sockaccel::ctl
