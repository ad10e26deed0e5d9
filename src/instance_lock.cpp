// SPDX-License-Identifier: GPL-2.0-or-later
#include "instance_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <stdexcept>

namespace sockaccel {

InstanceLock::InstanceLock(const std::filesystem::path& directory) {
    if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST)
        check(-1, "make " + directory.string());
    const std::string path = directory / "lock";
    file_ = Fd(check(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600),
                     "open " + path));
    if (::flock(file_.get(), LOCK_EX | LOCK_NB) == 0)
        return;
    if (errno == EWOULDBLOCK)
        throw std::runtime_error("another sockacceld runs, and holds " + path +
                                 ": stop that one, or give this one another --state");
    check(-1, "lock " + path);
}

}  // namespace sockaccel
