// SPDX-License-Identifier: GPL-2.0-or-later
// A cgroup that lives as long as the test that made it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace sockaccel::test {

// Made under the cgroup2 root as sockaccel-test-PID-N, or below another one. Removed, with
// everything below it, on destruction; processes that are still in it are killed first.
class TestCgroup {
  public:
    TestCgroup();
    TestCgroup(const TestCgroup& parent, const std::string& name);
    ~TestCgroup();
    TestCgroup(TestCgroup&& other) noexcept;
    TestCgroup& operator=(TestCgroup&&) = delete;

    [[nodiscard]] const std::string& path() const { return path_; }  // relative to the cgroup2 root
    [[nodiscard]] std::filesystem::path directory() const;
    [[nodiscard]] std::uint64_t id() const;

    // rmdir and mkdir: the same name, another id.
    void remove();
    void make();

  private:
    std::string path_;  // "": moved from
};

}  // namespace sockaccel::test
