// SPDX-License-Identifier: GPL-2.0-or-later
// What is measured: a pattern of traffic, and the size of its messages.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sockaccel::bench {

enum class Pattern {
    request_response,  // by turns, request and response of the same size
    stream,            // one way, in writes of that size
};
[[nodiscard]] std::string_view to_string(Pattern pattern);  // "request_response"

// Of a stream: reads as fast as it can, or works on each byte for a nanosecond, so that the writer
// waits for it.
enum class Reader { eager, slow };

struct Case {
    Pattern pattern{};
    std::size_t bytes = 1;
    Reader reader = Reader::eager;

    bool operator==(const Case&) const = default;
};

inline constexpr std::size_t kLargestMessage = 16U << 20U;

enum class Extent { quick, usual };
[[nodiscard]] std::vector<Case> usual_cases(Extent extent);
// Both patterns in each of these sizes: "1,64,4KiB". Throws std::invalid_argument.
[[nodiscard]] std::vector<Case> cases_of_sizes(std::string_view sizes);

}  // namespace sockaccel::bench
