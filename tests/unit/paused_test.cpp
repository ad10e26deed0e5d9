// SPDX-License-Identifier: GPL-2.0-or-later
#include "paused.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "pause_file.hpp"
#include "temporary_directory.hpp"

namespace sockaccel {
namespace {

using Names = std::set<std::string>;
const std::vector<std::string> kKnown = {"db", "redis", "web"};

Names names_after(const std::string& before, const std::vector<std::string>& acts) {
    Paused paused = Paused::parse(before);
    for (const std::string& act : acts)
        if (act[0] == '+')
            paused.pause(act.substr(1), kKnown);
        else
            paused.resume(act.substr(1), kKnown);
    return paused.names();
}

TEST(Paused, IsASetOfNames) {
    EXPECT_EQ(names_after("", {"+redis", "+db", "+redis"}), (Names{"db", "redis"}));
    EXPECT_EQ(names_after("db\nredis\n", {"-redis", "-redis"}), Names{"db"});
}

TEST(Paused, EverythingTakesTheNamesIn) {
    EXPECT_EQ(names_after("db\n", {"+"}), Names{""});
    EXPECT_EQ(names_after("*\n", {"+db"}), Names{""});
    EXPECT_EQ(names_after("*\n", {"-"}), Names{});
    EXPECT_EQ(names_after("db\n", {"-"}), Names{});
    EXPECT_EQ(Paused::parse("db\n*\n").names(), Names{""});
    EXPECT_TRUE(Paused::parse("*\n").has("anything"));
}

TEST(Paused, OneRuleCanBeResumedOutOfEverything) {
    EXPECT_EQ(names_after("*\n", {"-web"}), (Names{"db", "redis"}));
}

TEST(Paused, ARuleThatIsGoneCanBeResumedButNotPaused) {
    EXPECT_EQ(names_after("gone\ndb\n", {"-gone"}), Names{"db"});
    Paused paused = Paused::parse("*\n");
    EXPECT_THROW(paused.pause("gone", kKnown), NoSuchRule);
    EXPECT_THROW(paused.resume("gone", kKnown), NoSuchRule);
    EXPECT_EQ(paused.names(), Names{""});
}

// A message on the bus may be as long as the bus takes at all: with more, the bus would let us go.
TEST(Paused, QuotesTheBeginningOfALongName) {
    Paused paused;
    try {
        paused.pause(std::string(1UL << 20, 'x'), kKnown);
        FAIL() << "there is such a rule";
    } catch (const NoSuchRule& error) {
        EXPECT_EQ(error.what(), "there is no rule \"" + std::string(64, 'x') + "...\"");
    }
}

TEST(Paused, WritesWhatItReads) {
    for (const char* text : {"", "*\n", "a.b-c_9\nredis\n"})
        EXPECT_EQ(Paused::parse(text).text(), text);
    EXPECT_EQ(Paused::parse("redis").names(), Names{"redis"});
    for (const char* text : {"\n", "a b\n", "a*\n", "redis\n\nweb\n", "\xc3\xa9\n"})
        EXPECT_THROW(static_cast<void>(Paused::parse(text)), std::invalid_argument) << text;
}

// --- the file

TEST(PauseFile, KeepsWhatIsPausedForTheOwnerOnly) {
    const TemporaryDirectory directory;
    const PauseFile file(directory.path() / "run");
    EXPECT_EQ(file.read(), Paused{});
    file.write(Paused::parse("db\n"));
    file.write(Paused::parse("db\nweb\n"));
    EXPECT_EQ(PauseFile(directory.path() / "run").read(), Paused::parse("db\nweb\n"));
    struct stat status {};
    ASSERT_EQ(::stat((directory.path() / "run/paused").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST(PauseFile, IsGoneWhenNothingIsPaused) {
    const TemporaryDirectory directory;
    const PauseFile file(directory.path());
    file.write({});
    file.write(Paused::parse("db\n"));
    file.write({});
    EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(PauseFile, AWriteThatWasInterruptedDoesNotMatter) {
    const TemporaryDirectory directory;
    const PauseFile file(directory.path());
    file.write(Paused::parse("db\n"));
    static_cast<void>(directory.write("paused.new", "half a na"));
    EXPECT_EQ(file.read(), Paused::parse("db\n"));
    file.write(Paused::parse("web\n"));
    EXPECT_EQ(file.read(), Paused::parse("web\n"));
}

TEST(PauseFile, ThatCannotBeTrustedPausesEverything) {
    const TemporaryDirectory directory;
    const PauseFile file(directory.path());
    testing::internal::CaptureStderr();
    static_cast<void>(directory.write("paused", "no name\n"));
    EXPECT_EQ(file.read(), Paused::parse("*\n"));
    static_cast<void>(directory.write("paused", "db\n"));
    ::chmod((directory.path() / "paused").c_str(), 0666);
    EXPECT_EQ(file.read(), Paused::parse("*\n"));
    directory.remove("paused");
    directory.make("paused");
    EXPECT_EQ(file.read(), Paused::parse("*\n"));
    const std::string told = testing::internal::GetCapturedStderr();
    EXPECT_NE(told.find("a line of it is no name of a rule"), std::string::npos) << told;
}

}  // namespace
}  // namespace sockaccel
