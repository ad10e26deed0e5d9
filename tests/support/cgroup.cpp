// SPDX-License-Identifier: GPL-2.0-or-later
#include "cgroup.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <thread>
#include <utility>
#include <vector>

#include "cgroup_tree.hpp"
#include "fd.hpp"

namespace sockaccel::test {

namespace {

const std::filesystem::path& root() {
    static const std::filesystem::path found = find_cgroup2_root();
    return found;
}

void make_directory(const std::filesystem::path& directory) {
    check(::mkdir(directory.c_str(), 0755), "make cgroup " + directory.string());
}

// A cgroup is busy for a moment after its last process was killed.
void remove_directory(const std::filesystem::path& directory) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (::rmdir(directory.c_str()) != 0) {
        if (errno == ENOENT)
            return;
        if (errno != EBUSY || std::chrono::steady_clock::now() > deadline)
            check(-1, "remove cgroup " + directory.string());
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
}

void remove_tree(const std::filesystem::path& directory) {
    std::vector<std::filesystem::path> children;
    for (const auto& entry : std::filesystem::directory_iterator(directory))
        if (entry.is_directory())
            children.push_back(entry.path());
    for (const auto& child : children)
        remove_tree(child);
    remove_directory(directory);
}

}  // namespace

TestCgroup::TestCgroup() {
    static unsigned count = 0;
    path_ = "sockaccel-test-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
    make();
}

TestCgroup::TestCgroup(const TestCgroup& parent, const std::string& name)
    : path_(parent.path() + "/" + name) {
    make();
}

TestCgroup::TestCgroup(TestCgroup&& other) noexcept : path_(std::exchange(other.path_, {})) {}

TestCgroup::~TestCgroup() {
    if (path_.empty() || !std::filesystem::exists(directory()))
        return;
    try {
        std::ofstream(directory() / "cgroup.kill") << "1";
        remove_tree(directory());
    } catch (const std::exception&) {
        // A leftover directory is seen by the next run's owner; a destructor cannot tell.
    }
}

std::filesystem::path TestCgroup::directory() const {
    return root() / path_;
}

std::uint64_t TestCgroup::id() const {
    struct stat status {};
    check(::stat(directory().c_str(), &status), "look at cgroup " + path_);
    return status.st_ino;
}

void TestCgroup::remove() {
    remove_tree(directory());
}

void TestCgroup::make() {
    make_directory(directory());
}

}  // namespace sockaccel::test
