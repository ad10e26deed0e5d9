// SPDX-License-Identifier: GPL-2.0-or-later
#include "likely_meant.hpp"

#include <algorithm>
#include <limits>

namespace sockaccel {
namespace {

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// How many letters are missing, too many, wrong or swapped with their neighbour; case is ignored.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<std::size_t>> distance(a.size() + 1,
                                                   std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i)
        for (std::size_t j = 0; j <= b.size(); ++j) {
            if (i == 0 || j == 0) {
                distance[i][j] = i + j;
                continue;
            }
            const bool is_same = lower(a[i - 1]) == lower(b[j - 1]);
            distance[i][j] = std::min({distance[i - 1][j] + 1, distance[i][j - 1] + 1,
                                       distance[i - 1][j - 1] + (is_same ? 0 : 1)});
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1]))
                distance[i][j] = std::min(distance[i][j], distance[i - 2][j - 2] + 1);
        }
    return distance[a.size()][b.size()];
}

}  // namespace

std::optional<std::string_view> likely_meant(std::string_view text,
                                             const std::vector<std::string_view>& words) {
    std::optional<std::string_view> best;
    std::size_t best_distance = std::numeric_limits<std::size_t>::max();
    for (const std::string_view word : words) {
        if (text.size() > 2 * word.size())
            continue;
        const std::size_t distance = edit_distance(text, word);
        if (distance <= std::max<std::size_t>(1, word.size() / 3) && distance < best_distance) {
            best = word;
            best_distance = distance;
        }
    }
    return best;
}

}  // namespace sockaccel
