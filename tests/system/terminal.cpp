// SPDX-License-Identifier: GPL-2.0-or-later
#include "terminal.hpp"

#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <stdexcept>

#include "slowness.hpp"
#include "wait_until.hpp"

namespace sockaccel::test {
namespace {

constexpr std::chrono::milliseconds kPatience{20000};

int become(const std::vector<std::string>& command) {
    std::vector<char*> words;
    for (const std::string& word : command)
        words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    ::execvp(words[0], words.data());
    return 127;
}

}  // namespace

Terminal::Terminal(const std::vector<std::string>& command)
    : Terminal([&command] { return become(command); }) {}

Terminal::Terminal(const std::function<int()>& program) {
    int terminal = -1;
    pid_ = check(::forkpty(&terminal, nullptr, nullptr, nullptr), "open a terminal");
    if (pid_ == 0)
        ::_exit(program());
    terminal_ = Fd(terminal);
}

Terminal::~Terminal() {
    if (pid_ <= 0)
        return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

bool Terminal::read() {
    pollfd polled{terminal_.get(), POLLIN, 0};
    const auto patience = slowness() * kPatience;
    if (::poll(&polled, 1, static_cast<int>(patience.count())) != 1)
        return false;
    std::array<char, 4096> buffer{};
    const ssize_t count = ::read(terminal_.get(), buffer.data(), buffer.size());
    if (count <= 0)  // EIO: nobody has it open any more
        return false;
    output_.append(buffer.data(), static_cast<std::size_t>(count));
    return true;
}

bool Terminal::shows(const std::string& text) {
    std::size_t at = std::string::npos;
    while ((at = output_.find(text, seen_)) == std::string::npos) {
        if (!read())
            return false;
    }
    seen_ = at + text.size();
    return true;
}

void Terminal::type(const std::string& line) const {
    const std::string text = line + "\n";
    check(static_cast<int>(::write(terminal_.get(), text.data(), text.size())), "type");
}

void Terminal::type_password(const std::string& password) const {
    const bool is_hidden = wait_until([this] {
        termios settings{};
        return ::tcgetattr(terminal_.get(), &settings) == 0 && (settings.c_lflag & ECHO) == 0;
    });
    if (!is_hidden)
        throw std::runtime_error("the terminal would show a password:\n" + output_);
    type(password);
}

int Terminal::wait() {
    while (read()) {
    }
    int status = 0;
    if (!wait_until([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; }))
        throw std::runtime_error("a program in a terminal does not end:\n" + output_);
    pid_ = -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace sockaccel::test
