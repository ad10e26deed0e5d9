// SPDX-License-Identifier: GPL-2.0-or-later
// Whatever there is only so much of: plain TCP goes on, a counter and a message tell.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include "cgroup_tree.hpp"
#include "host_turn.hpp"
#include "kernel_test.hpp"
#include "sockaccel.h"

namespace sockaccel::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kKiB = 1024, kMiB = kKiB * kKiB;

std::string read_file(const std::filesystem::path& file) {
    std::ifstream stream(file);
    if (!stream)
        throw std::runtime_error("cannot read " + file.string());
    std::stringstream text;
    text << stream.rdbuf();
    return text.str();
}

void write_file(const std::filesystem::path& file, const std::string& text) {
    std::ofstream stream(file);
    stream << text << std::flush;
    if (!stream)
        throw std::runtime_error("cannot write \"" + text + "\" to " + file.string());
}

std::size_t times_in(const std::string& text, const std::string& part) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
        ++count;
    return count;
}

class Limits : public KernelTest {
  protected:
    // That the log has it once, and `status` shows it.
    void expect_told(const std::string& limit, const std::string& words) {
        EXPECT_TRUE(wait_until([&] { return times_in(daemon_->output(), words) > 0; }, 5s));
        EXPECT_EQ(times_in(daemon_->output(), words), 1U) << daemon_->output();
        EXPECT_GT(limit_hits().at(limit), 0U);
        std::string problems;
        for (const std::string& problem : daemon_->manager().Problems())
            problems += problem + "\n";
        EXPECT_EQ(times_in(problems, words), 1U) << problems;
    }

    [[nodiscard]] std::uint64_t live() {
        const Counts counts = counters();
        return counts.at("enrolled") - counts.at("left");
    }
};

// --- connections

TEST_F(Limits, WhoFindsTheTableFullStaysInTcpUntilThereIsRoom) {
    constexpr std::size_t kMost = 4, kCount = 10;
    start_daemon("[limits]\nconnections = 4\n" + usual_policy());
    std::vector<TcpPair> pairs = Listener(covered_route()).connect(kCount);
    const auto talk = [&pairs](std::size_t first) {
        for (std::size_t i = first; i < pairs.size(); i++)
            converse(pairs[i], {.request = 1000, .response = 1000});
    };
    EXPECT_TRUE(wait_until([&] {
        talk(0);
        return live() == kMost && limit_hits().at("connections") >= kCount - kMost;
    }));
    std::size_t enrolled = 0, full = 0;
    EXPECT_TRUE(wait_until([&] {
        talk(0);
        enrolled = full = 0;
        for (const Seen& seen : connections()) {
            enrolled += seen.state == "enrolled" ? 1 : 0;
            full += seen.state == "paired" && seen.reason == "full" ? 1 : 0;
        }
        return full == kCount - kMost;
    })) << full
        << " are told to be left out";
    EXPECT_EQ(enrolled, kMost);
    EXPECT_EQ(status().at("pairs"), kMost);
    expect_told("connections", "the limit of 4 accelerated connections is reached");

    // It costs those nothing more: they do not ask again while nothing has changed.
    const std::uint64_t hits = limit_hits().at("connections");
    const auto end = Clock::now() + 2500ms;
    while (Clock::now() < end) {
        talk(0);
        std::this_thread::sleep_for(20ms);
    }
    EXPECT_EQ(limit_hits().at("connections"), hits);

    std::vector<TcpPair> left_out;
    for (TcpPair& pair : pairs)
        if (look(pair).reason == "full")
            left_out.push_back(std::move(pair));
    pairs = std::move(left_out);  // the enrolled ones close
    ASSERT_EQ(pairs.size(), kCount - kMost);
    EXPECT_TRUE(wait_until([&] {
        talk(0);
        return live() == kMost;
    })) << live()
        << " of those that were left out are enrolled now";
}

// How long the daemon has been on a CPU, and how much memory it has.
std::chrono::milliseconds cpu_time_of(pid_t pid) {
    std::istringstream stat(read_file(fmt::format("/proc/{}/stat", pid)));
    std::string word;
    std::uint64_t user = 0, system = 0;
    for (int field = 1; field <= 13; field++)
        stat >> word;
    stat >> user >> system;
    return std::chrono::milliseconds((user + system) * 1000 /
                                     static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK)));
}

std::uint64_t kib_of(const std::filesystem::path& file, const std::string& key) {
    const std::string text = read_file(file);
    const std::size_t at = text.find(key + ":");
    if (at == std::string::npos)
        throw std::runtime_error(file.string() + " has no " + key);
    return std::strtoull(text.c_str() + at + key.size() + 1, nullptr, 10);
}

// A process in a cgroup that has both ends of many connections, as one alone may not have so many
// files.
class Crowd {
  public:
    static constexpr std::size_t kMost = 9000;

    Crowd(const TestCgroup& cgroup, const std::string& address, std::size_t count) {
        std::array<int, 2> ends{};
        check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()),
              "make a channel");
        channel_ = Fd(ends[0]);
        Fd theirs(ends[1]);
        child_ = check(::fork(), "fork");
        if (child_ == 0) {
            channel_ = Fd();
            serve(theirs.get(), cgroup, address, count);
        }
    }
    ~Crowd() {
        const std::uint32_t end = 0;
        ::send(channel_.get(), &end, sizeof end, MSG_NOSIGNAL);
        ::waitpid(child_, nullptr, 0);
    }
    Crowd(const Crowd&) = delete;
    Crowd& operator=(const Crowd&) = delete;

    // On each connection a request and a response of so many bytes.
    void talk(std::uint32_t bytes) {
        check(static_cast<int>(::send(channel_.get(), &bytes, sizeof bytes, MSG_NOSIGNAL)),
              "have the crowd talk");
    }
    // Until that is done, or the connections are made. Throws what went wrong.
    void wait() {
        std::array<char, 512> text{};
        const ssize_t size = ::recv(channel_.get(), text.data(), text.size(), 0);
        if (size != 1)
            throw std::runtime_error(
                size <= 0 ? "the crowd is gone"
                          : std::string(text.data(), static_cast<std::size_t>(size)));
    }

  private:
    [[noreturn]] static void serve(int channel, const TestCgroup& cgroup,
                                   const std::string& address, std::size_t count) {
        try {
            write_file(cgroup.directory() / "cgroup.procs", "0");
            Route route;
            route.address = address;
            std::vector<TcpPair> pairs = Listener(route).connect(count);
            for (std::uint32_t bytes = 0;;) {
                check(static_cast<int>(::send(channel, "+", 1, MSG_NOSIGNAL)), "answer");
                if (::recv(channel, &bytes, sizeof bytes, 0) <= 0 || bytes == 0)
                    break;
                for (TcpPair& pair : pairs)
                    converse(pair, {.request = bytes, .response = 64});
            }
        } catch (const std::exception& error) {
            ::send(channel, error.what(), std::strlen(error.what()), MSG_NOSIGNAL);
        }
        ::_exit(0);
    }

    Fd channel_;
    pid_t child_ = -1;
};

// 20,000 with room for 8,192; SOCKACCEL_CONNECTIONS=100000 has that many with the default limit.
TEST_F(Limits, ManyMoreConnectionsThanThereIsRoomFor) {
    be_alone();  // so many take the kernel's memory for TCP
    const char* wanted = std::getenv("SOCKACCEL_CONNECTIONS");
    const std::size_t count = wanted == nullptr ? 20000 : std::strtoul(wanted, nullptr, 10);
    const std::size_t most = count <= 65536 ? 8192 : 65536;
    ASSERT_GT(count, most);
    const auto patience = slowness() * (60s + std::chrono::seconds(count / 250));
    const auto begin = Clock::now();
    auto say = [&, last = std::chrono::milliseconds(0)](const std::string& what) mutable {
        const std::filesystem::path process = fmt::format("/proc/{}/status", daemon_->pid());
        const auto used = cpu_time_of(daemon_->pid());
        std::printf(
            "%6.1f s  %s; daemon: %lu KiB, most %lu KiB, %ld ms of CPU more, last pass %lu us; "
            "slab %lu MiB\n",
            std::chrono::duration<double>(Clock::now() - begin).count(), what.c_str(),
            kib_of(process, "VmRSS"), kib_of(process, "VmHWM"), (used - last).count(),
            status().at("pass_usec"), kib_of("/proc/meminfo", "Slab") / kKiB);
        std::fflush(stdout);
        last = used;
    };

    start_daemon((most == 65536 ? "" : fmt::format("[limits]\nconnections = {}\n", most)) +
                 usual_policy());
    say("started");
    std::vector<std::unique_ptr<Crowd>> crowds;
    const auto wait = [&crowds] {
        for (const auto& crowd : crowds)
            crowd->wait();
    };
    const auto talk = [&](std::uint32_t bytes) {
        for (const auto& crowd : crowds)
            crowd->talk(bytes);
        wait();
    };
    for (std::size_t left = count; left > 0; left -= std::min(left, Crowd::kMost))
        crowds.push_back(std::make_unique<Crowd>(
            client_, fmt::format("127.0.1.{}", crowds.size() + 1), std::min(left, Crowd::kMost)));
    wait();
    say(fmt::format("{} connections", count));
    EXPECT_TRUE(wait_until(
        [&] {
            talk(64);
            return live() == most;
        },
        patience))
        << live() << " are enrolled";
    say("as many enrolled as may be");
    EXPECT_EQ(status().at("pairs"), most);
    const Counts before = counters();
    EXPECT_EQ(before.at("paired"), count);
    talk(3000);
    say("each has talked");
    const Counts after = counters();
    // Not each: with the default budget so many cannot all have a share of it at once.
    EXPECT_GE(after.at("redirected_messages") - before.at("redirected_messages"), most);
    // Passes may take a twentieth of a processor: some are looked at later, if they talk then.
    std::size_t forgotten = 0;  // ends
    const auto all_are_told = [&] {
        forgotten = limit_hits().at("halves");
        return limit_hits().at("connections") + forgotten >= count - most;
    };
    EXPECT_TRUE(wait_until(
        [&] {
            if (all_are_told())
                return true;
            talk(64);
            return false;
        },
        patience))
        << limit_hits().at("connections") << " found no room, " << forgotten << " forgotten";
    expect_told("connections", fmt::format("the limit of {} accelerated", most));
    if (forgotten > 0)
        expect_told("halves", "the table of halves was too small");

    // Of so many, `connections` shows a part, and says so.
    const auto [shown, omitted, hidden] = daemon_->manager().Connections();
    EXPECT_EQ(hidden, 0U);
    say(fmt::format("{} listed", shown.size()));
    EXPECT_LE(shown.size() + omitted, count);
    EXPECT_GE(shown.size() + omitted + forgotten, count);
    EXPECT_GT(shown.size(), 2000U);
    std::map<std::string, std::size_t> kinds;
    for (const Dict& one : shown)
        ++kinds[one.at("state").get<std::string>() + ", " + one.at("reason").get<std::string>()];
    EXPECT_GT(kinds["enrolled, none"], shown.size() / 4) << ::testing::PrintToString(kinds);
    EXPECT_GT(kinds["paired, full"], 0U);

    // While they go on, those left out cost the daemon nothing.
    const auto used = cpu_time_of(daemon_->pid());
    const auto since = Clock::now();
    talk(64);
    talk(64);
    const auto share = (cpu_time_of(daemon_->pid()) - used) * 100 / (Clock::now() - since);
    EXPECT_LE(share, 10) << "percent of a CPU";
    say("twice more");
    EXPECT_LT(kib_of(fmt::format("/proc/{}/status", daemon_->pid()), "VmHWM"), 200 * kKiB);

    crowds.clear();
    EXPECT_TRUE(wait_until([this] { return status().at("pairs") == 0; }, patience))
        << status().at("pairs") << " slots are still held";
    say("all closed");
    EXPECT_EQ(status().at("budget_used_bytes"), 0U);
    EXPECT_EQ(counters().at("left"), counters().at("enrolled"));
    EXPECT_EQ(connections().size(), 0U);

    TcpPair again = connect_pair(covered_route());
    warm_up(again, patience);
}

// --- memory for TCP

// net.ipv4.tcp_mem is the whole host's. While this lives, the kernel is under pressure by it, but
// the hard limit, at which it would drop, stays. A child process restores it if this one does not.
class TcpPressure {
  public:
    TcpPressure() : before_(read_file(kFile)) {
        std::istringstream fields(before_);
        std::string low, pressure, high;
        fields >> low >> pressure >> high;
        std::array<int, 2> ends{};
        check(::pipe2(ends.data(), O_CLOEXEC), "make a pipe");
        alive_ = Fd(ends[1]);
        Fd watched(ends[0]);
        child_ = check(::fork(), "fork");
        if (child_ == 0) {
            alive_ = Fd();
            ::setsid();
            pollfd gone{watched.get(), 0, 0};
            ::poll(&gone, 1, 10000 * slowness());
            write_file(kFile, before_);
            ::_exit(0);
        }
        write_file(kFile, "1 1 " + high);
    }
    ~TcpPressure() {
        alive_ = Fd();
        ::waitpid(child_, nullptr, 0);
    }
    TcpPressure(const TcpPressure&) = delete;
    TcpPressure& operator=(const TcpPressure&) = delete;

  private:
    static constexpr const char* kFile = "/proc/sys/net/ipv4/tcp_mem";
    std::string before_;
    Fd alive_;
    pid_t child_ = -1;
};

TEST_F(Limits, UnderPressureOfTcpMemoryAllGoesByTcpAndComesBackAfterwards) {
    be_alone();
    start_daemon(usual_policy());
    TcpPair held = connect_pair({.client = Place(other_), .server = Place(other_)});
    TcpPair pair = connect_pair(covered_route());
    warm_up(pair);
    // The kernel counts what is queued in steps of a MiB a CPU.
    flood(held.client, {.message = 65536, .most = 16 * kMiB});
    const Seen before = look(pair);
    Seen under;
    {
        const TcpPressure pressure;
        converse(pair, {.request = 100000, .response = 100000});  // enters it, by a charge
        const Seen begun = look(pair);
        converse(pair, {.request = 10000, .response = 10000, .turns = 10});
        under = look(pair);
        EXPECT_EQ(under.redirected_bytes(), begun.redirected_bytes()) << under.text();
    }
    EXPECT_GE(under.client.reasons["pressure"], 10U) << under.text();
    EXPECT_GE(under.server.reasons["pressure"], 10U) << under.text();
    EXPECT_EQ(before.client.reasons.count("pressure"), 0U);
    expect_told("tcp-memory", "the kernel is short of memory for TCP");

    read_all(held);
    EXPECT_TRUE(wait_until([&] {
        converse(pair, {.request = 10000, .response = 10000});
        return look(pair).redirected_bytes() > under.redirected_bytes();
    })) << look(pair).text();
    exchange_bytes(pair, {.to_server = 4 * kMiB, .to_client = 4 * kMiB, .finish = true});
}

// --- memory of a cgroup

// This process, and those that it starts meanwhile, in another cgroup.
struct Membership {
    // `controller`: "memory", or "" for cgroup2.
    Membership(const std::filesystem::path& directory, const std::filesystem::path& root,
               const std::string& controller) {
        const std::string key = ":" + controller + ":/";
        std::istringstream lines(read_file("/proc/self/cgroup"));
        for (std::string line; std::getline(lines, line);)
            if (const std::size_t at = line.find(key); at != std::string::npos)
                before = root / line.substr(at + key.size());
        write_file(directory / "cgroup.procs", std::to_string(::getpid()));
    }
    ~Membership() { write_file(before / "cgroup.procs", std::to_string(::getpid())); }
    Membership(const Membership&) = delete;
    Membership& operator=(const Membership&) = delete;
    std::filesystem::path before;
};

// Limits the memory of what is made in the client's cgroup: by cgroup2, where that has the
// controller; else by a cgroup1 beside it, which is for sockets only.
class MemoryLimit : public Limits {
  protected:
    static constexpr std::uint64_t kMost = 8 * kMiB;
    const std::filesystem::path kV1 = "/sys/fs/cgroup/memory";

    MemoryLimit() {
        const std::filesystem::path root = find_cgroup2_root();
        is_v2_ =
            (" " + read_file(root / "cgroup.controllers")).find(" memory") != std::string::npos;
        if (is_v2_) {
            for (const auto& above : {root, cgroup_.directory(), covered_.directory()})
                write_file(above / "cgroup.subtree_control", "+memory");
            directory_ = client_.directory();
            write_file(directory_ / "memory.max", std::to_string(kMost));
        } else if (std::filesystem::exists(kV1 / "memory.kmem.tcp.limit_in_bytes")) {
            directory_ = kV1 / ("sockaccel-test-" + std::to_string(::getpid()));
            check(::mkdir(directory_.c_str(), 0755), "make " + directory_.string());
            write_file(directory_ / "memory.kmem.tcp.limit_in_bytes", std::to_string(kMost));
        }
    }
    ~MemoryLimit() override {
        if (!is_v2_ && !directory_.empty()) {
            EXPECT_TRUE(wait_until([this] { return ::rmdir(directory_.c_str()) == 0; }, 5s));
        }
    }

    // A cgroup1 has what its processes make: the test is one of them meanwhile.
    TcpPair connect_limited() {
        if (is_v2_)
            return connect_pair(covered_route());
        const Membership inside(directory_, kV1, "memory");
        return connect_pair(covered_route());
    }

    // cgroup2 tells it with a delay of up to two seconds.
    [[nodiscard]] std::uint64_t socket_bytes() const {
        if (!is_v2_)
            return std::stoull(read_file(directory_ / "memory.kmem.tcp.usage_in_bytes"));
        const std::string stat = read_file(directory_ / "memory.stat");
        return std::stoull(stat.substr(stat.find("\nsock ") + 6));
    }

    std::filesystem::path directory_;  // "": there is no such limit here
    bool is_v2_ = false;
};

TEST_F(MemoryLimit, AReceiverAtItsCgroupsLimitStopsTheSenderAsTcpWould) {
    if (directory_.empty())
        GTEST_SKIP() << "there is neither a memory controller of cgroup2 nor one of cgroup1";
    start_daemon("[limits]\nmemory = \"1GiB\"\n" + usual_policy("queue = \"64MiB\""));
    Process bystander(Place(client_).command({"sleep", "600"}));
    TcpPair pair = connect_limited();
    warm_up(pair);
    const Seen before = look(pair);
    const Flooded flooded = flood(pair.server, {.message = 65536, .most = 64 * kMiB});
    const Seen after = look(pair);
    const std::uint64_t redirected = after.redirected_bytes() - before.redirected_bytes();
    std::printf("%s: %lu bytes sent, %lu of them redirected\n", is_v2_ ? "cgroup2" : "cgroup1",
                flooded.bytes, redirected);
    EXPECT_TRUE(flooded.blocked);
    EXPECT_LE(redirected, kMost);
    EXPECT_GE(redirected, kMost / 4) << after.text();
    EXPECT_GT(after.server.reasons.count("pressure"), 0U) << after.text();
    EXPECT_EQ(after.server.reasons.count("redirect-failed"), 0U) << after.text();
    EXPECT_TRUE(wait_until([&] { return socket_bytes() >= redirected; }, 5s))
        << "charged: " << socket_bytes() << " of " << redirected;
    EXPECT_TRUE(bystander.runs()) << "a process of the receiver's cgroup was killed";
    expect_told("cgroup-memory", "the memory cgroup of a receiver is short of memory");

    read_all(pair);
    converse(pair, {.request = 1000, .response = 1000, .turns = 100});
    exchange_bytes(pair, {.to_server = 16 * kMiB, .to_client = 16 * kMiB, .finish = true});
    pair.client.close();
    pair.server.close();
    EXPECT_TRUE(wait_until([this] { return socket_bytes() == 0; }, slowness() * 5s))
        << socket_bytes() << " bytes are still charged";
    EXPECT_TRUE(wait_until([this] { return status().at("budget_used_bytes") == 0; }));
}

// The kernel charges what it keeps of each connection to whoever made the map: the daemon.
TEST_F(MemoryLimit, TheDaemonAtItsOwnLimitLeavesTheRestToTcpAndLivesOn) {
    if (!is_v2_ && !std::filesystem::exists(kV1 / "memory.limit_in_bytes"))
        GTEST_SKIP() << "there is neither a memory controller of cgroup2 nor one of cgroup1";
    std::optional<TestCgroup> daemons;
    std::filesystem::path own = directory_;
    if (is_v2_)
        own = daemons.emplace(cgroup_, "daemon").directory();
    {
        const Membership inside(own, is_v2_ ? find_cgroup2_root() : kV1, is_v2_ ? "" : "memory");
        start_daemon(usual_policy());
    }
    const char* usage = is_v2_ ? "memory.current" : "memory.usage_in_bytes";
    const char* limit = is_v2_ ? "memory.max" : "memory.limit_in_bytes";
    constexpr std::uint64_t kRoom = SA_OWN_SPARE_PAGES * 4096UL + 4 * kMiB;
    write_file(own / limit, std::to_string(std::stoull(read_file(own / usage)) + kRoom));

    Crowd crowd(server_, "127.0.1.1", Crowd::kMost);  // client_ has a limit of its own
    crowd.wait();
    EXPECT_TRUE(wait_until([&] {
        crowd.talk(64);  // throws if a byte is missing
        crowd.wait();
        return live() > 0;
    }));
    EXPECT_LT(live(), Crowd::kMost);
    expect_told("own-memory", "sockacceld has no memory left for connections");
    EXPECT_TRUE(daemon_->process().runs());

    write_file(own / limit, is_v2_ ? "max" : "-1");
    TcpPair pair = connect_pair(covered_route());
    warm_up(pair);
    converse(pair, {.turns = 10});
    EXPECT_GT(look(pair).redirected_bytes(), 0U);
    daemon_.reset();  // out of the cgroup
}

}  // namespace
}  // namespace sockaccel::test
