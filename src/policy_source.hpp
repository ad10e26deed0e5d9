// SPDX-License-Identifier: GPL-2.0-or-later
// Where the policy is read from: one file, or the whole search path, with drop-ins as systemd has
// them.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "policy.hpp"

namespace sockaccel {

struct Origin {
    std::string file;
    Position where;

    [[nodiscard]] std::string text() const;  // "FILE:LINE:COLUMN"
    bool operator==(const Origin&) const = default;
};

// What all files say together.
struct EffectivePolicy {
    Policy policy;
    std::map<std::string, Origin> rules;   // by name
    std::map<std::string, Origin> limits;  // by key, those that are set
    std::vector<std::string> files;        // that it was read from, in that order
    // What does not count, and why: "FILE is masked by FILE", a line each.
    std::vector<std::string> overridden;
    std::vector<std::string> doubts;  // see PolicyFile; the daemon takes none
};

class PolicySource {
  public:
    // This file alone, which has to exist.
    [[nodiscard]] static PolicySource file(const std::string& file);

    // ROOT/etc/sockaccel.toml, then *.toml of usr/lib/sockaccel.d, run/sockaccel.d and
    // etc/sockaccel.d in the order of their names, whatever directory they are in. Of files with
    // the same name only the one in etc counts, else the one in run; one that is empty, or
    // /dev/null, is not read, so it masks the others. A rule replaces one of the same name in an
    // earlier file, a limit one of the same key. None of the files has to exist.
    [[nodiscard]] static PolicySource tree(const std::filesystem::path& root = "/");

    // The mistakes of all files are in one PolicyError.
    [[nodiscard]] EffectivePolicy read() const;

    // The same; doubts are mistakes, too.
    [[nodiscard]] EffectivePolicy read_trusted() const;

    // For people: the file, or "/etc/sockaccel.toml and drop-ins".
    [[nodiscard]] std::string text() const;

  private:
    enum class Doubts { reported, refused };

    PolicySource(bool is_tree, std::filesystem::path path)
        : is_tree_(is_tree), path_(std::move(path)) {}
    [[nodiscard]] EffectivePolicy read(Doubts doubts) const;

    bool is_tree_;
    std::filesystem::path path_;
};

}  // namespace sockaccel
