// SPDX-License-Identifier: GPL-2.0-or-later
#include "legacy.hpp"

#include <gtest/gtest.h>

#include "legacy_file.hpp"

namespace sockaccel {
namespace {

Legacy everything() {
    Rule rule;
    rule.name = "every.thing";
    rule.units = {UnitPattern::parse("redis.service"), UnitPattern::parse("web@.service")};
    rule.cgroups = {CgroupGlob::parse("a.slice/*"), CgroupGlob::parse("/b\\x2dc")};
    rule.ports.add({1, 65535});
    rule.ports.add({80, 80});
    rule.networks = {Network::parse("127.0.0.0/8"), Network::parse("::1/128")};
    rule.action = Action::bypass;
    rule.priority = -7;
    rule.queue_bytes = 1ULL << 40;
    rule.prove = std::chrono::hours(100);
    rule.tolerate = {Hazard::fionread, Hazard::stall};
    Rule bare;
    bare.name = "bare";
    KernelVerdict verdict;
    verdict.state = KernelVerdict::State::unusable;
    verdict.flaw = "order: \"another\" one";
    verdict.unhonoured = {{Hazard::waitall, "MSG_WAITALL"}};
    verdict.has_fentry = true;
    return {{{RuleId{63}, 0, rule}, {RuleId{0}, 1, bare}}, verdict};
}

TEST(Legacy, SaysAllAgain) {
    EXPECT_EQ(Legacy::parse(everything().text()), everything());
    EXPECT_EQ(Legacy::parse(Legacy{}.text()), Legacy{});
}

TEST(Legacy, LeavesTheFindingsOut) {
    Legacy legacy;
    legacy.verdict.findings = {{"order", "right", "", true}};
    EXPECT_EQ(Legacy::parse(legacy.text()), Legacy{});
}

TEST(Legacy, IsRefusedIfItIsDamagedOrOfAnotherVersion) {
    const std::string text = everything().text();
    const auto changed = [&](const std::string& from, const std::string& to) {
        std::string other = text;
        const std::size_t at = other.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        return other.replace(at, from.size(), to);
    };
    for (const std::string& bad :
         {std::string{}, text.substr(0, text.size() - 1), changed("\"version\":1", "\"version\":2"),
          changed("\"id\":63", "\"id\":64"), changed("\"id\":63", "\"id\":-1"),
          changed("\"id\":63", "\"id\":0"), changed("\"rank\":0", "\"rank\":\"\""),
          changed("\"action\":2", "\"action\":3"), changed("127.0.0.0/8", "127.0.0.1/8"),
          changed("\"prove_ms\"", "\"prove\""),
          changed("\"prove_ms\":360000000", "\"prove_ms\":9223372036854775807"),
          changed("\"prove_ms\":360000000", "\"prove_ms\":-1"),
          changed("\"priority\":-7", "\"priority\":1e300"),
          changed("\"priority\":-7", "\"priority\":4294967296"),
          changed("\"rank\":0", "\"rank\":4294967296"), changed("[1,65535]", "[9,8]"),
          changed("[1,65535]", "[1,65536]"), changed("[1,65535]", "[0,1]")})
        EXPECT_THROW(static_cast<void>(Legacy::parse(bad)), std::runtime_error) << bad;
}

TEST(LegacyFile, HoldsTwoGenerations) {
    const Fd fd = LegacyFile::make();
    const LegacyFile file(fd.get());
    EXPECT_THROW(static_cast<void>(file.read(0)), std::runtime_error);
    file.write(7, Legacy{});
    file.write(8, everything());
    EXPECT_EQ(LegacyFile(fd.get()).read(7), Legacy{});
    EXPECT_EQ(LegacyFile(fd.get()).read(8), everything());
    file.write(9, everything());
    EXPECT_EQ(file.read(9), everything());
    EXPECT_THROW(static_cast<void>(file.read(7)), std::runtime_error);
}

TEST(LegacyFile, IsRefusedIfItIsCutOff) {
    const Fd fd = LegacyFile::make();
    LegacyFile(fd.get()).write(2, everything());
    check(::ftruncate(fd.get(), 100), "cut it off");
    EXPECT_THROW(static_cast<void>(LegacyFile(fd.get()).read(2)), std::runtime_error);
}

}  // namespace
}  // namespace sockaccel
