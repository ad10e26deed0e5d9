// SPDX-License-Identifier: GPL-2.0-or-later
// A program under test, with what it wrote.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fd.hpp"

namespace sockaccel::test {

struct Command {
    std::vector<std::string> arguments;              // the program first; looked up in PATH
    std::map<std::string, std::string> environment;  // beside the test's own
    std::optional<uid_t> user;                       // as whom it runs; needs root
    // By name, for sd_listen_fds(3); they stay the caller's.
    std::vector<std::pair<std::string, int>> descriptors = {};
};

// Started on construction; killed with SIGKILL, if it still runs, on destruction or when the thread
// that made it ends.
class Process {
  public:
    explicit Process(const Command& command);
    ~Process();
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    [[nodiscard]] pid_t pid() const { return pid_; }
    void signal(int number) const;

    // Its exit status when it has ended by then; as in a shell, 128 + N if signal N ended it.
    [[nodiscard]] std::optional<int> wait(
        std::chrono::milliseconds timeout = std::chrono::seconds(30));
    [[nodiscard]] bool runs() { return !wait(std::chrono::milliseconds(0)); }

    // What it wrote so far.
    [[nodiscard]] std::string standard_output() const;
    [[nodiscard]] std::string standard_error() const;

  private:
    Fd output_, error_;
    pid_t pid_ = -1;
    std::optional<int> status_;
};

// Of a program that ran to its end.
struct Outcome {
    int status = 0;
    std::string output, error;
};

// Throws if it has not ended in time.
[[nodiscard]] Outcome run(const Command& command,
                          std::chrono::milliseconds timeout = std::chrono::seconds(30));

// A program or file that the build system names in this environment variable; throws if it does
// not.
[[nodiscard]] std::string from_environment(const char* variable);

}  // namespace sockaccel::test
