// SPDX-License-Identifier: GPL-2.0-or-later
#include "quantity.hpp"

#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace sockaccel {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr std::uint64_t kMaxBytes = std::numeric_limits<std::uint64_t>::max();

template <typename Parse>
std::string refusal(Parse parse, std::string_view text) {
    try {
        static_cast<void>(parse(text));
        return "accepted";
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
}

TEST(Bytes, AreReadInPowersOf1024) {
    const std::vector<std::pair<std::string_view, std::uint64_t>> cases = {
        {"0", 0},
        {"4096", 4096},
        {"1B", 1},
        {"64k", 65536},
        {"64K", 65536},
        {"256KiB", 262144},
        {"1MiB", 1048576},
        {"1mib", 1048576},
        {"1 MiB", 1048576},
        {"2G", 2147483648},
        {"1TiB", 1099511627776},
        {"15EiB", 15ULL << 60},
        {"18446744073709551615", kMaxBytes},
    };
    for (const auto& [text, bytes] : cases)
        EXPECT_EQ(parse_bytes(text), bytes) << text;
}

TEST(Bytes, SayWhatIsWrong) {
    const std::vector<std::pair<std::string_view, std::string>> cases = {
        {"", "expected a number and a unit, such as 1MiB"},
        {"MiB", "expected a number and a unit, such as 1MiB"},
        {" 1MiB", "expected a number and a unit, such as 1MiB"},
        {"+1", "expected a number and a unit, such as 1MiB"},
        {"-1MiB", "must not be negative"},
        {"1.5MiB", "fractions are not taken: use a smaller unit"},
        {"1,5MiB", "fractions are not taken: use a smaller unit"},
        {"1MB", "unit `MB` is ambiguous: write MiB"},
        {"64kb", "unit `kb` is ambiguous: write KiB"},
        {"1XiB", "unknown unit `XiB`: use B, KiB, MiB, GiB or TiB"},
        {"1MiB ", "unknown unit `MiB `: use B, KiB, MiB, GiB or TiB"},
        {"0x10", "unknown unit `x10`: use B, KiB, MiB, GiB or TiB"},
        {"18446744073709551616", "the number is too large"},
        {"16EiB", "the size is too large"},
        {"18446744073709551615K", "the size is too large"},
    };
    for (const auto& [text, message] : cases)
        EXPECT_EQ(refusal(parse_bytes, text), message) << text;
}

TEST(Bytes, AreWrittenInTheLargestUnitThatFits) {
    const std::vector<std::pair<std::uint64_t, std::string>> cases = {
        {0, "0B"},
        {1, "1B"},
        {1023, "1023B"},
        {1024, "1KiB"},
        {1536, "1.5KiB"},
        {65536, "64KiB"},
        {1048575, "1023.9KiB"},
        {1048576, "1MiB"},
        {1048577, "1.0MiB"},
        {1ULL << 40, "1TiB"},
        {15ULL << 60, "15EiB"},
        {kMaxBytes, "15.9EiB"},
    };
    for (const auto& [bytes, text] : cases)
        EXPECT_EQ(format_bytes(bytes), text);
}

TEST(Duration, IsReadInUnits) {
    const std::vector<std::pair<std::string_view, milliseconds>> cases = {
        {"0s", 0ms},        {"500ms", 500ms},
        {"5min", 5min},     {"5m", 5min},
        {"5 min", 5min},    {"1h 30min", 90min},
        {"1h30min", 90min}, {"1 hour 30 minutes", 90min},
        {"30d", 720h},      {"1day 1s 1msec", 24h + 1001ms},
        {"5min ", 5min},    {"106751991167d", milliseconds(106751991167LL * 86400000)},
    };
    for (const auto& [text, duration] : cases)
        EXPECT_EQ(parse_duration(text), duration) << text;
}

TEST(Duration, SaysWhatIsWrong) {
    const std::vector<std::pair<std::string_view, std::string>> cases = {
        {"", "expected a number and a unit, such as 5min"},
        {"min", "expected a number and a unit, such as 5min"},
        {" 5min", "expected a number and a unit, such as 5min"},
        {"-5min", "must not be negative"},
        {"1h -5min", "must not be negative"},
        {"300", "the unit is missing: did you mean 300s?"},
        {"0", "the unit is missing: did you mean 0s?"},
        {"1h 30", "the unit is missing: did you mean 30s?"},
        {"1.5h", "fractions are not taken: use a smaller unit"},
        {"5 parsecs", "unknown unit `parsecs`: use d, h, min, s or ms"},
        {"5M", "unknown unit `M`: use d, h, min, s or ms"},
        {"30min 1h", "write each unit once, the larger one first"},
        {"1h 1h", "write each unit once, the larger one first"},
        {"99999999999999999999s", "the number is too large"},
        {"18446744073709551615ms", "the duration is too large"},
        {"9223372036854775807d", "the duration is too large"},
        {"106751991167d 1d", "write each unit once, the larger one first"},
        {"106751991167d 24h", "the duration is too large"},
    };
    for (const auto& [text, message] : cases)
        EXPECT_EQ(refusal(parse_duration, text), message) << text;
}

TEST(Duration, IsWrittenInUnits) {
    const std::vector<std::pair<milliseconds, std::string>> cases = {
        {0ms, "0s"},
        {500ms, "500ms"},
        {1500ms, "1s 500ms"},
        {5min, "5min"},
        {90min, "1h 30min"},
        {720h, "30d"},
        {-90min, "-1h 30min"},
        {milliseconds::min(), "-106751991167d 7h 12min 55s 808ms"},
        {milliseconds::max(), "106751991167d 7h 12min 55s 807ms"},
    };
    for (const auto& [duration, text] : cases)
        EXPECT_EQ(format_duration(duration), text);
}

TEST(Duration, ReadsWhatItWrites) {
    for (const milliseconds duration : {0ms, 1ms, 61'001ms, 90'061'001ms, milliseconds::max()})
        EXPECT_EQ(parse_duration(format_duration(duration)), duration);
}

}  // namespace
}  // namespace sockaccel
