// SPDX-License-Identifier: GPL-2.0-or-later
#include "process.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "wait_until.hpp"

namespace sockaccel::test {

namespace {

constexpr int kCannotExecute = 127;

// In the child: from the third on, in this order.
void pass_descriptors(const Command& command) {
    constexpr int kFirst = 3;
    const int count = static_cast<int>(command.descriptors.size());
    std::vector<int> aside;
    std::string names;
    for (const auto& descriptor : command.descriptors) {
        aside.push_back(fcntl(descriptor.second, F_DUPFD_CLOEXEC, kFirst + count));
        names += (names.empty() ? "" : ":") + descriptor.first;
    }
    for (int i = 0; i < count; i++)
        dup2(aside[static_cast<std::size_t>(i)], kFirst + i);
    setenv("LISTEN_FDS", std::to_string(count).c_str(), 1);
    setenv("LISTEN_FDNAMES", names.c_str(), 1);
    setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
}

// In the child: becomes the program, or ends.
[[noreturn]] void become(const Command& command, std::vector<char*>& arguments, int output,
                         int error, pid_t parent) {
    dup2(output, STDOUT_FILENO);
    dup2(error, STDERR_FILENO);
    const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(nothing, STDIN_FILENO);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    if (command.user &&
        (setgroups(0, nullptr) != 0 || setgid(*command.user) != 0 || setuid(*command.user) != 0)) {
        std::perror("change the user");
        _exit(kCannotExecute);
    }
    // After setuid(), which takes it back. The parent may be gone already.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(kCannotExecute);
    for (const auto& variable : command.environment)
        setenv(variable.first.c_str(), variable.second.c_str(), 1);
    if (!command.descriptors.empty())
        pass_descriptors(command);
    execvp(arguments[0], arguments.data());
    std::perror(arguments[0]);
    _exit(kCannotExecute);
}

std::string content_of(const Fd& file) {
    struct stat status {};
    check(fstat(file.get(), &status), "look at a program's output");
    std::string text(static_cast<std::size_t>(status.st_size), '\0');
    const ssize_t length = pread(file.get(), text.data(), text.size(), 0);
    check(static_cast<int>(length), "read a program's output");
    text.resize(static_cast<std::size_t>(length));
    return text;
}

}  // namespace

Process::Process(const Command& command)
    : output_(check(memfd_create("output", MFD_CLOEXEC), "make a file for output")),
      error_(check(memfd_create("error", MFD_CLOEXEC), "make a file for errors")) {
    std::vector<std::string> texts = command.arguments;
    std::vector<char*> arguments;
    for (std::string& text : texts)
        arguments.push_back(text.data());
    arguments.push_back(nullptr);
    const pid_t parent = getpid();
    pid_ = check(fork(), "start " + texts.at(0));
    if (pid_ == 0)
        become(command, arguments, output_.get(), error_.get(), parent);
}

Process::~Process() {
    if (status_)
        return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
}

void Process::signal(int number) const {
    if (!status_)
        check(kill(pid_, number), "send signal " + std::to_string(number));
}

std::optional<int> Process::wait(std::chrono::milliseconds timeout) {
    const auto has_ended = [this] {
        if (status_)
            return true;
        int status = 0;
        if (check(waitpid(pid_, &status, WNOHANG), "wait for a program") == 0)
            return false;
        status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        return true;
    };
    static_cast<void>(wait_until(has_ended, timeout));
    return status_;
}

std::string Process::standard_output() const {
    return content_of(output_);
}

std::string Process::standard_error() const {
    return content_of(error_);
}

Outcome run(const Command& command, std::chrono::milliseconds timeout) {
    Process process(command);
    const std::optional<int> status = process.wait(timeout);
    if (!status)
        throw std::runtime_error(command.arguments.at(0) + " does not end; it wrote:\n" +
                                 process.standard_output() + process.standard_error());
    return {*status, process.standard_output(), process.standard_error()};
}

std::string from_environment(const char* variable) {
    const char* value = std::getenv(variable);
    if (value == nullptr || *value == '\0')
        throw std::runtime_error(std::string(variable) +
                                 " is not set: run the tests with `meson test`");
    return value;
}

}  // namespace sockaccel::test
