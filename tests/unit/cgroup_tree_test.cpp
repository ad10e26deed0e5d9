// SPDX-License-Identifier: GPL-2.0-or-later
#include "cgroup_tree.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <cstdio>
#include <fstream>
#include <set>
#include <utility>

#include "temporary_directory.hpp"

namespace sockaccel {
namespace {

CgroupSelection globs(const std::vector<std::string>& texts) {
    CgroupSelection parsed;
    for (const std::string& text : texts)
        parsed.globs.push_back(CgroupGlob::parse(text));
    return parsed;
}

CgroupSelection paths(std::set<std::string> texts) {
    return {{}, std::move(texts)};
}

class CgroupTreeTest : public testing::Test {
  protected:
    std::vector<Cgroup> existing(const std::vector<std::string>& paths) {
        std::vector<Cgroup> cgroups;
        for (const std::string& path : paths)
            cgroups.push_back({path, root.id_of(path)});
        return cgroups;
    }

    [[nodiscard]] bool is_readable() const {
        pollfd fd{tree.fd(), POLLIN, 0};
        return ::poll(&fd, 1, 0) == 1;
    }

    TemporaryDirectory root;
    CgroupTree tree{root.path()};
};

using Paths = std::vector<std::string>;

TEST_F(CgroupTreeTest, SelectsWhatExistsSortedByPath) {
    for (const char* path : {"b/x", "a/x", "a/y/x", "c"})
        root.make(path);
    std::ofstream(root.path() / "a/cgroup.procs") << "1\n";
    tree.select(globs({"**/x", "c"}));
    EXPECT_EQ(tree.selected(), existing({"a/x", "a/y/x", "b/x", "c"}));
    tree.select(globs({"*"}));
    EXPECT_EQ(tree.selected(), existing({"a", "b", "c"}));
    tree.select({});
    EXPECT_EQ(tree.selected(), std::vector<Cgroup>{});
}

TEST_F(CgroupTreeTest, SelectsTheRoot) {
    tree.select(globs({"/"}));
    EXPECT_EQ(tree.selected(), (std::vector<Cgroup>{{"", root.id_of("")}}));
}

TEST_F(CgroupTreeTest, SeesACgroupAppear) {
    tree.select(globs({"a/b/c"}));
    EXPECT_FALSE(is_readable());
    EXPECT_FALSE(tree.refresh());
    root.make("a/b/c");
    EXPECT_TRUE(is_readable());
    EXPECT_TRUE(tree.refresh());
    EXPECT_EQ(tree.selected(), existing({"a/b/c"}));
}

TEST_F(CgroupTreeTest, SeesEachStepOfAPathAppear) {
    tree.select(globs({"a/b/c"}));
    root.make("a");
    EXPECT_FALSE(tree.refresh());
    root.make("a/b");
    EXPECT_FALSE(tree.refresh());
    root.make("a/b/c");
    EXPECT_TRUE(tree.refresh());
    EXPECT_EQ(tree.selected(), existing({"a/b/c"}));
}

TEST_F(CgroupTreeTest, SeesASubtreeGo) {
    root.make("a/b/c");
    root.make("a-/b/c");
    root.make("a0/b/c");
    tree.select(globs({"*/b/c", "a"}));
    root.remove("a");
    EXPECT_TRUE(tree.refresh());
    EXPECT_EQ(tree.selected(), existing({"a-/b/c", "a0/b/c"}));
}

TEST_F(CgroupTreeTest, GivesACgroupThatWasMadeAgainItsNewId) {
    root.make("a/b");
    tree.select(globs({"a/*"}));
    const std::uint64_t old = root.id_of("a/b");
    root.remove("a/b");
    root.make("a/in-its-place");  // or the file system might use the number again
    root.make("a/b");
    ASSERT_NE(root.id_of("a/b"), old);
    EXPECT_TRUE(tree.refresh());
    EXPECT_EQ(tree.selected(), existing({"a/b", "a/in-its-place"}));
}

TEST_F(CgroupTreeTest, WatchesADirectoryThatWasMadeAgainWithItsOldNumber) {
    root.make("a");
    tree.select(globs({"a/b"}));
    root.remove("a");
    root.make("a");
    EXPECT_FALSE(tree.refresh());
    root.make("a/b");
    EXPECT_TRUE(tree.refresh());
    EXPECT_EQ(tree.selected(), existing({"a/b"}));
}

TEST_F(CgroupTreeTest, IsNotDisturbedByWhatCameAndWent) {
    root.make("a");
    tree.select(globs({"a/*/x"}));
    for (int i = 0; i < 50; ++i) {
        root.make("a/b/x");
        root.remove("a/b");
    }
    EXPECT_FALSE(tree.refresh());
    EXPECT_EQ(tree.selected(), std::vector<Cgroup>{});
}

TEST_F(CgroupTreeTest, DoesNotWakeForWhatNoGlobCanMean) {
    root.make("a/b");
    root.make("c");
    tree.select(globs({"a/x"}));
    root.make("c/x");
    root.make("a/b/x");
    std::ofstream(root.path() / "c/file") << "";
    EXPECT_FALSE(is_readable());
}

TEST_F(CgroupTreeTest, FollowsARename) {
    root.make("a/x");
    tree.select(globs({"*/x"}));
    std::filesystem::rename(root.path() / "a", root.path() / "b");
    EXPECT_TRUE(tree.refresh());
    EXPECT_EQ(tree.selected(), existing({"b/x"}));
    root.remove("b/x");
    EXPECT_TRUE(tree.refresh());
    EXPECT_EQ(tree.selected(), std::vector<Cgroup>{});
}

TEST_F(CgroupTreeTest, LooksAgainAfterAnOverflow) {
    std::size_t limit = 0;
    std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> limit;
    if (limit == 0 || limit > 100000)
        GTEST_SKIP() << "the queue of inotify is too long to be filled";
    tree.select(globs({"*"}));
    const std::string one = root.write("one", ""), other = root.path() / "other";
    for (std::size_t i = 0; i <= limit / 4; ++i) {
        std::rename(one.c_str(), other.c_str());
        std::rename(other.c_str(), one.c_str());
    }
    root.make("late");
    EXPECT_TRUE(tree.refresh());
    EXPECT_EQ(tree.selected(), existing({"late"}));
    root.make("later");
    EXPECT_TRUE(tree.refresh());
    EXPECT_EQ(tree.selected(), existing({"late", "later"}));
}

TEST_F(CgroupTreeTest, TakesNoLinkForACgroup) {
    root.make("a/x");
    std::filesystem::create_directory_symlink(root.path() / "a", root.path() / "link");
    tree.select(globs({"*/x", "link"}));
    EXPECT_EQ(tree.selected(), existing({"a/x"}));
}

TEST_F(CgroupTreeTest, FindsThePathOfAnId) {
    root.make("a/b/c");
    root.make("d");
    tree.select(globs({"d"}));
    EXPECT_EQ(tree.path_of(root.id_of("d")), "d");
    EXPECT_EQ(tree.path_of(root.id_of("a/b/c")), "a/b/c");
    EXPECT_EQ(tree.path_of(1), "");

    const std::uint64_t id = root.id_of("a/b/c");
    root.remove("a/b");
    EXPECT_EQ(tree.path_of(id), "");
}

TEST(CgroupTree, RefusesARootThatIsNoDirectory) {
    const TemporaryDirectory directory;
    EXPECT_THROW(CgroupTree{directory.path() / "missing"}, std::system_error);
    EXPECT_THROW(CgroupTree{directory.write("file", "")}, std::system_error);
}

TEST_F(CgroupTreeTest, SelectsPathsAsTheyAre) {
    for (const char* path : {"a/b", "a/b-", "a/*", "c"})
        root.make(path);
    tree.select(paths({"a/b", "a/*", "", "none/x"}));
    EXPECT_EQ(tree.selected(), existing({"", "a/*", "a/b"}));
}

TEST_F(CgroupTreeTest, SeesAPathComeAndGo) {
    tree.select(paths({"a/b/c"}));
    for (const char* path : {"a", "a/b", "a/b/c"}) {
        root.make(path);
        tree.refresh();
    }
    EXPECT_EQ(tree.selected(), existing({"a/b/c"}));
    root.remove("a");
    EXPECT_TRUE(tree.refresh());
    EXPECT_EQ(tree.selected(), std::vector<Cgroup>{});
    root.make("a/b/c");
    EXPECT_TRUE(tree.refresh());
    EXPECT_EQ(tree.selected(), existing({"a/b/c"}));
}

TEST_F(CgroupTreeTest, TakesInPathsThatAreAddedAndTakenAway) {
    for (const char* path : {"a/b/c", "a/d", "e"})
        root.make(path);
    CgroupSelection selection = globs({"*/d"});
    tree.select(selection);
    EXPECT_EQ(tree.selected(), existing({"a/d"}));
    selection.paths = {"a/b/c", "e", "f/g", ""};
    tree.select(selection);
    EXPECT_EQ(tree.selected(), existing({"", "a/b/c", "a/d", "e"}));
    root.make("f/g");
    tree.refresh();
    tree.refresh();
    EXPECT_EQ(tree.selected(), existing({"", "a/b/c", "a/d", "e", "f/g"}));
    selection.paths = {"a/b", "f"};
    tree.select(selection);
    EXPECT_EQ(tree.selected(), existing({"a/b", "a/d", "f"}));
    selection.paths = {};
    tree.select(selection);
    EXPECT_EQ(tree.selected(), existing({"a/d"}));
    root.make("e/d");
    EXPECT_TRUE(tree.refresh()) << "still watched for the glob";
    EXPECT_EQ(tree.selected(), existing({"a/d", "e/d"}));
}

// --- mountinfo ---

TEST(FindCgroup2Root, FindsTheUnifiedHierarchy) {
    const TemporaryDirectory directory;
    EXPECT_EQ(
        find_cgroup2_root(directory.write(
            "mountinfo",
            "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
            "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n")),
        "/sys/fs/cgroup");
}

TEST(FindCgroup2Root, FindsItOnAHybridHost) {
    const TemporaryDirectory directory;
    EXPECT_EQ(find_cgroup2_root(directory.write(
                  "mountinfo",
                  "30 23 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n"
                  "31 30 0:27 / /sys/fs/cgroup/unified rw master:2 shared:10 - cgroup2 cgroup2 rw\n"
                  "32 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n")),
              "/sys/fs/cgroup/unified");
}

TEST(FindCgroup2Root, PrefersTheWholeTreeAndReadsEscapes) {
    const TemporaryDirectory directory;
    EXPECT_EQ(find_cgroup2_root(
                  directory.write("mountinfo",
                                  "30 23 0:26 /system.slice/x /bound rw - cgroup2 cgroup2 rw\n"
                                  "31 23 0:26 / /a\\040b\\134c\\011 rw - cgroup2 cgroup2 rw\n"
                                  "32 23 0:26 / /second rw - cgroup2 cgroup2 rw\n")),
              "/a b\\c\t");
}

TEST(FindCgroup2Root, SaysWhatIsMissing) {
    const TemporaryDirectory directory;
    const auto file = directory.write("mountinfo", "1 1 8:1 / / rw - ext4 cgroup2 rw\nnonsense\n");
    try {
        static_cast<void>(find_cgroup2_root(file));
        FAIL() << "found one";
    } catch (const std::runtime_error& error) {
        EXPECT_EQ(error.what(), "no cgroup2 file system is mounted, says " + file.string() +
                                    "; systemd mounts one with systemd.unified_cgroup_hierarchy=1");
    }
    EXPECT_THROW(static_cast<void>(find_cgroup2_root(directory.path() / "none")),
                 std::runtime_error);
}

}  // namespace
}  // namespace sockaccel
