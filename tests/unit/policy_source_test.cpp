// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy_source.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "temporary_directory.hpp"

namespace sockaccel {
namespace {

using Lines = std::vector<std::string>;

constexpr const char* kRule = "[[rule]]\nname = \"r\"\ncgroups = [\"a.slice\"]\n";
constexpr uid_t kNobody = 65534;

std::string rule(const std::string& name, const std::string& more = "") {
    return "[[rule]]\nname = \"" + name + "\"\ncgroups = [\"a.slice\"]\n" + more;
}

// The message; "" if it is taken.
std::string refusal(const PolicySource& source) {
    try {
        static_cast<void>(source.read_trusted());
        return "";
    } catch (const PolicyError& error) {
        return error.what();
    }
}

Lines names(const EffectivePolicy& effective) {
    Lines result;
    for (const Rule& rule : effective.policy.rules)
        result.push_back(rule.name);
    return result;
}

class PolicyFiles : public testing::Test {
  protected:
    PolicyFiles() { umask_ = ::umask(022); }
    ~PolicyFiles() override { ::umask(umask_); }

    [[nodiscard]] std::string path(const std::string& name) const {
        return directory_.path() / name;
    }
    std::string write(const std::string& name, const std::string& text, mode_t mode = 0644) const {
        std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
        const std::string file = directory_.write(name, text);
        EXPECT_EQ(::chmod(file.c_str(), mode), 0);
        return file;
    }
    [[nodiscard]] PolicySource tree() const { return PolicySource::tree(directory_.path()); }
    [[nodiscard]] static std::string refusal_of(const std::string& file) {
        return refusal(PolicySource::file(file));
    }

  private:
    TemporaryDirectory directory_;
    mode_t umask_;
};

// ---- One file

TEST_F(PolicyFiles, OneIsReadAsItsText) {
    const std::string file = write("p.toml", kRule);
    const EffectivePolicy effective = PolicySource::file(file).read_trusted();
    EXPECT_EQ(effective.policy, parse_policy(kRule, "p.toml"));
    EXPECT_EQ(effective.files, Lines{file});
    EXPECT_EQ(effective.rules.at("r").text(), file + ":2:8");
    EXPECT_EQ(effective.doubts, Lines{});
}

TEST_F(PolicyFiles, OneIsReadAlone) {
    write("etc/sockaccel.d/50.toml", rule("other"));
    const std::string file = write("etc/sockaccel.toml", kRule);
    EXPECT_EQ(names(PolicySource::file(file).read_trusted()), Lines{"r"});
    EXPECT_EQ(names(PolicySource::file(write("etc/empty.toml", "")).read_trusted()), Lines{});
}

TEST_F(PolicyFiles, AreNamedInTheirMistakes) {
    const std::string file = write("p.toml", std::string(kRule) + "ports = [0]");
    EXPECT_EQ(refusal_of(file), file + ":4:10: port 0 is below 1");
}

TEST_F(PolicyFiles, MayBeSymbolicLinks) {
    write("p.toml", kRule);
    std::filesystem::create_symlink("p.toml", path("link.toml"));
    EXPECT_EQ(names(PolicySource::file(path("link.toml")).read_trusted()), Lines{"r"});
}

TEST_F(PolicyFiles, AreRefusedIfOthersMayWriteThem) {
    for (const auto& [mode, text] : std::vector<std::pair<mode_t, std::string>>{
             {0664, "0664"}, {0646, "0646"}, {0666, "0666"}, {0620, "0620"}}) {
        const std::string file = write("p.toml", kRule, mode);
        const std::string message =
            file + ": writable by group or others (mode " + text + "): run chmod go-w " + file;
        EXPECT_EQ(refusal_of(file), message);
        EXPECT_EQ(PolicySource::file(file).read().doubts, Lines{message}) << "reported only";
    }
    for (const mode_t mode : {0600U, 0644U, 0444U, 0755U})
        EXPECT_EQ(refusal_of(write("p.toml", kRule, mode)), "") << mode;
}

TEST_F(PolicyFiles, AreRefusedIfTheyAreAnotherUsers) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root";
    const std::string file = write("p.toml", kRule);
    ASSERT_EQ(::chown(file.c_str(), kNobody, kNobody), 0);
    EXPECT_EQ(refusal_of(file), file + ": owned by uid 65534: run chown root " + file);
    EXPECT_EQ(names(PolicySource::file(file).read()), Lines{"r"}) << "reported only";
}

TEST_F(PolicyFiles, AreRefusedIfOthersMayPutAnotherInTheirPlace) {
    const std::string file = write("open/p.toml", kRule), open = path("open");
    ASSERT_EQ(::chmod(open.c_str(), 0777), 0);
    const std::string message =
        open + ": writable by group or others (mode 0777): run chmod go-w " + open;
    EXPECT_EQ(refusal_of(file), message);
    std::filesystem::create_symlink(file, path("link.toml"));
    EXPECT_EQ(refusal_of(path("link.toml")), message) << "where the file is";
    write("closed/p.toml", kRule);
    std::filesystem::create_symlink("../closed/p.toml", open + "/link.toml");
    EXPECT_EQ(refusal_of(open + "/link.toml"), message) << "where the link is";
    ASSERT_EQ(::chmod(open.c_str(), 01777), 0);
    EXPECT_EQ(refusal_of(file), "") << "sticky, as /tmp";
}

TEST_F(PolicyFiles, AreRefusedIfTheyAreNotRegular) {
    const std::string message = ": not a regular file: a policy is a file of TOML text";
    ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
    EXPECT_EQ(refusal_of(path("fifo")), path("fifo") + message);
    std::filesystem::create_directory(path("directory"));
    EXPECT_EQ(refusal_of(path("directory")), path("directory") + message);
    EXPECT_EQ(refusal_of("/dev/null"), "/dev/null" + message);
}

TEST_F(PolicyFiles, AreRefusedAboveOneMebibyte) {
    const std::string comment = "#" + std::string((1 << 20) - 1, 'x');
    EXPECT_EQ(PolicySource::file(write("p.toml", comment)).read_trusted().policy, Policy{});
    EXPECT_EQ(refusal_of(write("p.toml", comment + "x")),
              path("p.toml") +
                  ": larger than 1MiB: name cgroups by globs, ports by ranges, networks by "
                  "shorter prefixes");
}

TEST_F(PolicyFiles, SayWhyTheyCannotBeOpened) {
    EXPECT_EQ(refusal_of(path("missing.toml")),
              path("missing.toml") +
                  ": cannot open: No such file or directory: create it, or name another file");
    EXPECT_EQ(refusal_of(write("p.toml", kRule) + "/x"),
              path("p.toml") + "/x: cannot open: Not a directory");
}

TEST_F(PolicyFiles, SayThatTheyMustBeReadable) {
    const std::string file = write("p.toml", kRule, 0);
    ASSERT_EQ(::chmod(path("").c_str(), 0755), 0);
    // Root may read every file, so it takes another identity for a moment.
    const uid_t self = ::geteuid();
    if (self == 0) {
        ASSERT_EQ(::seteuid(kNobody), 0);
    }
    const std::string message = refusal_of(file);
    const uid_t reader = ::geteuid();
    ASSERT_EQ(::seteuid(self), 0);
    EXPECT_EQ(message, file + ": cannot open: Permission denied: it must be readable for uid " +
                           std::to_string(reader) + ", which runs this: run chmod a+r " + file);
}

// ---- The search path

TEST_F(PolicyFiles, NoneAtAllIsAPolicyWithoutRules) {
    EXPECT_EQ(tree().read_trusted().policy, Policy{});
    std::filesystem::create_directories(path("etc/sockaccel.d"));
    EXPECT_EQ(tree().read_trusted().files, Lines{});
}

TEST_F(PolicyFiles, AreReadInTheOrderOfTheirNamesAfterTheMainOne) {
    const std::string a = write("usr/lib/sockaccel.d/20-a.toml", rule("a"));
    const std::string b = write("etc/sockaccel.d/10-b.toml", rule("b"));
    const std::string c = write("run/sockaccel.d/15-c.toml", rule("c"));
    const std::string main = write("etc/sockaccel.toml", rule("main"));
    write("etc/sockaccel.d/README", "no policy");
    write("etc/sockaccel.d/.hidden.toml", "no policy");
    const EffectivePolicy effective = tree().read_trusted();
    EXPECT_EQ(effective.files, (Lines{main, b, c, a}));
    EXPECT_EQ(names(effective), (Lines{"a", "b", "c", "main"}));
    EXPECT_EQ(effective.overridden, Lines{});
}

TEST_F(PolicyFiles, InEtcMaskThoseOfTheSameNameInRunAndUsr) {
    const std::string vendor = write("usr/lib/sockaccel.d/50.toml", rule("vendor"));
    const std::string run = write("run/sockaccel.d/50.toml", rule("run"));
    EXPECT_EQ(names(tree().read_trusted()), Lines{"run"});
    const std::string etc = write("etc/sockaccel.d/50.toml", rule("etc"));
    const EffectivePolicy effective = tree().read_trusted();
    EXPECT_EQ(names(effective), Lines{"etc"});
    EXPECT_EQ(effective.files, Lines{etc});
    EXPECT_EQ(effective.overridden,
              (Lines{vendor + " is masked by " + run, run + " is masked by " + etc}));
}

TEST_F(PolicyFiles, ThatAreEmptyOrDevNullMaskToo) {
    write("usr/lib/sockaccel.d/50.toml", rule("vendor"));
    write("usr/lib/sockaccel.d/60.toml", rule("second"));
    write("etc/sockaccel.d/50.toml", "");
    std::filesystem::create_symlink("/dev/null", path("etc/sockaccel.d/60.toml"));
    const EffectivePolicy effective = tree().read_trusted();
    EXPECT_EQ(names(effective), Lines{});
    EXPECT_EQ(effective.files, Lines{});
    EXPECT_EQ(effective.overridden.size(), 2u);
}

TEST_F(PolicyFiles, ReplaceRulesOfTheSameName) {
    const std::string main = write("etc/sockaccel.toml", rule("r", "priority = 1\n") + rule("s"));
    const std::string drop_in = write("usr/lib/sockaccel.d/50.toml", rule("r", "ports = [80]\n"));
    const EffectivePolicy effective = tree().read_trusted();
    EXPECT_EQ(effective.policy, parse_policy(rule("r", "ports = [80]\n") + rule("s"), "p.toml"));
    EXPECT_EQ(effective.rules.at("r").file, drop_in);
    EXPECT_EQ(effective.rules.at("s").text(), main + ":6:8");
    EXPECT_EQ(effective.overridden,
              Lines{"rule r of " + main + ":2:8 is replaced by " + drop_in + ":2:8"});
}

TEST_F(PolicyFiles, KeepTheDecidingOrderOverAllOfThem) {
    write("etc/sockaccel.toml", rule("a") + rule("m", "priority = 5\n"));
    write("etc/sockaccel.d/1.toml", rule("z", "priority = 9\n") + rule("m"));
    EXPECT_EQ(names(tree().read_trusted()), (Lines{"z", "a", "m"}));
}

TEST_F(PolicyFiles, SetLimitsKeyByKey) {
    const std::string main =
        write("etc/sockaccel.toml", "[limits]\nconnections = 100\nmemory = \"1GiB\"\n");
    const std::string drop_in = write("etc/sockaccel.d/1.toml", "[limits]\nmemory = \"2MiB\"\n");
    write("etc/sockaccel.d/2.toml", kRule);
    const EffectivePolicy effective = tree().read_trusted();
    EXPECT_EQ(effective.policy.limits, (Limits{100, 2 << 20}));
    EXPECT_EQ(effective.limits.at("connections").text(), main + ":2:1");
    EXPECT_EQ(effective.limits.at("memory").text(), drop_in + ":2:1");
}

TEST_F(PolicyFiles, TellTheMistakesOfAll) {
    const std::string a = write("etc/sockaccel.toml", std::string(kRule) + "ports = [0]");
    const std::string b = write("run/sockaccel.d/b.toml", "x = 1");
    const std::string c = write("etc/sockaccel.d/c.toml", kRule, 0666);
    EXPECT_EQ(refusal(tree()),
              a + ":4:10: port 0 is below 1\n" + b +
                  ":1:1: unknown key `x` at the top level: known are `limits` and `rule`\n" + c +
                  ": writable by group or others (mode 0666): run chmod go-w " + c);
}

TEST_F(PolicyFiles, TellADirectoryThatOthersMayWriteOnce) {
    write("etc/sockaccel.d/a.toml", rule("a"));
    write("etc/sockaccel.d/b.toml", rule("b"));
    const std::string directory = path("etc/sockaccel.d");
    ASSERT_EQ(::chmod(directory.c_str(), 0777), 0);
    const std::string message =
        directory + ": writable by group or others (mode 0777): run chmod go-w " + directory;
    EXPECT_EQ(refusal(tree()), message);
    EXPECT_EQ(tree().read().doubts, Lines{message});
}

TEST_F(PolicyFiles, HaveAtMost64RulesTogether) {
    std::string many;
    for (int count = 10; count < 70; ++count)
        many += rule("r" + std::to_string(count));
    write("etc/sockaccel.toml", many);
    write("etc/sockaccel.d/a.toml",
          rule("r10") + rule("s1") + rule("s2") + rule("s3") + rule("s4"));
    EXPECT_EQ(refusal(tree()), "");
    const std::string last = write("etc/sockaccel.d/b.toml", "\n" + rule("t"));
    EXPECT_EQ(refusal(tree()),
              last + ":3:8: there are 65 rules in all files: at most 64 are possible");
}

TEST_F(PolicyFiles, ThatCannotBeListedAreAMistake) {
    write("etc/sockaccel.d", "a file");
    EXPECT_EQ(refusal(tree()), path("etc/sockaccel.d") + ": cannot look at: Not a directory");
}

TEST_F(PolicyFiles, ThatLinkToNothingAreAMistake) {
    std::filesystem::create_directories(path("etc/sockaccel.d"));
    const std::string link = path("etc/sockaccel.d/a.toml");
    std::filesystem::create_symlink("gone.toml", link);
    EXPECT_EQ(refusal(tree()),
              link + ": cannot open: No such file or directory: create it, or name another file");
}

}  // namespace
}  // namespace sockaccel
