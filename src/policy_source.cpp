// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy_source.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <system_error>
#include <utility>

#include "policy_file.hpp"

namespace sockaccel {
namespace {

using std::filesystem::path;

constexpr const char* kMainFile = "etc/sockaccel.toml";
// The later ones mask the earlier ones.
constexpr std::array kDirectories = {"usr/lib/sockaccel.d", "run/sockaccel.d", "etc/sockaccel.d"};

constexpr std::size_t kMaxFiles = 256;
constexpr std::size_t kMaxWrongFiles = 10;  // whose mistakes are told

[[noreturn]] void refuse(const path& what, const std::error_code& error) {
    throw PolicyError(fmt::format("{}: cannot look at: {}", what.string(), error.message()));
}

bool is_there(const path& file) {
    std::error_code error;
    const bool result = std::filesystem::exists(std::filesystem::symlink_status(file, error));
    if (error && error != std::errc::no_such_file_or_directory &&
        error != std::errc::not_a_directory)
        refuse(file, error);
    return result;
}

// As systemd has it: an empty file, or a link to /dev/null.
bool is_mask(const path& file) {
    struct stat status {};
    return ::stat(file.c_str(), &status) == 0 &&
           (S_ISCHR(status.st_mode) || (S_ISREG(status.st_mode) && status.st_size == 0));
}

bool is_drop_in(const path& file) {
    const std::string name = file.filename();
    return name.ends_with(".toml") && !name.starts_with('.');
}

std::vector<path> drop_ins_in(const path& directory) {
    std::vector<path> result;
    std::error_code error;
    std::filesystem::directory_iterator at(directory, error);
    for (; !error && at != std::filesystem::directory_iterator(); at.increment(error))
        if (is_drop_in(at->path()))
            result.push_back(at->path());
    if (error && error != std::errc::no_such_file_or_directory)
        refuse(directory, error);
    return result;
}

// The files of the search path that count, in their order.
std::vector<std::string> files_of(const path& root, std::vector<std::string>& overridden) {
    std::map<std::string, path> by_name;
    for (const char* directory : kDirectories)
        for (const path& file : drop_ins_in(root / directory)) {
            const auto [before, is_new] = by_name.emplace(file.filename(), file);
            if (!is_new)
                overridden.push_back(fmt::format("{} is masked by {}",
                                                 std::exchange(before->second, file).string(),
                                                 file.string()));
        }
    if (by_name.size() > kMaxFiles)
        throw PolicyError(fmt::format("{}: there are {} drop-ins: at most {} are possible",
                                      (root / kDirectories.back()).string(), by_name.size(),
                                      kMaxFiles));
    std::vector<std::string> files;
    if (is_there(root / kMainFile))
        files.push_back(root / kMainFile);
    for (const auto& [name, file] : by_name)
        files.push_back(file);
    return files;
}

// Takes `text` of `file` into what was read before it.
void merge(PolicyText text, const std::string& file, EffectivePolicy& effective) {
    effective.policy.limits = text.policy.limits;
    for (const auto& [key, where] : text.limits)
        effective.limits[key] = {file, where};
    for (Rule& rule : text.policy.rules) {
        const Origin origin = {file, text.rules.at(rule.name)};
        const auto [before, is_new] = effective.rules.emplace(rule.name, origin);
        if (is_new) {
            effective.policy.rules.push_back(std::move(rule));
            continue;
        }
        effective.overridden.push_back(fmt::format("rule {} of {} is replaced by {}", rule.name,
                                                   before->second.text(), origin.text()));
        before->second = origin;
        *std::find_if(effective.policy.rules.begin(), effective.policy.rules.end(),
                      [&](const Rule& it) { return it.name == rule.name; }) = std::move(rule);
    }
}

void check_count(const EffectivePolicy& effective) {
    const std::vector<Rule>& rules = effective.policy.rules;
    if (rules.size() > kMaxRules)
        throw PolicyError(
            fmt::format("{}: there are {} rules in all files: at most {} are possible",
                        effective.rules.at(rules[kMaxRules].name).text(), rules.size(), kMaxRules));
}

}  // namespace

std::string Origin::text() const {
    return fmt::format("{}:{}:{}", file, where.line, where.column);
}

PolicySource PolicySource::file(const std::string& file) {
    return {false, file};
}

PolicySource PolicySource::tree(const std::filesystem::path& root) {
    return {true, root};
}

std::string PolicySource::text() const {
    return is_tree_ ? (path_ / kMainFile).string() + " and drop-ins" : path_.string();
}

EffectivePolicy PolicySource::read() const {
    return read(Doubts::reported);
}

EffectivePolicy PolicySource::read_trusted() const {
    return read(Doubts::refused);
}

EffectivePolicy PolicySource::read(Doubts doubts) const {
    EffectivePolicy effective;
    std::vector<std::string> mistakes;
    const std::vector<std::string> files =
        is_tree_ ? files_of(path_, effective.overridden) : std::vector<std::string>{path_};
    for (const std::string& file : files) {
        try {
            if (is_tree_ && is_mask(file))
                continue;
            PolicyFile content = read_policy_file(file);
            for (std::string& doubt : content.doubts) {
                if (std::find(effective.doubts.begin(), effective.doubts.end(), doubt) !=
                    effective.doubts.end())
                    continue;  // of a directory that was told already
                if (doubts == Doubts::refused)
                    mistakes.push_back(doubt);
                effective.doubts.push_back(std::move(doubt));
            }
            if (doubts == Doubts::refused && !content.doubts.empty())
                continue;
            merge(parse_policy_text(content.text, file, effective.policy.limits), file, effective);
            effective.files.push_back(file);
        } catch (const PolicyError& error) {
            mistakes.emplace_back(error.what());
        }
    }
    if (mistakes.size() > kMaxWrongFiles) {
        const std::size_t rest = mistakes.size() - kMaxWrongFiles;
        mistakes.resize(kMaxWrongFiles);
        mistakes.push_back(fmt::format("and mistakes in {} more files", rest));
    }
    if (!mistakes.empty())
        throw PolicyError(fmt::format("{}", fmt::join(mistakes, "\n")));
    check_count(effective);
    std::sort(effective.policy.rules.begin(), effective.policy.rules.end(), decides_before);
    return effective;
}

}  // namespace sockaccel
