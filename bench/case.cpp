// SPDX-License-Identifier: GPL-2.0-or-later
#include "case.hpp"

#include <algorithm>
#include <stdexcept>

#include "quantity.hpp"

namespace sockaccel::bench {
namespace {

constexpr std::size_t kKiB = 1024, kMiB = 1024 * kKiB;
constexpr std::size_t kMostSizes = 16;

std::vector<Case> cases_of(const std::vector<std::size_t>& requests,
                           const std::vector<std::size_t>& writes) {
    std::vector<Case> cases;
    for (const std::size_t bytes : requests)
        cases.push_back({Pattern::request_response, bytes, Reader::eager});
    for (const std::size_t bytes : writes)
        cases.push_back({Pattern::stream, bytes, Reader::eager});
    return cases;
}

std::size_t size_of(const std::string& text) {
    try {
        const std::uint64_t bytes = parse_bytes(text);
        if (bytes >= 1 && bytes <= kLargestMessage)
            return bytes;
    } catch (const std::invalid_argument& error) {
        throw std::invalid_argument("size `" + text + "`: " + error.what());
    }
    throw std::invalid_argument("size `" + text + "` is not between 1 and " +
                                format_bytes(kLargestMessage));
}

}  // namespace

std::string_view to_string(Pattern pattern) {
    return pattern == Pattern::request_response ? "request_response" : "stream";
}

std::vector<Case> usual_cases(Extent extent) {
    if (extent == Extent::quick)
        return cases_of({64, 16 * kKiB}, {kKiB, 256 * kKiB});
    return cases_of({1, 64, kKiB, 4 * kKiB, 16 * kKiB, 64 * kKiB},
                    {64, kKiB, 16 * kKiB, 64 * kKiB, 256 * kKiB, kMiB});
}

std::vector<Case> cases_of_sizes(std::string_view sizes) {
    std::vector<std::size_t> parsed;
    while (true) {
        const std::size_t end = std::min(sizes.find(','), sizes.size());
        parsed.push_back(size_of(std::string(sizes.substr(0, end))));
        if (end == sizes.size())
            break;
        sizes.remove_prefix(end + 1);
    }
    std::ranges::sort(parsed);
    parsed.erase(std::unique(parsed.begin(), parsed.end()), parsed.end());
    if (parsed.size() > kMostSizes)
        throw std::invalid_argument("more than " + std::to_string(kMostSizes) + " sizes");
    return cases_of(parsed, parsed);
}

}  // namespace sockaccel::bench
