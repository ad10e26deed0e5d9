// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <set>
#include <string_view>
#include <system_error>

#include "fd.hpp"
#include "policy.hpp"
#include "quantity.hpp"

namespace sockaccel {
namespace {

constexpr std::size_t kMaxFileBytes = 1 << 20;

[[noreturn]] void refuse(const std::string& file, std::string_view cause, const std::string& hint) {
    throw PolicyError(fmt::format("{}: {}{}{}", file, cause, hint.empty() ? "" : ": ", hint));
}

std::string hint_for(int error, const std::string& file) {
    switch (error) {
        case ENOENT:
            return "create it, or name another file";
        case EACCES:
        case EPERM:
            return fmt::format("it must be readable for uid {}, which runs this: run chmod a+r {}",
                               ::geteuid(), file);
        default:
            return "";
    }
}

[[noreturn]] void refuse_unreadable(const std::string& file, std::string_view act) {
    const int error = errno;
    refuse(file, fmt::format("{}: {}", act, std::generic_category().message(error)),
           hint_for(error, file));
}

std::string mode_of(const struct stat& status) {
    return fmt::format("{:04o}", status.st_mode & static_cast<mode_t>(07777));
}

void doubt_owner(const std::string& path, const struct stat& status,
                 std::vector<std::string>& doubts) {
    if (status.st_uid != 0 && status.st_uid != ::geteuid())
        doubts.push_back(
            fmt::format("{}: owned by uid {}: run chown root {}", path, status.st_uid, path));
}

void doubt_writers(const std::string& path, const struct stat& status,
                   std::vector<std::string>& doubts) {
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        doubts.push_back(fmt::format("{}: writable by group or others (mode {}): run chmod go-w {}",
                                     path, mode_of(status), path));
}

// Who may write to a directory can put another file in the place of one, unless it is sticky.
void doubt_directory(const std::filesystem::path& directory, std::vector<std::string>& doubts) {
    const std::string path = directory.empty() ? "." : directory.string();
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && (status.st_mode & S_ISVTX) == 0)
        doubt_writers(path, status, doubts);
}

// Where the name is, and where the file is if the name is a symbolic link.
std::set<std::filesystem::path> directories_of(const std::string& file) {
    std::set<std::filesystem::path> result = {std::filesystem::path(file).parent_path()};
    std::error_code ignored;
    if (std::filesystem::is_symlink(file, ignored)) {
        const auto target = std::filesystem::canonical(file, ignored);
        if (!ignored)
            result.insert(target.parent_path());
    }
    return result;
}

std::string text_of(const Fd& fd, const std::string& file) {
    std::string text(kMaxFileBytes + 1, '\0');
    std::size_t length = 0;
    while (length < text.size()) {
        const ssize_t got = ::read(fd.get(), text.data() + length, text.size() - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            refuse_unreadable(file, "cannot read");
        if (got == 0)
            break;
        length += static_cast<std::size_t>(got);
    }
    if (length > kMaxFileBytes)
        refuse(file, fmt::format("larger than {}", format_bytes(kMaxFileBytes)),
               "name cgroups by globs, ports by ranges, networks by shorter prefixes");
    text.resize(length);
    return text;
}

}  // namespace

PolicyFile read_policy_file(const std::string& file) {
    // O_NONBLOCK: opening a FIFO would wait for a writer.
    const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    struct stat status {};
    if (!fd)
        refuse_unreadable(file, "cannot open");
    if (::fstat(fd.get(), &status) != 0)
        refuse_unreadable(file, "cannot look at");
    if (!S_ISREG(status.st_mode))
        refuse(file, "not a regular file", "a policy is a file of TOML text");
    PolicyFile result;
    doubt_owner(file, status, result.doubts);
    doubt_writers(file, status, result.doubts);
    for (const std::filesystem::path& directory : directories_of(file))
        doubt_directory(directory, result.doubts);
    result.text = text_of(fd, file);
    return result;
}

}  // namespace sockaccel
