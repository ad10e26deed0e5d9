// SPDX-License-Identifier: GPL-2.0-or-later
// A program in a terminal of its own, before which a test sits.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "fd.hpp"

namespace sockaccel::test {

class Terminal {
  public:
    explicit Terminal(const std::vector<std::string>& command);
    // A child of this process; the result is its exit status.
    explicit Terminal(const std::function<int()>& program);
    ~Terminal();  // kills it
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;

    [[nodiscard]] pid_t pid() const { return pid_; }
    // Waits until the program has written this, after what was waited for before.
    [[nodiscard]] bool shows(const std::string& text);
    void type(const std::string& line) const;  // and Enter
    // When the terminal does not show any more what is typed: what was typed before is thrown away.
    void type_password(const std::string& password) const;
    // Its exit status, at its end; throws what it wrote if that does not come.
    [[nodiscard]] int wait();
    [[nodiscard]] const std::string& output() const { return output_; }

  private:
    [[nodiscard]] bool read();  // false at the end

    pid_t pid_ = -1;
    Fd terminal_;
    std::string output_;
    std::size_t seen_ = 0;
};

}  // namespace sockaccel::test
