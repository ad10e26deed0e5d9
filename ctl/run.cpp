// SPDX-License-Identifier: GPL-2.0-or-later
// A command, covered by temporary rules that end with it. Its exit status is this process's, and a
// signal that ends it ends this process, too.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>

#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "fd.hpp"
#include "quantity.hpp"
#include "run_rules.hpp"
#include "transient_cgroup.hpp"

namespace sockaccel::ctl {
namespace {

constexpr int kFailed = 125, kCannotRun = 126, kNotFound = 127;  // as env(1) has it

template <typename... Values>
void tell(fmt::format_string<Values...> text, Values&&... values) {
    fmt::print(stderr, "sockaccelctl: run: {}\n",
               fmt::format(text, std::forward<Values>(values)...));
}

// What somebody sends to this process is meant for the command.
constexpr int kPassedOn[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT};

sigset_t watched_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    for (const int signal : kPassedOn)
        sigaddset(&signals, signal);
    return signals;
}

// A process that becomes the command when it is told to.
class Child {
  public:
    explicit Child(const std::vector<std::string>& command) {
        const sigset_t signals = watched_signals();
        sigset_t before;
        check(::sigprocmask(SIG_BLOCK, &signals, &before), "block signals");
        signals_ = Fd(check(::signalfd(-1, &signals, SFD_CLOEXEC), "watch signals"));
        int ends[2];
        check(::pipe2(ends, O_CLOEXEC), "make a pipe");
        Fd heard(ends[0]);
        go_ = Fd(ends[1]);
        pid_ = check(::fork(), "start a process");
        if (pid_ == 0) {
            go_ = {};
            become(command, heard, before);
        }
    }
    // Without go() it ends by itself: nobody tells it to go any more.
    ~Child() {
        go_ = {};
        if (!has_ended_)
            ::waitpid(pid_, nullptr, 0);
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    [[nodiscard]] pid_t pid() const { return pid_; }
    void go() {
        check(static_cast<int>(::write(go_.get(), "!", 1)), "start the command");
        go_ = {};
    }

    // Readable when look() has something to do.
    [[nodiscard]] int fd() const { return signals_.get(); }
    // Passes signals on; the command's status, as of waitpid(2), when it has ended.
    std::optional<int> look() {
        signalfd_siginfo signal{};
        check(static_cast<int>(::read(signals_.get(), &signal, sizeof signal)), "read a signal");
        const int number = static_cast<int>(signal.ssi_signo);
        if (number == SIGCHLD) {
            int status = 0;
            if (check(::waitpid(pid_, &status, WNOHANG), "wait for the command") == 0)
                return {};
            has_ended_ = true;
            return status;
        }
        // The terminal's go to the command anyway, as it is in the same process group.
        if (signal.ssi_code != SI_KERNEL)
            ::kill(pid_, number);
        return {};
    }

  private:
    [[noreturn]] static void become(const std::vector<std::string>& command, const Fd& heard,
                                    const sigset_t& mask) {
        char byte = 0;
        if (::read(heard.get(), &byte, 1) != 1)
            ::_exit(kFailed);
        ::sigprocmask(SIG_SETMASK, &mask, nullptr);
        std::vector<char*> arguments;
        for (const std::string& argument : command)
            arguments.push_back(const_cast<char*>(argument.c_str()));
        arguments.push_back(nullptr);
        ::execvp(arguments[0], arguments.data());
        const int error = errno;
        std::fprintf(stderr, "sockaccelctl: run: %s: %s\n", arguments[0], std::strerror(error));
        ::_exit(error == ENOENT ? kNotFound : kCannotRun);
    }

    Fd signals_, go_;
    pid_t pid_ = -1;
    bool has_ended_ = false;
};

// The rules of a run, as the daemon knows them.
class Covering {
  public:
    Covering(Client& client, const std::string& name, const std::string& cgroup,
             const RunOptions& options)
        : client_(client), text_(run_rules(name, cgroup, options, client.rules())) {
        hold();
    }

    void hold() { names_ = client_.hold(text_); }

    [[nodiscard]] std::vector<RuleReport> reports() const {
        std::vector<RuleReport> reports = client_.rules();
        std::erase_if(reports, [this](const RuleReport& rule) {
            return std::find(names_.begin(), names_.end(), rule.name) == names_.end();
        });
        return reports;
    }

    // The command would not be what its user thinks it is.
    void expect_one_to_run() const {
        std::string why;
        for (const RuleReport& rule : reports()) {
            if (rule.state != "refused")
                return;
            why = rule.why;
        }
        throw ClientError("not started, as nothing of it would be accelerated: " + why +
                          " (--tolerate fionread,splice,... says so here)");
    }

  private:
    Client& client_;
    const std::string text_;
    std::vector<std::string> names_;
};

void sum_up(const Covering& covering) {
    std::uint64_t paired = 0, enrolled = 0, redirected = 0, left = 0;
    for (const RuleReport& rule : covering.reports()) {
        paired += rule.paired;
        enrolled += rule.enrolled;
        redirected += rule.redirected_bytes;
        left += rule.tcp_bytes;
    }
    tell("{} of {} connections were accelerated: {} redirected, {} of theirs left to TCP", enrolled,
         paired, format_bytes(redirected), format_bytes(left));
}

// Whatever becomes of the daemon, the command goes on.
int wait_for(Child& child, Client& client, Covering& covering) {
    bool has_bus = true;
    while (true) {
        try {
            switch (has_bus ? client.wait(child.fd()) : Client::Woken::readable) {
                case Client::Woken::readable:
                    if (const auto status = child.look())
                        return *status;
                    break;
                case Client::Woken::daemon_left:
                    tell("sockacceld has ended: from now on the command is in plain TCP");
                    break;
                case Client::Woken::daemon_came:
                    covering.hold();
                    tell("sockacceld is back: connections are covered again");
                    break;
            }
        } catch (const ClientError& error) {
            if (!has_bus)
                throw;
            tell("from now on the command is in plain TCP: {}", error.what());
            has_bus = false;
        }
    }
}

int end_like(int status) {
    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status);
    const int signal = WTERMSIG(status);
    const rlimit no_core{0, 0};  // the command has dumped its own
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::signal(signal, SIG_DFL);
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, signal);
    ::raise(signal);
    ::sigprocmask(SIG_UNBLOCK, &only, nullptr);
    return 128 + signal;  // one that does not end a process
}

int run_covered(const Common& common, const RunOptions& options) {
    Client client = connect(common, IfNotRunning::start);
    client.watch();
    Child child(options.command);
    const std::string name = fmt::format("sockaccel-run-{}", child.pid());
    const TransientCgroup cgroup(child.pid(), name, "sockaccelctl run " + options.command.front());
    Covering covering(client, fmt::format("run-{}", child.pid()), cgroup.path(), options);
    covering.expect_one_to_run();
    child.go();
    const int status = wait_for(child, client, covering);
    const bool has_run = !WIFEXITED(status) ||
                         (WEXITSTATUS(status) != kNotFound && WEXITSTATUS(status) != kCannotRun);
    if (has_run && !options.is_quiet) {
        try {
            sum_up(covering);
        } catch (const ClientError&) {  // it has been told that the daemon is gone
        }
    }
    return status;
}

int run(const Common& common, const RunOptions& options) {
    int status = 0;
    try {
        status = run_covered(common, options);
    } catch (const std::exception& error) {
        tell("{}", error.what());
        return kFailed;
    }
    return end_like(status);
}

void add_options(CLI::App& app, RunOptions& options) {
    const auto list = [&](const char* name, std::vector<std::string>& values, const char* type,
                          const char* help) {
        app.add_option(name, values, help)
            ->type_name(type)
            ->delimiter(',')
            ->allow_extra_args(false);
    };
    list("--rule", options.joined, "RULE",
         "cover connections with this rule's programs alone; none: with every rule's");
    list("--port", options.ports, "PORT", "servers' ports inside the command; none: every one");
    list("--network", options.networks, "NETWORK",
         "servers' addresses inside the command; none: loopback");
    list("--tolerate", options.tolerate, "HAZARD",
         "what no program of the command uses: fionread, splice, waitall, stall");
    app.add_option("--prove", options.prove, "how long to watch before the first is enrolled")
        ->type_name("TIME")
        ->capture_default_str();
    app.add_option("--queue", options.queue, "what may wait before TCP takes over")
        ->type_name("SIZE");
    app.add_flag("--quiet", options.is_quiet, "no summary when the command has ended");
    app.add_option("COMMAND", options.command, "the command and its arguments, after --")
        ->required();
}

Run declare(CLI::App& app, const Common& common) {
    const auto options = std::make_shared<RunOptions>();
    add_options(app, *options);
    return [&common, options] { return run(common, *options); };
}

}  // namespace

const Command run_command{
    "run", "run a command, accelerated for as long as it runs (root, or by polkit)",
    "sockaccelctl run -- redis-benchmark\twith a server that a rule covers\n"
    "sockaccelctl run --tolerate fionread,splice,waitall -- sh -c 'iperf3 -s -1 & sleep 1; "
    "iperf3 -c 127.0.0.1'\twithin itself\n",
    declare};

}  // namespace sockaccel::ctl
