// SPDX-License-Identifier: GPL-2.0-or-later
// sockaccelctl bench: what acceleration gains on this host, now, by the daemon that runs.
//
// Three pairs of processes: plain TCP and accelerated TCP, each in a cgroup of its own, and
// AF_UNIX. The daemon that runs is asked to hold a rule for the second cgroup, which ends with this
// program, however that ends. So what is measured is that daemon, with its limits, and no file is
// touched.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <memory>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "bus_address.hpp"
#include "client.hpp"
#include "commands.hpp"
#include "compare.hpp"
#include "event_loop.hpp"
#include "output.hpp"
#include "transient_cgroup.hpp"

namespace sockaccel::ctl {
namespace {

using bench::CaseComparison;
using bench::Way;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct BenchOptions {
    bool is_quick = false;
    unsigned repeat = 0;  // 0: the usual number
    std::string sizes;    // "": the usual ones
    std::string plot;     // a file to draw; "": none
};

constexpr unsigned kRepeat = 7, kQuickRepeat = 3, kMostRepeat = 1000;
constexpr milliseconds kSample{150}, kQuickSample{100};
constexpr milliseconds kWarmUp{10};   // of each connection in turn
constexpr seconds kRulePatience{30};  // the kernel may still be under test
constexpr seconds kEnrolPatience{6};  // enrolment takes a second and a bit
constexpr milliseconds kLookInterval{200};
constexpr int kInterrupted = 130;  // as a shell has it

volatile std::sig_atomic_t is_interrupted = 0;

struct Interrupted {};

void stop_if_interrupted() {
    if (is_interrupted != 0)
        throw Interrupted();
}

// On a terminal: how far it is, and how long it still takes.
class Progress {
  public:
    explicit Progress(std::size_t all) : all_(all), is_shown_(::isatty(STDERR_FILENO) == 1) {}
    ~Progress() { clear(); }
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    void tell(const std::string& what) { draw(what); }
    void step(const std::string& what) {
        ++done_;
        draw(what);
    }

  private:
    void draw(const std::string& what) {
        if (!is_shown_)
            return;
        constexpr std::size_t kWidth = 30;
        const std::size_t full = kWidth * done_ / all_;
        std::string left;
        if (done_ > 0) {
            const auto rest = (now() - begin_) * (all_ - done_) / done_;
            left = fmt::format(", {} s left", std::chrono::duration_cast<seconds>(rest).count());
        } else {
            begin_ = now();
        }
        fmt::print(stderr, "\r\x1b[K[{}{}] {}{}", std::string(full, '#'),
                   std::string(kWidth - full, '.'), what, left);
        std::fflush(stderr);
    }
    void clear() const {
        if (is_shown_)
            fmt::print(stderr, "\r\x1b[K");
    }

    std::size_t all_, done_ = 0;
    bool is_shown_;
    std::chrono::nanoseconds begin_ = now();
};

// The file that the picture goes to; made at once, so that a mistake is told before a minute of
// measuring. PNG is drawn from the SVG by rsvg-convert(1).
class Plot {
  public:
    explicit Plot(const std::string& file) : file_(file) {
        is_png_ = file.ends_with(".png");
        if (!is_png_ && !file.ends_with(".svg"))
            throw std::runtime_error("--plot " + file + ": the name has to end with .svg or .png");
        check_writable();
        if (is_png_ && !has_converter())
            throw std::runtime_error("--plot " + file +
                                     ": a PNG needs rsvg-convert, of the package librsvg2-bin: "
                                     "install that, or name the file ….svg");
    }

    void draw(const bench::Result& result) const {
        const std::string svg = is_png_ ? file_ + ".svg" : file_;
        std::ofstream stream(svg);
        stream << bench::svg_of(result) << std::flush;
        if (!stream)
            throw std::runtime_error("--plot " + file_ + ": cannot write " + svg);
        if (!is_png_)
            return;
        const int status = convert({"rsvg-convert", "--output", file_, svg});
        ::unlink(svg.c_str());
        if (status != 0)
            throw std::runtime_error("--plot " + file_ + ": rsvg-convert failed");
    }

  private:
    void check_writable() const {
        const Fd made(::open(file_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
        check(made.get(), "--plot " + file_);
    }

    [[nodiscard]] static bool has_converter() {
        return convert({"rsvg-convert", "--version"}) == 0;
    }

    // The exit status of the command, which writes nothing.
    static int convert(const std::vector<std::string>& command) {
        const pid_t pid = check(::fork(), "start " + command.front());
        if (pid == 0) {
            const int null = ::open("/dev/null", O_WRONLY);
            ::dup2(null, STDOUT_FILENO);
            std::vector<char*> arguments;
            for (const std::string& argument : command)
                arguments.push_back(const_cast<char*>(argument.c_str()));
            arguments.push_back(nullptr);
            ::execvp(arguments[0], arguments.data());
            ::_exit(127);
        }
        int status = 0;
        check(::waitpid(pid, &status, 0), "wait for " + command.front());
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }

    std::string file_;
    bool is_png_ = false;
};

class Measurement {
  public:
    Measurement(const BusAddress& bus, const BenchOptions& options)
        : unix_({.transport = bench::Transport::unix_socket}),
          plain_cgroup_(plain_.pid(), cgroup_name("plain"), "sockaccelctl bench, plain TCP"),
          accelerated_cgroup_(accelerated_.pid(), cgroup_name("accelerated"),
                              "sockaccelctl bench, accelerated TCP"),
          client_(bus, IfNotRunning::start),
          name_(fmt::format("bench-{}", ::getpid())) {
        result_.host = bench::this_host(SOCKACCEL_VERSION);
        result_.repeat = options.repeat != 0 ? options.repeat
                         : options.is_quick  ? kQuickRepeat
                                             : kRepeat;
        result_.sample = options.is_quick ? kQuickSample : kSample;
        const auto cases =
            options.sizes.empty()
                ? bench::usual_cases(options.is_quick ? bench::Extent::quick : bench::Extent::usual)
                : bench::cases_of_sizes(options.sizes);
        for (const bench::Case& one : cases)
            result_.comparisons.emplace_back().what = one;
    }

    bench::Result run() {
        Progress progress(result_.repeat * result_.comparisons.size());
        progress.tell("preparing");
        hold();
        connect();
        progress.tell("waiting until the connections are enrolled");
        warm_up();
        for (unsigned turn = 0; turn < result_.repeat; ++turn)
            for (std::size_t i = 0; i < result_.comparisons.size(); ++i) {
                CaseComparison& comparison = result_.comparisons[i];
                take_turn(i, turn);
                progress.step(fmt::format("{} {}",
                                          comparison.what.pattern == bench::Pattern::stream
                                              ? "stream, writes of"
                                              : "request/response of",
                                          bench::short_size(comparison.what.bytes)));
                stop_if_interrupted();
            }
        look_at_connections();
        for (std::size_t i = 0; i < result_.comparisons.size(); ++i)
            result_.comparisons[i].redirected = redirected_part(i);
        return std::move(result_);
    }

  private:
    static std::string cgroup_name(const char* which) {
        return fmt::format("sockaccel-bench-{}-{}", ::getpid(), which);
    }

    // The program that it covers uses none of what it tolerates.
    void hold() {
        client_.hold(
            fmt::format("[[rule]]\nname = \"{}\"\ncgroups = [\"/{}\"]\nports = [{}]\nnetworks = "
                        "[\"127.0.0.1/32\"]\nprove = \"0s\"\ntolerate = [\"fionread\", \"splice\", "
                        "\"waitall\"]\n",
                        name_, accelerated_cgroup_.path(), accelerated_.server_port()));
        const auto deadline = now() + kRulePatience;
        while (true) {
            const RuleReport report = rule();
            if (report.state == "active")
                return;
            if (report.state != "testing" && report.state != "waiting")
                throw ClientError("nothing can be accelerated: the rule is " + report.state + ": " +
                                  report.why);
            if (now() > deadline)
                throw ClientError("nothing can be accelerated after 30 s: the rule is " +
                                  report.state + ": " + report.why);
            stop_if_interrupted();
            std::this_thread::sleep_for(milliseconds(20));
        }
    }

    [[nodiscard]] RuleReport rule() {
        for (const RuleReport& report : client_.rules())
            if (report.name == name_)
                return report;
        throw ClientError(
            "sockacceld has lost the rule that it held for this measurement: was it "
            "restarted?");
    }

    void connect() {
        const std::size_t count = result_.comparisons.size();
        plain_ports_ = plain_.connect(count);
        accelerated_ports_ = accelerated_.connect(count);
        static_cast<void>(unix_.connect(count));
        redirected_.resize(count);
        payload_.resize(count);
    }

    // Each connection with its own traffic, as what is enrolled is decided by that.
    void warm_up() {
        const auto deadline = now() + kEnrolPatience;
        auto next_look = now() + seconds(1);
        while (now() < deadline) {
            for (std::size_t i = 0; i < result_.comparisons.size(); ++i) {
                static_cast<void>(accelerated_.run(i, result_.comparisons[i].what, kWarmUp));
                stop_if_interrupted();
            }
            if (now() < next_look)
                continue;
            next_look = now() + kLookInterval;
            look_at_connections();
            if (std::ranges::all_of(result_.comparisons, is_settled))
                return;
        }
    }

    // It is enrolled, or will not be for a while.
    static bool is_settled(const CaseComparison& comparison) {
        return comparison.state == "enrolled" ||
               (comparison.reason == "pattern" || comparison.reason == "cooling");
    }

    void take_turn(std::size_t index, unsigned turn) {
        CaseComparison& comparison = result_.comparisons[index];
        const auto run = [&](bench::Station& station) {
            return bench::run_warm(station, index, comparison.what, result_.sample);
        };
        bench::take_turn(comparison, turn,
                         {{Way::plain, [&] { return run(plain_); }},
                          {Way::accelerated, [&] { return run_counted(index); }},
                          {Way::unix_socket, [&] { return run(unix_); }}});
    }

    // Also counts what of it is redirected. The first short run, which is not, is left out.
    bench::Sample run_counted(std::size_t index) {
        const bench::Case& what = result_.comparisons[index].what;
        std::uint64_t moved = 0;
        const bench::Sample sample = bench::run_warm(accelerated_, index, what, result_.sample,
                                                     [&] { moved = rule().redirected_bytes; });
        redirected_[index] += rule().redirected_bytes - moved;
        payload_[index] +=
            what.pattern == bench::Pattern::stream ? sample.count : 2 * sample.count * what.bytes;
        return sample;
    }

    [[nodiscard]] double redirected_part(std::size_t index) const {
        return static_cast<double>(redirected_[index]) /
               static_cast<double>(std::max<std::uint64_t>(payload_[index], 1));
    }

    void look_at_connections() {
        for (CaseComparison& comparison : result_.comparisons)
            comparison.state = comparison.reason = comparison.reason_text = "";
        for (const ConnectionReport& connection : client_.connections(false).connections) {
            const std::uint16_t port = connection.client.port;
            if (connection.rule != name_) {
                expect_not_plain(connection);
                continue;
            }
            const auto found = std::ranges::find(accelerated_ports_, port);
            if (found == accelerated_ports_.end())
                continue;
            CaseComparison& comparison =
                result_.comparisons[static_cast<std::size_t>(found - accelerated_ports_.begin())];
            comparison.state = connection.state;
            comparison.reason = connection.reason;
            comparison.reason_text = connection.reason_text;
        }
    }

    void expect_not_plain(const ConnectionReport& connection) const {
        if (connection.server.port == plain_.server_port() &&
            std::ranges::find(plain_ports_, connection.client.port) != plain_ports_.end())
            throw ClientError("rule " + connection.rule +
                              " covers the connections that are meant to be plain TCP: pause it "
                              "(sockaccelctl pause " +
                              connection.rule + ") and measure again");
    }

    bench::Station plain_, accelerated_, unix_;  // first: their processes know nothing of the bus
    TransientCgroup plain_cgroup_, accelerated_cgroup_;
    Client client_;
    std::string name_;
    std::vector<std::uint16_t> plain_ports_, accelerated_ports_;
    std::vector<std::uint64_t> redirected_, payload_;  // bytes, by case
    bench::Result result_;
};

constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

int measure(const Common& common, const BenchOptions& options) {
    std::optional<Plot> plot;
    if (!options.plot.empty())
        plot.emplace(options.plot);
    struct sigaction act {};
    act.sa_handler = [](int) { is_interrupted = 1; };
    for (const int signal : {SIGINT, SIGTERM})
        ::sigaction(signal, &act, nullptr);
    try {
        const bench::Result result = Measurement(BusAddress::parse(common.bus), options).run();
        const std::size_t width = view_of_stdout().width;
        print(common.is_json ? json_of(result) : text_of(result, width == 0 ? kUnlimited : width));
        if (plot)
            plot->draw(result);
        return EXIT_SUCCESS;
    } catch (const Interrupted&) {
        std::fprintf(stderr, "interrupted: nothing is left behind\n");
        return kInterrupted;
    }
}

Run declare(CLI::App& app, const Common& common) {
    const auto options = std::make_shared<BenchOptions>();
    app.add_flag("--quick", options->is_quick, "a few sizes, in ten seconds");
    app.add_option("--repeat", options->repeat, "how often each is measured, in turns")
        ->type_name("TIMES")
        ->check(CLI::Range(1U, kMostRepeat));
    app.add_option("--sizes", options->sizes,
                   "messages of these sizes, in both patterns, such as 64,4KiB,1MiB")
        ->type_name("SIZES");
    app.add_option("--plot", options->plot, "draw the result: FILE.svg or FILE.png")
        ->type_name("FILE");
    return [options, &common] { return measure(common, *options); };
}

}  // namespace

const Command bench_command{"bench", "measure what acceleration gains on this host, now (root)",
                            "bench\tabout a minute\n"
                            "bench --quick --plot bench.svg\tten seconds, and a picture\n"
                            "bench --sizes 100,2KiB --repeat 30 --json\tmessages as yours are\n",
                            declare};

}  // namespace sockaccel::ctl
