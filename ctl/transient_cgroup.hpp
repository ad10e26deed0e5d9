// SPDX-License-Identifier: GPL-2.0-or-later
// A cgroup of its own for one process and what it starts: a scope, where systemd runs; else a
// directory that is made and removed here. The only part of sockaccelctl that knows sd-bus.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

namespace sockaccel::ctl {

class TransientCgroup {
  public:
    // Moves `member` there. `name` is a file name, without the suffix of a unit; `description` is
    // what systemd shows. Throws std::runtime_error.
    TransientCgroup(pid_t member, const std::string& name, const std::string& description);
    // A scope ends with its last process. A directory goes now: who is still in there moves to this
    // process's own cgroup.
    ~TransientCgroup();
    TransientCgroup(const TransientCgroup&) = delete;
    TransientCgroup& operator=(const TransientCgroup&) = delete;

    // Below the root of cgroup2, without a leading '/'.
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::filesystem::path own_;  // empty: it is systemd's
    std::string path_;
};

}  // namespace sockaccel::ctl
