// SPDX-License-Identifier: GPL-2.0-or-later
#include "programs.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>

#include "temporary_directory.hpp"
#include "wait_until.hpp"

namespace sockaccel::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr milliseconds kWarmUp{1000};
constexpr seconds kEnrolPatience{8};  // with many connections it takes a while
constexpr milliseconds kThaw{30};     // until the programs are at full speed again
constexpr milliseconds kFreezePatience{5000};

nanoseconds real_time() {
    return std::chrono::system_clock::now().time_since_epoch();
}

std::string last_line_of(const test::Process& process) {
    std::string text = process.standard_output() + process.standard_error();
    text.erase(text.find_last_not_of(" \n\r") + 1);
    const std::size_t at = text.find_last_of("\n\r");
    return at == std::string::npos ? text : text.substr(at + 1);
}

// A way cannot be measured any further; what() says why.
class Failure : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The programs of one way.
class Runner {
  public:
    Runner(Rig& rig, const Program& program, Way way)
        : way_(way), cgroup_(rig.cgroup(way), "program"), place_(cgroup_, netns_) {
        std::filesystem::permissions(directory_.path(), std::filesystem::perms(0755));
        load_ = program.start({way, netns_, place_, directory_.path()});
    }

    void freeze(bool is_frozen) const {
        std::ofstream(cgroup_.directory() / "cgroup.freeze") << is_frozen << std::flush;
        const std::string wanted = fmt::format("frozen {}", is_frozen ? 1 : 0);
        const bool is_done = test::wait_until(
            [&] {
                std::ifstream file(cgroup_.directory() / "cgroup.events");
                for (std::string line; std::getline(file, line);)
                    if (line == wanted)
                        return true;
                return false;
            },
            kFreezePatience);
        if (!is_done)
            throw Failure("cannot be frozen");
    }

    // Thawed, for so long.
    void run(nanoseconds duration) {
        stop_if_interrupted();
        freeze(false);
        std::this_thread::sleep_for(duration);
        freeze(true);
        expect_alive();
    }

    Sample measure(milliseconds duration) {
        stop_if_interrupted();
        freeze(false);
        std::this_thread::sleep_for(kThaw);
        const std::uint64_t done = load_.progress ? load_.progress() : 0;
        const nanoseconds cpu = cpu_of(cgroup_), begin = real_time();
        std::this_thread::sleep_for(duration);
        const nanoseconds end = real_time();
        Sample sample;
        sample.count = load_.progress ? load_.progress() - done : 1;
        sample.elapsed = end - begin;
        sample.cpu = cpu_of(cgroup_) - cpu;
        freeze(true);
        expect_alive();
        if (sample.count == 0)
            throw Failure("hangs");
        windows_.push_back({begin, end});
        return sample;
    }

    // The samples with what only the programs' own records tell.
    void account(std::vector<Sample>& samples) {
        if (!load_.account)
            return;
        run(milliseconds(300));  // so that what came before is written
        freeze(false);
        load_.processes.back()->signal(SIGTERM);
        static_cast<void>(load_.processes.back()->wait());
        const std::vector<Sample> told = load_.account(windows_);
        for (std::size_t i = 0; i < samples.size(); ++i) {
            samples[i].count = told[i].count;
            samples[i].p50 = told[i].p50;
            samples[i].p99 = told[i].p99;
            if (samples[i].count == 0)
                throw Failure("hangs");
        }
    }

    [[nodiscard]] Way way() const { return way_; }
    [[nodiscard]] bool keeps_records() const { return bool(load_.account); }

  private:
    void expect_alive() {
        for (const auto& process : load_.processes)
            if (!process->runs())
                throw Failure("ends: " + last_line_of(*process));
    }

    Way way_;
    TemporaryDirectory directory_;
    test::TestCgroup cgroup_;
    test::Netns netns_;
    test::Place place_;
    Load load_;  // ends first
    std::vector<Window> windows_;
};

class ProgramContest {
  public:
    ProgramContest(Session& session, const Program& program)
        : session_(session), program_(program) {
        row_.group = program.group;
        row_.name = program.name;
        row_.unit = program.unit;
    }

    void measure() {
        static_cast<void>(session_.rig());  // if that fails, it is no way that does
        start_all();
        const unsigned turns = session_.turns(Precision::usual);
        for (unsigned turn = 0; turn < turns && is_worth_it(); ++turn) {
            if (turn > 0 && turn % turns_of_one() == 0)
                start_all();
            take_turn(turn);
        }
        for (const auto& runner : runners_)
            attempt(runner->way(), [&] { runner->account(row_.samples.at(runner->way())); });
        for (const auto& [way, why] : row_.failures)
            row_.samples.erase(way);
        if (!is_worth_it()) {
            for (const auto& [way, why] : row_.failures)
                session_.omit(row_.group, fmt::format("{}, {}", row_.name, to_string(way)), why);
            return;
        }
        const double all = static_cast<double>(bytes_.redirected + bytes_.tcp);
        row_.redirected = all > 0 ? static_cast<double>(bytes_.redirected) / all : 0;
        session_.add(std::move(row_));
    }

  private:
    // With new connections, if there were some.
    void start_all() {
        runners_.clear();
        for (const Way way : program_.ways)
            if (!row_.failures.contains(way))
                attempt(way, [&] { start(way); });
    }

    // After how many turns all is started anew: two connections of one way may differ by more than
    // two ways do, for as long as they are. In TCP, whose state is larger, most of all.
    [[nodiscard]] unsigned turns_of_one() const {
        if (std::ranges::any_of(runners_, &Runner::keeps_records))
            return ~0U;
        return row_.enrolled < 0.5 ? 1 : 2;
    }

    void start(Way way) {
        auto runner = std::make_unique<Runner>(session_.rig(), program_, way);
        runner->run(kWarmUp);
        if (way == Way::accelerated) {
            await_enrolment(*runner);
            runner->run(kWarmUp);  // the trial of what is put aside is over, but its trace is not
        }
        runners_.push_back(std::move(runner));
    }

    void await_enrolment(Runner& runner) {
        const auto deadline = std::chrono::steady_clock::now() + kEnrolPatience;
        while (std::chrono::steady_clock::now() < deadline) {
            runner.run(milliseconds(200));
            look();
            if (row_.enrolled >= 1 || is_settled_)
                return;
        }
    }

    void look() {
        const Standing standing = session_.rig().standing([this](const Dict& connection) {
            return !program_.is_measured || program_.is_measured(connection);
        });
        is_settled_ = standing.is_settled;
        row_.enrolled = standing.enrolled;
        row_.state = standing.state;
        row_.reason = standing.reason;
        row_.reason_text = standing.reason_text;
    }

    void take_turn(unsigned turn) {
        const auto failed = [&](const auto& runner) {
            return row_.failures.contains(runner->way());
        };
        std::erase_if(runners_, failed);
        std::vector<std::pair<Way, Measure>> ways;
        for (const auto& one : runners_)
            ways.emplace_back(one->way(), [&, &runner = *one] { return measure_one(runner); });
        bench::take_turn(row_, turn, ways);
    }

    // The sample is empty if the way has failed; it is not looked at any more then.
    Sample measure_one(Runner& runner) {
        Sample sample;
        attempt(runner.way(), [&] {
            const Rig::Bytes before = session_.rig().bytes();
            sample = runner.measure(session_.sample() * stretch_of(runner));
            if (runner.way() != Way::accelerated)
                return;
            const Rig::Bytes after = session_.rig().bytes();
            bytes_.redirected += after.redirected - before.redirected;
            bytes_.tcp += after.tcp - before.tcp;
            look();
        });
        return sample;
    }

    // What the tutorial's scheme may queue has no limit, but time.
    [[nodiscard]] int stretch_of(const Runner& runner) const {
        return runner.way() == Way::tutorial ? 1 : program_.stretch;
    }

    template <typename Action>
    void attempt(Way way, Action action) {
        try {
            action();
        } catch (const std::exception& error) {
            stop_if_interrupted();
            row_.failures[way] = error.what();
        }
    }

    [[nodiscard]] bool is_worth_it() const {
        return !row_.failures.contains(Way::plain) && !row_.failures.contains(Way::accelerated);
    }

    Session& session_;
    const Program& program_;
    std::vector<std::unique_ptr<Runner>> runners_;
    Row row_;
    Rig::Bytes bytes_;
    bool is_settled_ = false;
};

bool is_there(const std::string& program) {
    return std::system(("command -v " + program + " >/dev/null").c_str()) == 0;
}

// A line of /proc/net/tcp: "  0: 0100007F:18EB 00000000:0000 0A …"
bool listens(pid_t pid, std::uint16_t port) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/net/tcp");
    const std::string wanted = fmt::format(":{:04X} 00000000:0000 0A", port);
    for (std::string line; std::getline(file, line);)
        if (line.find(wanted) != std::string::npos)
            return true;
    return false;
}

}  // namespace

void measure_program(Session& session, const Program& program) {
    ProgramContest(session, program).measure();
}

bool has_programs(Session& session, const std::string& group,
                  const std::vector<std::string>& programs) {
    for (const std::string& program : programs)
        if (!is_there(program)) {
            session.omit(group, "all", program + " is not installed");
            return false;
        }
    return true;
}

std::uint64_t bytes_read_by(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/io");
    std::string word;
    std::uint64_t bytes = 0;
    file >> word >> bytes;  // "rchar: N"
    return bytes;
}

void await_listener(test::Process& process, std::uint16_t port) {
    const bool is_up =
        test::wait_until([&] { return !process.runs() || listens(process.pid(), port); });
    if (!is_up || !process.runs())
        throw std::runtime_error("does not start: " + last_line_of(process));
}

std::unique_ptr<test::Process> start(const test::Command& command) {
    return std::make_unique<test::Process>(command);
}

}  // namespace sockaccel::bench
