// SPDX-License-Identifier: GPL-2.0-or-later
// An owned file descriptor, and errors of C calls as exceptions that name object, act and cause.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

namespace sockaccel {

class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd() {
        if (fd_ >= 0)
            ::close(fd_);
    }

    [[nodiscard]] int get() const { return fd_; }
    [[nodiscard]] explicit operator bool() const { return fd_ >= 0; }

  private:
    int fd_ = -1;
};

// For calls that return -1 and set errno.
inline int check(int result, const std::string& act) {
    if (result < 0)
        throw std::system_error(errno, std::generic_category(), act);
    return result;
}

// For calls that return a negative errno (libsystemd, libbpf).
inline int check_negative(int result, const std::string& act) {
    if (result < 0)
        throw std::system_error(-result, std::generic_category(), act);
    return result;
}

}  // namespace sockaccel
