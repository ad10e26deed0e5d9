// SPDX-License-Identifier: GPL-2.0-or-later
// Random connections with random traffic and random ends, while the daemon is reloaded, restarted
// and killed: every byte arrives, nothing stalls, memory stays bounded, and most is redirected.
//
//     SOCKACCEL_TORTURE_SECONDS    how long each test takes, 15 by default
//     SOCKACCEL_TORTURE_SEED       of all that is random but the scheduler; told if something fails
#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <random>
#include <thread>

#include "kernel_test.hpp"
#include "sockaccel.h"

namespace sockaccel::test {
namespace {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;
using std::chrono::milliseconds;

constexpr std::uint64_t kKiB = 1024, kMiB = kKiB * kKiB;
constexpr unsigned kTracks = 8;
constexpr std::uint64_t kBudget = 8 * kMiB;
constexpr std::uint64_t kLargestQueue = 2 * kMiB;
constexpr std::uint64_t kTcpQueue = 16 * kMiB;  // more than tcp_rmem lets a socket have
constexpr std::uint64_t kMostWithoutWindow = 8 * kMiB;
constexpr milliseconds kStall{1000};
// The second of the keepalive timer that wakes an edge-triggered reader, and the grain of the
// kernel's timers: an eighth of what they wait (kernel/time/timer.c).
constexpr milliseconds kWakeUp{1125};
constexpr milliseconds kBusy{100};       // that a busy machine may be late by, at least
constexpr milliseconds kToEnd{20000};    // that a connection may take to end, once it should
constexpr milliseconds kLightFor{4000};  // that it waits to be enrolled

std::uint64_t from_environment_or(const char* variable, std::uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

class Random {
  public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}

    std::uint64_t number(std::uint64_t least, std::uint64_t most) {
        return std::uniform_int_distribution<std::uint64_t>(least, most)(engine_);
    }
    bool chance(unsigned percent) { return number(1, 100) <= percent; }
    milliseconds time(std::uint64_t least, std::uint64_t most) {
        return milliseconds(number(least, most));
    }
    // Each magnitude is as likely as another.
    std::size_t size(std::size_t least, std::size_t most) {
        std::uniform_real_distribution<double> exponent(std::log2(static_cast<double>(least)),
                                                        std::log2(static_cast<double>(most)));
        return std::clamp(static_cast<std::size_t>(std::exp2(exponent(engine_))), least, most);
    }

  private:
    std::mt19937_64 engine_;
};

// How late a plain connection is on this machine, lately: what is late together with it is not
// late because of us.
class PlainBeside {
  public:
    explicit PlainBeside(TcpPair pair) : pair_(std::move(pair)), thread_([this] { run(); }) {}
    ~PlainBeside() {
        stop_ = true;
        thread_.join();
    }
    PlainBeside(const PlainBeside&) = delete;
    PlainBeside& operator=(const PlainBeside&) = delete;

    [[nodiscard]] milliseconds delay() const { return milliseconds(delay_); }

  private:
    void run() {
        Time last = Clock::now();
        std::array<std::int64_t, 10> seconds{};
        for (std::size_t i = 0; !stop_; i++) {
            auto& worst = seconds.at(i % seconds.size());
            worst = 0;
            for (const Time end = Clock::now() + std::chrono::seconds(1);
                 Clock::now() < end && !stop_;) {
                converse(pair_, {.request = 1000, .response = 1000});
                std::this_thread::sleep_for(milliseconds(10));
                const Time now = Clock::now();
                worst = std::max<std::int64_t>(
                    worst, std::chrono::duration_cast<milliseconds>(now - last).count());
                last = now;
                delay_ = *std::max_element(seconds.begin(), seconds.end());
            }
        }
    }

    TcpPair pair_;
    std::atomic<std::int64_t> delay_ = 0;
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

enum class Style { dialogue, duplex, to_server, to_client };
enum class Ending { finish, reset, abandon };

// What one end does, decided beforehand.
struct Part {
    Sizes write, read;
    std::uint64_t window = 0;  // that may be unread before it sends more; 0: whatever TCP takes
    unsigned pause_percent = 0;
    milliseconds longest_pause{};
    milliseconds sends_for{};    // after it was enrolled
    milliseconds stops_after{};  // to read, for some time
    milliseconds stops_for{};
    // It waits as nginx and tokio do: a short read says that nothing is left until the next edge.
    bool edge_triggered = false;
};

struct Life {
    Style style = Style::dialogue;
    Ending ending = Ending::finish;
    std::size_t ender = 0;      // who resets or abandons it
    bool heavy_by_tcp = false;  // all traffic also while it is not enrolled
    std::array<Part, 2> parts;  // client, server
    std::array<std::uint64_t, 2> seeds{};
    std::string text;

    std::unique_ptr<TcpPair> pair;
    std::uint64_t cookie = 0;            // the client's
    std::atomic<Time> enrolled_until{};  // as the daemon has said lately

    [[nodiscard]] bool is_enrolled() const { return Clock::now() < enrolled_until.load(); }

    std::array<std::atomic<std::uint64_t>, 2> sent{}, received{}, messages{};
    std::atomic<bool> ended_by_force = false;
};

const char* name_of(Style style) {
    constexpr std::array kNames{"dialogue", "duplex", "to the server", "to the client"};
    return kNames.at(static_cast<std::size_t>(style));
}

const char* name_of(Ending ending) {
    constexpr std::array kNames{"finish", "reset", "abandon"};
    return kNames.at(static_cast<std::size_t>(ending));
}

std::unique_ptr<Life> plan_life(Random& random) {
    auto life = std::make_unique<Life>();
    life->style = static_cast<Style>(random.number(0, 3));
    const auto end = random.number(0, 99);
    life->ending = end < 60 ? Ending::finish : end < 80 ? Ending::reset : Ending::abandon;
    life->ender = random.number(0, 1);
    life->heavy_by_tcp = random.chance(8);
    for (std::size_t role = 0; role < 2; role++) {
        Part& part = life->parts.at(role);
        const bool one_way = life->style == Style::to_server || life->style == Style::to_client;
        part.write = {one_way ? 16 * kKiB : 1,
                      random.size(64 * kKiB, random.chance(10) ? 2 * kMiB : 400 * kKiB)};
        if (life->style == Style::dialogue || random.chance(10))
            part.write = {1, random.size(100, 400 * kKiB)};
        part.read = {random.chance(20) ? std::size_t{1} : 4 * kKiB, random.size(8 * kKiB, kMiB)};
        // A sender that runs ahead of its reader stays in TCP, and must not be most of it.
        part.window = random.chance(75) ? random.size(4 * kKiB, 200 * kKiB) : 0;
        part.pause_percent = static_cast<unsigned>(random.number(0, 1) * random.number(0, 30));
        part.longest_pause = random.time(1, 20);
        part.sends_for = random.time(200, 3000);
        if (random.chance(30)) {
            part.stops_after = random.time(100, 2000);
            part.stops_for = random.time(10, random.chance(30) ? 4000 : 400);
        }
        life->seeds.at(role) = random.number(0, ~std::uint64_t{0});
    }
    return life;
}

// Where lives happen: shared by all threads.
struct Arena {
    std::atomic<bool> stop = false, failed = false;
    std::atomic<std::uint64_t> bytes = 0, lives = 0;
    const PlainBeside* beside = nullptr;
    Time end;
    milliseconds stall = kStall;               // that nobody may wait longer than
    std::atomic<milliseconds> longest_wait{};  // of all

    std::mutex mutex;
    std::vector<Life*> running;
    std::vector<std::string> failures;
    std::string last_deed = "nothing";  // that was done to the daemon
    Time last_deed_at = Clock::now();

    void note_deed(std::string deed) {
        const std::lock_guard lock(mutex);
        last_deed = std::move(deed);
        last_deed_at = Clock::now();
    }

    void note_wait(milliseconds waited, const char* what) {
        if (waited > longest_wait.load())
            longest_wait = waited;  // of two at the same time, either
        if (waited > stall + std::max(kBusy, 2 * beside->delay()))
            throw TrafficError(
                fmt::format("stalls: {} for {} ms, while plain TCP is never later than {} ms", what,
                            waited.count(), beside->delay().count()));
    }

    void fail(const std::string& what) {
        const std::lock_guard lock(mutex);
        const auto ago =
            std::chrono::duration_cast<milliseconds>(Clock::now() - last_deed_at).count();
        failures.push_back(
            fmt::format("{}\n  the last thing done: {}, {} ms ago", what, last_deed, ago));
        failed = stop = true;
    }
};

// Plays one end of a life.
class Player {
  public:
    Player(Arena& torture, Life& life, std::size_t role)
        : arena_(torture),
          life_(life),
          role_(role),
          part_(life.parts.at(role)),
          end_(role == 0 ? life.pair->client : life.pair->server),
          random_(life.seeds.at(role)) {}

    void play() {
        try {
            if (part_.edge_triggered)
                watch_edges();
            born_ = read_at_ = write_at_ = Clock::now();
            while (!is_over())
                turn();
        } catch (const ConnectionLost& error) {
            if (life_.ending == Ending::finish || !life_.ended_by_force)
                arena_.fail(fmt::format("{}\n  {}", error.what(), text()));
        } catch (const std::exception& error) {
            arena_.fail(fmt::format("{}\n  {}", error.what(), text()));
        }
    }

  private:
    [[nodiscard]] std::string text() const {
        return fmt::format(
            "the {} of: {}, {}, {} ends with {}; {}; client sent {}, received {}; server sent {}, "
            "received {}; {} ms old{}; {}",
            role_ == 0 ? "client" : "server", life_.text, name_of(life_.style),
            life_.ender == 0 ? "client" : "server", name_of(life_.ending),
            life_.is_enrolled() ? "enrolled" : "not enrolled", life_.sent[0].load(),
            life_.received[0].load(), life_.sent[1].load(), life_.received[1].load(),
            std::chrono::duration_cast<milliseconds>(Clock::now() - born_).count(),
            stopped_ ? ", had stopped reading" : "", end_.text());
    }

    [[nodiscard]] bool is_over() {
        if (arena_.failed)
            return true;
        if (life_.ended_by_force && life_.ender == role_)
            return true;
        return end_.at_eof() && shut_down_;
    }

    // Light traffic while it is not enrolled, so that most bytes are redirected.
    [[nodiscard]] bool is_heavy() {
        const bool heavy =
            life_.is_enrolled() || (life_.heavy_by_tcp && end_.sent() < kMostWithoutWindow / 4);
        if (heavy)
            heavy_since_ = heavy_since_ == Time{} ? Clock::now() : heavy_since_;
        else if (Clock::now() - born_ > kLightFor && heavy_since_ == Time{})
            heavy_since_ = Clock::now();
        return heavy;
    }

    [[nodiscard]] bool has_sent_all() const {
        if (message_left_ > 0)
            return false;
        const Time now = Clock::now();
        if (part_.window == 0 && end_.sent() > kMostWithoutWindow)
            return true;
        return now > arena_.end || (heavy_since_ != Time{} && now - heavy_since_ > part_.sends_for);
    }

    // Dialogues go by turns, streams one way; what is light goes by turns, too.
    [[nodiscard]] bool may_write(bool heavy) const {
        if (message_left_ > 0)
            return true;
        if (part_.window > 0 && end_.sent() >= life_.received.at(1 - role_) + part_.window)
            return false;
        if (heavy && life_.style == Style::duplex)
            return true;
        if (heavy && life_.style == Style::to_server)
            return role_ == 0;
        if (heavy && life_.style == Style::to_client)
            return role_ == 1;
        const auto mine = life_.messages.at(role_).load();
        const auto theirs = life_.messages.at(1 - role_).load();
        return (role_ == 0 ? mine <= theirs : mine < theirs) &&
               end_.received() >= life_.sent.at(1 - role_);
    }

    void turn() {
        const Time now = Clock::now();
        const bool heavy = is_heavy();
        if (!shut_down_ && !end_.at_eof() && has_sent_all()) {
            if (life_.ending != Ending::finish && life_.ender == role_)
                return end_by_force();
            end_.shut_down_sending();
            shut_down_ = true;
        } else if (!shut_down_ && end_.at_eof() && message_left_ == 0) {
            end_.shut_down_sending();
            shut_down_ = true;
        }
        if (shut_down_ && now - born_ > kLightFor + milliseconds(3000) + kToEnd)
            throw TrafficError("does not end");
        stop_reading_at_times(now);
        short events = 0;
        if (!shut_down_ && now >= write_at_ && may_write(heavy))
            events |= POLLOUT;
        if (!end_.at_eof() && now >= read_at_)
            events |= POLLIN;
        const short happened = wait(events, heavy ? 2 : 1);
        watch(events, happened);
        if ((happened & (POLLIN | POLLHUP | POLLERR)) != 0 && (events & POLLIN) != 0)
            read();
        if ((happened & (POLLOUT | POLLHUP | POLLERR)) != 0 && (events & POLLOUT) != 0)
            write(heavy);
    }

    void watch_edges() {
        epoll_ = Fd(check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1"));
        epoll_event event{EPOLLIN | EPOLLRDHUP | EPOLLET, {}};
        check(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, end_.fd(), &event), "EPOLL_CTL_ADD");
    }

    [[nodiscard]] short wait(short events, int timeout) {
        if (!epoll_) {
            pollfd polled{events != 0 ? end_.fd() : -1, events, 0};
            check(::poll(&polled, 1, timeout), "poll");
            return polled.revents;
        }
        const bool reads = (events & POLLIN) != 0;
        std::array<pollfd, 2> polled{{{(events & POLLOUT) != 0 ? end_.fd() : -1, POLLOUT, 0},
                                      {reads && !may_have_more_ ? epoll_.get() : -1, POLLIN, 0}}};
        check(::poll(polled.data(), polled.size(), reads && may_have_more_ ? 0 : timeout), "poll");
        epoll_event edge{};
        if (polled[1].revents != 0 && ::epoll_wait(epoll_.get(), &edge, 1, 0) > 0) {
            may_have_more_ = true;
            end_comes_ |= (edge.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
        }
        return static_cast<short>(polled[0].revents | (reads && may_have_more_ ? POLLIN : 0));
    }

    void stop_reading_at_times(Time now) {
        if (stopped_ || part_.stops_for.count() == 0 || heavy_since_ == Time{} ||
            now - heavy_since_ < part_.stops_after)
            return;
        stopped_ = true;
        read_at_ = now + part_.stops_for;
    }

    // A reader that is ready has nothing to read although something was sent, or a writer finds no
    // room although everything was read.
    void watch(short events, short happened) {
        const Time now = Clock::now();
        const bool waits_to_read = (events & POLLIN) != 0 && (happened & ~POLLOUT) == 0 &&
                                   life_.sent.at(1 - role_) > end_.received();
        note(reading_since_, waits_to_read, now, "reads nothing");
        const bool waits_to_write =
            (events & POLLOUT) != 0 && happened == 0 && life_.received.at(1 - role_) == end_.sent();
        note(writing_since_, waits_to_write, now, "finds no room to write");
    }

    void note(Time& since, bool waits, Time now, const char* what) {
        if (!waits || life_.ended_by_force)
            since = {};
        else if (since == Time{})
            since = now;
        else
            arena_.note_wait(std::chrono::duration_cast<milliseconds>(now - since), what);
    }

    void read() {
        const std::size_t asked = random_.size(part_.read.least, part_.read.most);
        const std::size_t got = end_.receive(asked);
        may_have_more_ = got == asked || end_comes_;
        life_.received.at(role_) += got;
        arena_.bytes += got;
        reading_since_ = {};
        if (end_.at_eof())
            check_the_end();
        if (is_heavy() && random_.chance(part_.pause_percent))
            read_at_ = Clock::now() +
                       random_.time(0, static_cast<std::uint64_t>(part_.longest_pause.count()));
    }

    // An end of file comes after all bytes, and not instead of a reset.
    void check_the_end() {
        if (life_.ended_by_force && life_.ending == Ending::reset)
            throw TrafficError("there is an end of file, and no reset");
        if (end_.received() != life_.sent.at(1 - role_))
            throw TrafficError("the end of file comes too early");
    }

    void write(bool heavy) {
        if (message_left_ == 0)
            message_left_ =
                heavy ? random_.size(part_.write.least, part_.write.most) : random_.size(1, 1000);
        const std::size_t bytes = std::min<std::size_t>(message_left_, kMiB);
        const std::size_t taken = end_.send(bytes);
        life_.sent.at(role_) += taken;
        message_left_ -= taken;
        if (message_left_ > 0)
            return;
        life_.messages.at(role_)++;
        if (!heavy)
            write_at_ = Clock::now() + milliseconds(3);
        else if (random_.chance(part_.pause_percent))
            write_at_ = Clock::now() +
                        random_.time(0, static_cast<std::uint64_t>(part_.longest_pause.count()));
    }

    void end_by_force() {
        life_.ended_by_force = true;
        if (life_.ending == Ending::reset) {
            const linger at_once{1, 0};
            ::setsockopt(end_.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        }
        end_.close();
    }

    Arena& arena_;
    Life& life_;
    std::size_t role_;
    const Part& part_;
    End& end_;
    Random random_;
    Time born_, heavy_since_{}, read_at_, write_at_, reading_since_{}, writing_since_{};
    std::size_t message_left_ = 0;
    bool shut_down_ = false, stopped_ = false;
    Fd epoll_;
    bool may_have_more_ = false, end_comes_ = false;  // for an edge-triggered reader
};

class Torture : public KernelTest {
  protected:
    static constexpr const char* kNetworks = "networks = [\"127.0.0.0/8\", \"10.99.0.0/24\"]\n";

    [[nodiscard]] std::string policy(const std::string& more = {}) {
        const std::string queue =
            fmt::format("queue = \"{}KiB\"\n",
                        random_.size(random_.chance(10) ? 64 : 512, kLargestQueue / kKiB));
        return fmt::format("[limits]\nmemory = \"{}MiB\"\n", kBudget / kMiB) +
               rule("test", {covered_.path(), cgroup_.path() + "/guest-*"}, kNetworks + queue,
                    seed_ % 2 == 0 ? "blocking" : "") +
               more;
    }

    // One connection after the other.
    void run_track(unsigned number) {
        Random random(seed_ + 1000 * (number + 1));
        while (!arena_.stop && Clock::now() < arena_.end) {
            try {
                auto life = plan_life(random);
                for (Part& part : life->parts)
                    part.edge_triggered = edge_triggered_;
                run_life(*life, number, random);
            } catch (const std::exception& error) {
                arena_.fail(error.what());
            }
        }
    }

    void run_life(Life& life, unsigned number, Random& random) {
        // Cgroups come and go; the sockets stay in them.
        const bool is_guest = random.chance(15);
        std::optional<TestCgroup> guest;
        if (is_guest)
            guest.emplace(cgroup_, fmt::format("guest-{}", number));
        const bool bridged = number % 3 == 2;
        Route route;
        if (bridged)
            route = {.client = Place(guest ? *guest : client_, containers_.first),
                     .server = Place(server_, containers_.second),
                     .address = containers_.second_address};
        else
            route = {.client = Place(guest ? *guest : client_), .server = Place(server_)};
        if (is_guest)
            std::this_thread::sleep_for(milliseconds(200));  // until the daemon knows it
        life.text = fmt::format("track {}, {}{}", number, bridged ? "bridged" : "loopback",
                                is_guest ? ", guest" : "");
        life.pair = std::make_unique<TcpPair>(connect_pair(route));
        life.cookie = life.pair->client.cookie();
        if (random.chance(50))
            guest.reset();
        register_life(life, true);
        std::thread server([&] { Player(arena_, life, 1).play(); });
        Player(arena_, life, 0).play();
        server.join();
        register_life(life, false);
        arena_.lives++;
    }

    void register_life(Life& life, bool is_new) {
        const std::lock_guard lock(arena_.mutex);
        if (is_new)
            arena_.running.push_back(&life);
        else
            std::erase(arena_.running, &life);
    }

    // What the daemon says: who is enrolled, how much was redirected, and what memory is used.
    void look_around() {
        const auto all = connections();
        {
            const std::lock_guard lock(arena_.mutex);
            for (Life* life : arena_.running)
                if (std::any_of(all.begin(), all.end(), [&](const Seen& seen) {
                        return seen.client.cookie == life->cookie && seen.state == "enrolled";
                    }))
                    life->enrolled_until = Clock::now() + milliseconds(300);
        }
        for (const Seen& seen : all)
            for (const SeenEnd& end : {seen.client, seen.server})
                if (end.queued_bytes > kLargestQueue + kTcpQueue)
                    arena_.fail("too much is queued: " + seen.text());
        const Counts numbers = status();
        if (numbers.at("budget_used_bytes") > numbers.at("budget_bytes"))
            arena_.fail(fmt::format("{} bytes of a budget of {} are used",
                                    numbers.at("budget_used_bytes"), numbers.at("budget_bytes")));
        if (state_of() == "active")
            now_ = counters();
    }

    // A new daemon counts from zero.
    void keep_counts() {
        for (const auto& [key, value] : now_)
            before_[key] += value;
        now_.clear();
    }
    [[nodiscard]] Counts count_all() const {
        Counts all = before_;
        for (const auto& [key, value] : now_)
            all[key] += value;
        std::erase_if(all, [](const auto& one) { return one.second == 0; });
        return all;
    }

    void did(const char* what) {
        done_[what]++;
        arena_.note_deed(what);
    }

    void do_something() {
        const auto what = random_.number(0, 99);
        if (what < 50) {
            reload(policy());
            did("reloads");
        } else if (what < 65) {
            reload(policy("[[rule]]\nname = \"exempt\"\ncgroups = [\"" + client_.path() +
                          "\"]\naction = \"bypass\"\n"));
            std::this_thread::sleep_for(random_.time(0, 200));
            reload(policy());
            did("bypasses");
        } else if (what < 75) {
            keep_counts();
            reload("");
            std::this_thread::sleep_for(random_.time(0, 200));
            reload(policy());
            did("removals");
        } else if (what < 88) {
            keep_counts();
            EXPECT_EQ(stop_daemon(), 0);
            start_daemon(policy());
            did("restarts");
        } else if (what < 92 && !edge_triggered_) {
            // Edge-triggered readers would lose their wake-up with the links: sockaccel(7).
            keep_counts();
            kill_daemon();
            service_manager_.emplace();  // that has kept nothing
            start_daemon(policy());
            did("kills");
        } else if (what < 97) {
            kill_daemon();
            std::this_thread::sleep_for(random_.time(0, 500));
            start_daemon(policy());
            did("handovers");
        } else {
            keep_counts();
            kill_daemon();
            service_manager_->rename_all("sockaccel." + std::to_string(SA_ABI) + ".",
                                         "sockaccel.1.");
            start_daemon(policy());
            did("handovers to another ABI");
        }
    }

    void run() {
        const PlainBeside beside(connect_pair({.client = Place(other_), .server = Place(other_)}));
        arena_.beside = &beside;
        arena_.end = Clock::now() + seconds_;
        service_manager_.emplace();
        if (edge_triggered_)
            arena_.stall = kWakeUp;
        start_daemon(policy());
        std::vector<std::thread> tracks;
        for (unsigned number = 0; number < kTracks; number++)
            tracks.emplace_back([this, number] { run_track(number); });
        try {
            Time next = Clock::now() + milliseconds(3000);
            while (!arena_.stop && Clock::now() < arena_.end) {
                look_around();
                std::this_thread::sleep_for(milliseconds(50));
                if (Clock::now() < next)
                    continue;
                do_something();
                next = Clock::now() + random_.time(1000, 4000);
            }
        } catch (const std::exception& error) {
            arena_.fail(std::string("the daemon: ") + error.what());
        }
        if (arena_.failed && daemon_)
            tell_state();
        for (std::thread& track : tracks)
            track.join();
        if (!arena_.failed)
            look_around();
        plain_delay_ = beside.delay();
    }

    void tell_state() {
        try {
            for (const Seen& seen : connections())
                std::fprintf(stderr, "%s\n", seen.text().c_str());
        } catch (const std::exception& error) {
            std::fprintf(stderr, "no connections: %s\n", error.what());
        }
    }

    const std::uint64_t seed_ =
        from_environment_or("SOCKACCEL_TORTURE_SEED", std::random_device()());
    const std::chrono::seconds seconds_{from_environment_or("SOCKACCEL_TORTURE_SECONDS", 15)};
    Random random_{seed_};
    bool edge_triggered_ = false;
    const BridgedContainers containers_;
    Arena arena_;
    Counts before_, now_;
    std::map<std::string, unsigned> done_;
    milliseconds plain_delay_{};

    void expect_all_is_right();
};

TEST_F(Torture, LosesNoByteAndStallsNobody) {
    expect_all_is_right();
}

TEST_F(Torture, StallsNoEdgeTriggeredReaderThatTrustsShortReads) {
    edge_triggered_ = true;
    expect_all_is_right();
}

void Torture::expect_all_is_right() {
    RecordProperty("seed", std::to_string(seed_));
    run();
    const double redirected = static_cast<double>(count_all()["redirected_bytes"]);
    const double share = redirected / static_cast<double>(arena_.bytes.load());
    std::string summary = fmt::format(
        "seed {}: {} connections, {} MiB, {:.0f} % redirected, nobody waits longer than {} ms, "
        "plain TCP {} ms late",
        seed_, arena_.lives.load(), arena_.bytes / kMiB, 100 * share,
        arena_.longest_wait.load().count(), plain_delay_.count());
    for (const auto& [what, times] : done_)
        summary += fmt::format(", {} {}", times, what);
    for (const auto& [what, times] : count_all())
        summary += fmt::format("\n    {} {}", times, what);
    std::printf("%s\n", summary.c_str());
    for (const std::string& failure : arena_.failures)
        ADD_FAILURE() << failure << "\n  " << summary;
    // A few connections that stay in TCP weigh much in a short run.
    EXPECT_GE(share, seconds_ < std::chrono::minutes(1) ? 0.25 : 0.5) << summary;
}

}  // namespace
}  // namespace sockaccel::test
