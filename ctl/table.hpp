// SPDX-License-Identifier: GPL-2.0-or-later
// Text for a terminal, or for a pipe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sockaccel::ctl {

// Where text goes.
struct View {
    std::size_t width = 0;  // columns; 0: as wide as it takes
    bool has_color = false;
};

enum class Color { none, bold, green, yellow, red, gray };
[[nodiscard]] std::string colored(const std::string& text, Color color, const View& view);

// Fit for a terminal: UTF-8, no control characters.
[[nodiscard]] std::string one_line(std::string_view text);

// In columns of a terminal; of one_line()'s output, without colors.
[[nodiscard]] std::size_t width_of(std::string_view text);

// At most so wide; what is cut is told by "…" at its end. A width of 0 leaves it as it is.
[[nodiscard]] std::string cut(const std::string& text, std::size_t width);

// Lines that fit, broken at blanks, indented, with a newline at the end.
[[nodiscard]] std::string wrapped(const std::string& text, std::size_t indent, const View& view);

enum class Align { left, right };

// Columns that line up. If they do not fit the view, those that may be cut are, the widest first;
// if that is not enough, what is too far right is not shown.
class Table {
  public:
    struct Column {
        std::string head;
        Align align = Align::left;
        std::size_t least = 0;  // what it may be cut to; 0: it is not cut
    };
    struct Cell {
        Cell(std::string shown, Color in = Color::none) : text(std::move(shown)), color(in) {}
        Cell(const char* shown) : text(shown) {}
        std::string text;
        Color color = Color::none;
    };

    explicit Table(std::vector<Column> columns);

    // `notes`: lines that belong to the row, below it, wrapped.
    void add(std::vector<Cell> cells, std::vector<std::string> notes = {});

    [[nodiscard]] std::size_t width() const;  // uncut
    [[nodiscard]] std::string text(const View& view) const;

  private:
    struct Row {
        std::vector<Cell> cells;
        std::vector<std::string> notes;
    };
    [[nodiscard]] std::vector<std::size_t> widths() const;
    [[nodiscard]] std::string line(const Row& row, const std::vector<std::size_t>& widths,
                                   const View& view) const;

    std::vector<Column> columns_;
    std::vector<Row> rows_;  // the head first
};

}  // namespace sockaccel::ctl
