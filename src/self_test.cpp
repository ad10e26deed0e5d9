// SPDX-License-Identifier: GPL-2.0-or-later
#include "self_test.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fd.hpp"

namespace sockaccel {
namespace {

// A pipe takes this much without a reader: the child never waits for the daemon.
constexpr std::size_t kMostOutput = 65536;

// Whatever happens to the daemon: the child ends, and holds nothing of it.
[[noreturn]] void be_child(pid_t daemon, int output, const SelfTest::Measure& measure) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != daemon)
        ::_exit(1);
    const auto fd = static_cast<unsigned>(output);
    if (fd > 3)
        ::close_range(3, fd - 1, 0);
    ::close_range(fd + 1, ~0U, 0);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    try {
        measure([output](const Observation& observation) {
            const std::string line = observation.line() + "\n";
            if (::write(output, line.data(), line.size()) < 0)
                ::_exit(1);
        });
    } catch (...) {
        ::_exit(1);
    }
    ::_exit(0);  // no destructors: they are the daemon's
}

std::string read_all(int fd) {
    std::string text(kMostOutput, '\0');
    const ssize_t count = ::read(fd, text.data(), text.size());
    text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return text;
}

std::vector<Observation> observations_in(std::string_view text) {
    std::vector<Observation> observations;
    for (std::size_t end = 0; (end = text.find('\n')) != std::string_view::npos;
         text.remove_prefix(end + 1)) {
        if (auto observation = Observation::parse(text.substr(0, end)))
            observations.push_back(std::move(*observation));
    }
    return observations;
}

std::string ending_of(int status) {
    if (WIFSIGNALED(status))
        return "the test was killed by signal " + std::to_string(WTERMSIG(status)) + " (" +
               ::strsignal(WTERMSIG(status)) + ")";
    if (WEXITSTATUS(status) != 0)
        return "the test failed";
    return "";
}

}  // namespace

struct SelfTest::Child {
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    explicit Child(const Measure& measure) {
        std::array<int, 2> ends{};
        check(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), "make a pipe for the self-test");
        output = Fd(ends[0]);
        const Fd input(ends[1]);
        const pid_t daemon = ::getpid();
        id = check(::fork(), "start the self-test");
        if (id == 0)
            be_child(daemon, input.get(), measure);
        handle = Fd(static_cast<int>(::syscall(SYS_pidfd_open, id, 0)));
        if (!handle) {
            const int error = errno;
            end();
            throw std::system_error(error, std::generic_category(), "watch the self-test");
        }
    }
    ~Child() { end(); }

    // Does not wait: one that the kernel does not let go becomes init's.
    void end() {
        if (id <= 0)
            return;
        ::kill(id, SIGKILL);
        ::waitpid(id, nullptr, WNOHANG);
        id = 0;
    }

    pid_t id = 0;
    std::chrono::nanoseconds start = now();
    Fd output, handle;
    Source source;
    bool is_late = false;  // the verdict was given without waiting for its end
};

SelfTest::SelfTest(EventLoop& loop, Measure measure,
                   std::function<void(const KernelVerdict&, std::chrono::nanoseconds)> done,
                   std::chrono::milliseconds patience, std::chrono::milliseconds retest)
    : loop_(loop),
      measure_(std::move(measure)),
      done_(std::move(done)),
      patience_(patience),
      retest_(retest),
      next_retest_(retest),
      deadline_(loop.timer([this] { time_out(); })),
      again_(loop.timer([this] { start(); })) {}

SelfTest::~SelfTest() = default;

void SelfTest::start() {
    if (child_ && !child_->is_late)
        return;
    std::string failure;
    if (child_) {
        failure = "the test before does not end: the kernel does not let it go";
    } else {
        try {
            auto child = std::make_unique<Child>(measure_);
            child->source = loop_.on_readable(child->handle.get(), [this] { finish(); });
            deadline_.arm(now() + patience_);
            child_ = std::move(child);
            return;
        } catch (const std::system_error& error) {
            failure = std::string("the test could not be started: ") + error.what();
        }
    }
    deferred_ = loop_.defer([this, failure] { conclude(judge({}, failure), {}); });
}

void SelfTest::conclude(const KernelVerdict& verdict, std::chrono::nanoseconds took) {
    if (verdict.state == KernelVerdict::State::unusable) {
        again_.arm(now() + next_retest_);
        next_retest_ = std::min<std::chrono::milliseconds>(2 * next_retest_, kMostRetest);
    } else {
        again_.disarm();
        next_retest_ = retest_;
    }
    done_(verdict, took);
}

// The child has ended.
void SelfTest::finish() {
    deadline_.disarm();
    const std::unique_ptr<Child> child = std::move(child_);
    int status = 0;
    check(::waitpid(child->id, &status, 0), "wait for the self-test");
    child->id = 0;
    child->source = {};
    if (!child->is_late)
        conclude(judge(observations_in(read_all(child->output.get())), ending_of(status)),
                 now() - child->start);
}

// It is killed, but may be where the kernel does not let it go: nobody waits for that.
void SelfTest::time_out() {
    ::kill(child_->id, SIGKILL);
    child_->is_late = true;
    conclude(judge(observations_in(read_all(child_->output.get())),
                   "the test took more than " + std::to_string(patience_.count()) + " ms"),
             now() - child_->start);
}

}  // namespace sockaccel
