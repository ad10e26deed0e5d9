// SPDX-License-Identifier: GPL-2.0-or-later
#include "pause_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "fd.hpp"
#include "log.hpp"

namespace sockaccel {
namespace {

constexpr std::size_t kMaxBytes = 1 << 20;

Paused everything() {
    Paused paused;
    paused.pause(std::string(Paused::kEverything), {});
    return paused;
}

std::string content(const Fd& fd, const std::string& file) {
    struct stat status {};
    check(::fstat(fd.get(), &status), "stat " + file);
    if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid() ||
        (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        throw std::runtime_error(file + " is not a file that only this user may write");
    std::string text(kMaxBytes + 1, '\0');
    std::size_t size = 0;
    for (;;) {
        const ssize_t count = ::read(fd.get(), text.data() + size, text.size() - size);
        check(static_cast<int>(count), "read " + file);
        size += static_cast<std::size_t>(count);
        if (count == 0 || size == text.size())
            break;
    }
    if (size > kMaxBytes)
        throw std::runtime_error(file + " is too long");
    text.resize(size);
    return text;
}

}  // namespace

Paused PauseFile::read() const {
    try {
        const Fd fd(::open(file_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        if (!fd && errno == ENOENT)
            return {};
        check(fd.get(), "open " + file_.string());
        return Paused::parse(content(fd, file_));
    } catch (const std::exception& error) {
        log::warning("everything is paused, as it is not known what was: " + file_.string() + ": " +
                     error.what());
        return everything();
    }
}

void PauseFile::write(const Paused& paused) const {
    if (paused.none()) {
        if (::unlink(file_.c_str()) != 0 && errno != ENOENT)
            check(-1, "remove " + file_.string());
        return;
    }
    if (::mkdir(file_.parent_path().c_str(), 0755) != 0 && errno != EEXIST)
        check(-1, "make " + file_.parent_path().string());
    const std::string aside = file_.string() + ".new";
    if (::unlink(aside.c_str()) != 0 && errno != ENOENT)
        check(-1, "remove " + aside);
    const std::string text = paused.text();
    const Fd fd(check(::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600),
                      "make " + aside));
    const ssize_t written = ::write(fd.get(), text.data(), text.size());
    if (written >= 0 && static_cast<std::size_t>(written) < text.size())
        errno = ENOSPC;
    check(written == static_cast<ssize_t>(text.size()) ? 0 : -1, "write " + aside);
    check(::rename(aside.c_str(), file_.c_str()), "rename " + aside + " to " + file_.string());
}

}  // namespace sockaccel
