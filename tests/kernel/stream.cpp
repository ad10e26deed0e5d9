// SPDX-License-Identifier: GPL-2.0-or-later
#include "stream.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <functional>
#include <vector>

namespace sockaccel::test {

namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::uint64_t kWord = sizeof(std::uint64_t);
constexpr std::uint64_t kSearched = 8U << 20;  // how far from its place a byte is looked for

// splitmix64's output function.
std::uint64_t mix(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31U);
}

}  // namespace

// Mixed, lest the streams of two close seeds be the same one, shifted.
Stream::Stream(std::uint64_t seed) : seed_(mix(seed)) {}

std::byte Stream::at(std::uint64_t position) const {
    return static_cast<std::byte>(mix(seed_ + position / kWord) >> (position % kWord * 8));
}

void Stream::fill(std::uint64_t position, std::span<std::byte> bytes) const {
    std::size_t i = 0;
    for (; i < bytes.size() && (position + i) % kWord != 0; i++)
        bytes[i] = at(position + i);
    for (; i + kWord <= bytes.size(); i += kWord) {
        const std::uint64_t word = mix(seed_ + (position + i) / kWord);
        std::memcpy(&bytes[i], &word, kWord);
    }
    for (; i < bytes.size(); i++)
        bytes[i] = at(position + i);
}

std::string Stream::differs(std::uint64_t position, std::span<const std::byte> bytes) const {
    thread_local std::vector<std::byte> expected;
    if (expected.size() < bytes.size())
        expected.resize(bytes.size());
    const std::span<std::byte> want(expected.data(), bytes.size());
    fill(position, want);
    if (std::memcmp(want.data(), bytes.data(), bytes.size()) == 0)
        return {};
    const auto [there, here] = std::mismatch(want.begin(), want.end(), bytes.begin());
    const auto offset = static_cast<std::uint64_t>(there - want.begin());
    return fmt::format("byte {} is wrong ({} bytes into a read of {}); {}", position + offset,
                       offset, bytes.size(), origin(position + offset, {here, bytes.end()}));
}

std::string Stream::origin(std::uint64_t position, std::span<const std::byte> bytes) const {
    const auto sample = bytes.first(std::min<std::size_t>(bytes.size(), 64));
    if (sample.size() < kWord)
        return fmt::format("only {} bytes follow, too few to tell their origin", sample.size());
    const std::uint64_t from = position > kSearched ? position - kSearched : 0;
    std::vector<std::byte> around(kSearched * 2);
    fill(from, around);
    const auto found = std::search(around.begin(), around.end(),
                                   std::boyer_moore_searcher(sample.begin(), sample.end()));
    if (found == around.end())
        return "what is there is from elsewhere";
    const std::uint64_t origin = from + static_cast<std::uint64_t>(found - around.begin());
    return origin > position ? fmt::format("the {} bytes before {} are missing or come later",
                                           origin - position, origin)
                             : fmt::format("byte {} is there, {} earlier: repeated or late", origin,
                                           position - origin);
}

}  // namespace sockaccel::test
