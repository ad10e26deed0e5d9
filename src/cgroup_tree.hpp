// SPDX-License-Identifier: GPL-2.0-or-later
// Which cgroups exist that the policy selects, now and from now on.
#pragma once

#include <compare>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cgroup_glob.hpp"

namespace sockaccel {

struct Cgroup {
    std::string path;      // relative to the root, "" is the root itself
    std::uint64_t id = 0;  // the kernel's id: the directory's inode number

    auto operator<=>(const Cgroup&) const = default;
};

// Which cgroups are meant, by path.
struct CgroupSelection {
    std::vector<CgroupGlob> globs;
    std::set<std::string> paths;  // besides, exactly these

    bool operator==(const CgroupSelection&) const = default;
};

// Watches by inotify the directories that may hold a match; cgroupfs reports children coming and
// going in the parent only. Works on any directory tree, so it is tested on plain ones.
// Single-threaded.
class CgroupTree {
  public:
    explicit CgroupTree(const std::filesystem::path& root);
    ~CgroupTree();
    CgroupTree(const CgroupTree&) = delete;
    CgroupTree& operator=(const CgroupTree&) = delete;

    // From now on these; looks at the tree and watches what may change the answer. If only paths
    // are others than before, looks only at what lies on these.
    void select(CgroupSelection selection);

    // Every existing cgroup that is meant, sorted by path.
    [[nodiscard]] const std::vector<Cgroup>& selected() const;

    // Readable when the tree may have changed.
    [[nodiscard]] int fd() const;

    // Takes in what changed; true if selected() did. Call it when fd() is readable. Overflow of the
    // inotify queue, and directories that vanish while being read, are handled by looking again.
    bool refresh();

    [[nodiscard]] const std::filesystem::path& root() const;

    // The path of the cgroup with this id, "" if it is unknown or gone; looks at the whole tree if
    // need be.
    [[nodiscard]] std::string path_of(std::uint64_t id) const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

// Where the cgroup2 file system is mounted, from `mountinfo` (default /proc/self/mountinfo); not
// always /sys/fs/cgroup. Throws std::runtime_error that says what is missing.
[[nodiscard]] std::filesystem::path find_cgroup2_root(
    const std::filesystem::path& mountinfo = "/proc/self/mountinfo");

}  // namespace sockaccel
