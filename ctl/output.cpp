// SPDX-License-Identifier: GPL-2.0-or-later
#include "output.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

namespace sockaccel::ctl {

namespace {

constexpr const char* kLess = "less";

std::string_view environment(const char* variable) {
    const char* value = std::getenv(variable);
    return value == nullptr ? "" : value;
}

winsize size_of_stdout() {
    winsize size{};
    if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
        return {};
    return size;
}

// What the caller of sudo chooses must not run as root.
bool is_elevated() {
    return geteuid() != getuid() || (geteuid() == 0 && std::getenv("SUDO_UID") != nullptr);
}

std::string pager() {
    if (is_elevated())
        return kLess;
    for (const char* variable : {"SOCKACCEL_PAGER", "PAGER"})
        if (std::getenv(variable) != nullptr)
            return std::string(environment(variable));
    return kLess;
}

// False if there is none.
bool page(const std::string& text) {
    const std::string command = pager();
    if (command.empty() || command == "cat")
        return false;
    // As systemctl(1) does: end at once if it fits, keep colors and the screen, cut long lines.
    setenv("LESS", "FRSXMK", 0);
    if (is_elevated())
        setenv("LESSSECURE", "1", 1);
    // The pager gets them from the terminal, too, and may stay for Ctrl-C.
    std::signal(SIGINT, SIG_IGN);
    std::signal(SIGPIPE, SIG_IGN);
    FILE* pipe = popen(("exec " + command).c_str(), "we");
    if (pipe == nullptr)
        return false;
    std::fputs(text.c_str(), pipe);
    constexpr int kNotFound = 127;
    const int status = pclose(pipe);
    return !(WIFEXITED(status) && WEXITSTATUS(status) == kNotFound);
}

}  // namespace

View view_of_stdout() {
    if (isatty(STDOUT_FILENO) == 0)
        return {};
    const bool has_color = environment("NO_COLOR").empty() && environment("TERM") != "dumb";
    return {size_of_stdout().ws_col, has_color};
}

std::size_t lines_of_stdout() {
    return size_of_stdout().ws_row;
}

void print(const std::string& text) {
    if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0)
        throw std::runtime_error("write to standard output failed");
}

void show(const std::string& text, bool may_page) {
    const std::size_t room = lines_of_stdout();
    const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
    if (may_page && room > 0 && lines >= room && page(text))
        return;
    print(text);
}

}  // namespace sockaccel::ctl
