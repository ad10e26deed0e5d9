// SPDX-License-Identifier: GPL-2.0-or-later
// A directory that goes with its owner; stands for the root of a cgroup tree.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include <sys/stat.h>

#include "fd.hpp"

namespace sockaccel {

class TemporaryDirectory {
  public:
    TemporaryDirectory() {
        std::string pattern = std::filesystem::temp_directory_path() / "sockaccel-test-XXXXXX";
        if (!::mkdtemp(pattern.data()))
            throw std::system_error(errno, std::generic_category(), "make " + pattern);
        path_ = std::filesystem::canonical(pattern);
    }
    ~TemporaryDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

    void make(const std::string& directory) const {
        std::filesystem::create_directories(path_ / directory);
    }
    void remove(const std::string& directory) const {
        std::filesystem::remove_all(path_ / directory);
    }
    [[nodiscard]] std::uint64_t id_of(const std::string& directory) const {
        struct stat status {};
        check(::stat((path_ / directory).c_str(), &status), "stat " + directory);
        return status.st_ino;
    }

    // Writes a file and returns its path.
    [[nodiscard]] std::filesystem::path write(const std::string& name,
                                              const std::string& text) const {
        std::ofstream(path_ / name) << text;
        return path_ / name;
    }

  private:
    std::filesystem::path path_;
};

}  // namespace sockaccel
