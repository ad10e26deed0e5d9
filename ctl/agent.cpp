// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>

#include "fd.hpp"

namespace sockaccel::ctl {
namespace {

constexpr std::chrono::milliseconds kPatience{10000};

// As polkit finds it: a desktop's agent is registered for its session.
bool has_session() {
    char* session = nullptr;
    const bool is_found =
        sd_pid_get_session(0, &session) >= 0 || sd_uid_get_display(::getuid(), &session) >= 0;
    std::free(session);
    return is_found;
}

[[noreturn]] void be_agent(pid_t parent, int notify) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent)
        ::_exit(1);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    const std::string process = "--process=" + std::to_string(parent);
    const std::string tell = "--notify-fd=" + std::to_string(notify);
    // Without a session polkit overlooks an agent that wants to be the second choice (up to 127).
    const char* fallback = has_session() ? "--fallback" : nullptr;
    ::execlp("pkttyagent", "pkttyagent", process.c_str(), tell.c_str(), fallback, nullptr);
    ::_exit(1);
}

}  // namespace

Agent::Agent() {
    if (::geteuid() == 0 || ::isatty(STDIN_FILENO) == 0)
        return;
    std::array<int, 2> ends{};
    check(::pipe(ends.data()), "make a pipe for pkttyagent");
    const Fd output(ends[0]);
    Fd notify(ends[1]);
    const pid_t parent = ::getpid();
    process_ = check(::fork(), "start pkttyagent");
    if (process_ == 0)
        be_agent(parent, notify.get());
    notify = Fd();
    // It closes its end when it is registered, and in any case when it ends.
    pollfd closed{output.get(), 0, 0};
    ::poll(&closed, 1, static_cast<int>(kPatience.count()));
}

// It gives the terminal back as it was.
Agent::~Agent() {
    if (process_ <= 0)
        return;
    ::kill(process_, SIGTERM);
    ::kill(process_, SIGCONT);
    while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

}  // namespace sockaccel::ctl
