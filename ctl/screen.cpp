// SPDX-License-Identifier: GPL-2.0-or-later
#include "screen.hpp"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "output.hpp"

namespace sockaccel::ctl {

namespace {

// Control sequences that each terminal of the last decades knows.
constexpr const char* kEnter = "\033[?1049h\033[?25l";
constexpr const char* kLeave = "\033[?25h\033[?1049l";
constexpr const char* kHome = "\033[H";
constexpr const char* kEndOfLine = "\033[K";
constexpr const char* kEndOfScreen = "\033[J";

Fd watch_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGWINCH})
        sigaddset(&signals, number);
    check(sigprocmask(SIG_BLOCK, &signals, nullptr), "block signals");
    return Fd(check(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK), "watch signals"));
}

}  // namespace

Screen::Screen(bool is_terminal) : is_terminal_(is_terminal), signals_(watch_signals()) {
    if (!is_terminal_)
        return;
    // In the background, it would be stopped by this.
    has_keys_ = tcgetpgrp(STDIN_FILENO) == getpgrp() && tcgetattr(STDIN_FILENO, &before_) == 0;
    if (has_keys_) {
        termios quiet = before_;
        quiet.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
    }
    print(kEnter);
}

Screen::~Screen() {
    if (!is_terminal_)
        return;
    try {
        print(kLeave);
    } catch (const std::exception&) {
        // The terminal is gone.
    }
    if (has_keys_)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
}

void Screen::draw(const std::string& text) const {
    std::string out = kHome;
    std::size_t room = std::max<std::size_t>(lines_of_stdout(), 1);
    for (std::size_t at = 0; at < text.size() && room > 0; --room) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        out += text.substr(at, end - at) + kEndOfLine;
        at = end + 1;
        if (at < text.size() && room > 1)
            out += "\r\n";
    }
    print(out + kEndOfScreen);
}

std::optional<Screen::Event> Screen::take_signal() const {
    signalfd_siginfo signal{};
    if (read(signals_.get(), &signal, sizeof(signal)) != sizeof(signal))
        return {};
    return signal.ssi_signo == SIGWINCH ? Event::resized : Event::end;
}

bool Screen::is_end_key() const {
    std::array<char, 64> keys{};
    const ssize_t count = read(STDIN_FILENO, keys.data(), keys.size());
    return count <= 0 || std::find(keys.begin(), keys.begin() + count, 'q') != keys.begin() + count;
}

Screen::Event Screen::wait(std::chrono::milliseconds delay) {
    using std::chrono::steady_clock;
    if (!due_)
        due_ = steady_clock::now() + delay;
    while (true) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(*due_ - steady_clock::now()).count();
        if (left <= 0) {
            due_.reset();
            return Event::time;
        }
        std::array<pollfd, 2> waited = {
            {{signals_.get(), POLLIN, 0}, {has_keys_ ? STDIN_FILENO : -1, POLLIN, 0}}};
        if (poll(waited.data(), waited.size(), static_cast<int>(left)) < 0 && errno != EINTR)
            check(-1, "wait");
        if (waited[0].revents != 0)
            if (const auto event = take_signal())
                return *event;
        if (waited[1].revents != 0 && is_end_key())
            return Event::end;
    }
}

}  // namespace sockaccel::ctl
