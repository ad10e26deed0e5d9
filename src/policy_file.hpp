// SPDX-License-Identifier: GPL-2.0-or-later
// A file that the policy is read from: its text, and whether it can be trusted.
#pragma once

#include <string>
#include <vector>

namespace sockaccel {

struct PolicyFile {
    std::string text;
    // Who else could change it, a line each: "FILE: writable by group or others (mode 0664): run
    // chmod go-w FILE". The same of the directories that it is in.
    std::vector<std::string> doubts;
};

// At most 1 MiB of a regular file. Throws PolicyError: "FILE: what is wrong: what to do".
[[nodiscard]] PolicyFile read_policy_file(const std::string& file);

}  // namespace sockaccel
