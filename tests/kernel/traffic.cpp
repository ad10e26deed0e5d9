// SPDX-License-Identifier: GPL-2.0-or-later
#include "traffic.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <limits>
#include <optional>
#include <random>

namespace sockaccel::test {

namespace {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

constexpr std::uint64_t kUnknown = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t kMostPerCall = 4U << 20;
constexpr auto kTick = std::chrono::milliseconds(20);  // flags are looked at this often, at least
constexpr auto kFull =
    std::chrono::milliseconds(300);  // a socket that takes nothing so long is full

// --- addresses

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = sizeof(sockaddr_storage);

    [[nodiscard]] const sockaddr* get() const {
        return reinterpret_cast<const sockaddr*>(&storage);
    }
    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }

    [[nodiscard]] std::uint16_t port() const {
        return ntohs(storage.ss_family == AF_INET
                         ? reinterpret_cast<const sockaddr_in*>(&storage)->sin_port
                         : reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port);
    }

    [[nodiscard]] std::string text() const {
        std::array<char, INET6_ADDRSTRLEN> buffer{};
        const void* address = storage.ss_family == AF_INET
                                  ? static_cast<const void*>(
                                        &reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr)
                                  : &reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr;
        if (::inet_ntop(storage.ss_family, address, buffer.data(), buffer.size()) == nullptr)
            return "?";
        return fmt::format("{} port {}", buffer.data(), port());
    }
};

int family_of(const std::string& address) {
    return address.find(':') == std::string::npos ? AF_INET : AF_INET6;
}

SocketAddress socket_address(const std::string& text, std::uint16_t port) {
    SocketAddress result;
    void* address = nullptr;
    if (family_of(text) == AF_INET) {
        auto* in = reinterpret_cast<sockaddr_in*>(&result.storage);
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        address = &in->sin_addr;
        result.size = sizeof(sockaddr_in);
    } else {
        auto* in = reinterpret_cast<sockaddr_in6*>(&result.storage);
        in->sin6_family = AF_INET6;
        in->sin6_port = htons(port);
        address = &in->sin6_addr;
        result.size = sizeof(sockaddr_in6);
    }
    if (::inet_pton(result.storage.ss_family, text.c_str(), address) != 1)
        throw std::invalid_argument("not an address: " + text);
    return result;
}

template <typename Function>
SocketAddress name_of(int fd, Function function) {
    SocketAddress result;
    if (function(fd, result.get(), &result.size) != 0)
        result.storage.ss_family = AF_UNSPEC;
    return result;
}

void set_option(int fd, int level, int option, int value) {
    check(::setsockopt(fd, level, option, &value, sizeof value), "setsockopt");
}

std::uint64_t new_seed() {
    static std::atomic<std::uint64_t> last = 0;
    return ++last;
}

std::span<std::byte> scratch(std::size_t bytes) {
    thread_local std::vector<std::byte> buffer;
    if (buffer.size() < bytes)
        buffer.resize(bytes);
    return {buffer.data(), bytes};
}

bool wait_for(int fd, short events, Clock::duration timeout) {
    pollfd waited{fd, events, 0};
    const auto milliseconds =
        std::chrono::ceil<std::chrono::milliseconds>(std::max(timeout, Clock::duration::zero()));
    return check(::poll(&waited, 1, static_cast<int>(milliseconds.count())), "poll") > 0;
}

// --- the loop of one side

// What one end has to do.
struct Job {
    End* end = nullptr;
    std::uint64_t send_to = 0, receive_to = 0;  // positions; kUnknown: go on
    bool finish = false;
    bool shut_down = false;
    std::size_t message_left = 0;
    Deadline write_at{}, read_at{};

    [[nodiscard]] bool has_sent() const { return end->sent() == send_to; }
    [[nodiscard]] bool has_received() const {
        return end->received() == receive_to && (!finish || end->at_eof());
    }
    [[nodiscard]] bool done() const {
        return has_sent() && has_received() && (!finish || shut_down);
    }
};

// Does the jobs of one side, in one thread.
class Worker {
  public:
    Worker(std::vector<Job> jobs, const Habits& habits, std::uint64_t seed)
        : jobs_(std::move(jobs)), habits_(habits), random_(seed) {}

    // `tick` runs at least once in kTick, may change the jobs, and says false to give up.
    void run(const std::function<bool(std::vector<Job>&)>& tick) {
        while (tick(jobs_)) {
            prepare();
            if (polled_.empty())
                return;
            check(::poll(polled_.data(), polled_.size(), timeout()), "poll");
            for (std::size_t i = 0; i < polled_.size(); i++)
                serve(*waiting_[i], polled_[i].revents);
        }
    }

    [[nodiscard]] static std::string unfinished(const std::vector<Job>& jobs) {
        std::string text;
        std::size_t count = 0;
        for (const Job& job : jobs) {
            if (job.done() || count++ >= 5)
                continue;
            text += fmt::format("\n  {}; wants to send {}, to receive {}", job.end->text(),
                                job.send_to, job.receive_to);
        }
        return fmt::format("{} of {} ends have not finished in time:{}", count, jobs.size(), text);
    }

  private:
    void prepare() {
        polled_.clear();
        waiting_.clear();
        const auto now = Clock::now();
        soonest_ = now + kTick;
        for (Job& job : jobs_) {
            if (job.finish && !job.shut_down && job.has_sent()) {
                job.end->shut_down_sending();
                job.shut_down = true;
            }
            if (job.done())
                continue;
            short events = 0;
            if (!job.has_sent())
                want(events, POLLOUT, job.write_at, now);
            if (!job.has_received())
                want(events, POLLIN, job.read_at, now);
            // Without an event that is wanted, an error or hang-up would only be told again and
            // again.
            polled_.push_back({events != 0 ? job.end->fd() : -1, events, 0});
            waiting_.push_back(&job);
        }
    }

    void want(short& events, short event, Deadline at, Deadline now) {
        if (at <= now)
            events = static_cast<short>(events | event);
        else
            soonest_ = std::min(soonest_, at);
    }

    [[nodiscard]] int timeout() const {
        const auto left = soonest_ - Clock::now();
        return static_cast<int>(
            std::chrono::ceil<std::chrono::milliseconds>(std::max(left, Clock::duration::zero()))
                .count());
    }

    void serve(Job& job, short events) {
        if ((events & POLLOUT) != 0 && !job.has_sent())
            write(job);
        if ((events & (POLLIN | POLLHUP | POLLERR)) != 0 && !job.has_received())
            read(job);
    }

    void write(Job& job) {
        if (job.message_left == 0)
            job.message_left = pick(habits_.write);
        const auto bytes = std::min<std::uint64_t>(job.message_left, job.send_to - job.end->sent());
        const std::size_t taken = job.end->send(static_cast<std::size_t>(bytes));
        job.message_left -= taken;
        if (job.message_left == 0)
            job.write_at = pause();
    }

    void read(Job& job) {
        // One byte more than is due would be a wrong one; where the end is due, none may come.
        const std::uint64_t due = std::max<std::uint64_t>(job.receive_to - job.end->received(), 1);
        job.end->receive(
            static_cast<std::size_t>(std::min<std::uint64_t>(due, pick(habits_.read))));
        if (job.end->received() > job.receive_to)
            throw TrafficError("more arrived than was sent: " + job.end->text());
        if (job.end->at_eof() && (!job.finish || job.end->received() != job.receive_to))
            throw TrafficError("the stream ended too early: " + job.end->text());
        job.read_at = pause();
    }

    // Each magnitude is as likely as another: many small sizes, some large ones.
    std::size_t pick(const Sizes& sizes) {
        std::uniform_real_distribution<double> exponent(std::log2(static_cast<double>(sizes.least)),
                                                        std::log2(static_cast<double>(sizes.most)));
        return std::clamp(static_cast<std::size_t>(std::exp2(exponent(random_))), sizes.least,
                          sizes.most);
    }

    Deadline pause() {
        if (habits_.pause_percent == 0 || random_() % 100 >= habits_.pause_percent)
            return {};
        const auto longest = static_cast<std::uint64_t>(habits_.longest_pause.count());
        return Clock::now() +
               std::chrono::microseconds(static_cast<std::int64_t>(random_() % (longest + 1)));
    }

    std::vector<Job> jobs_;
    Habits habits_;
    std::mt19937_64 random_;
    std::vector<pollfd> polled_;
    std::vector<Job*> waiting_;
    Deadline soonest_{};
};

// --- one after the other, in one thread

void transfer(End& from, End& to, std::size_t bytes, Deadline deadline) {
    const std::uint64_t target = from.sent() + bytes;
    while (from.sent() < target || to.received() < target) {
        std::array<pollfd, 2> polled{};
        polled[0] = {from.sent() < target ? from.fd() : -1, POLLOUT, 0};
        polled[1] = {to.fd(), POLLIN, 0};
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
        if (left.count() <= 0 ||
            check(::poll(polled.data(), polled.size(), static_cast<int>(left.count())), "poll") ==
                0)
            throw TrafficError(fmt::format("a message of {} bytes does not arrive:\n  {}\n  {}",
                                           bytes, from.text(), to.text()));
        if (polled[0].revents != 0)
            from.send(static_cast<std::size_t>(target - from.sent()));
        if (polled[1].revents != 0)
            to.receive(static_cast<std::size_t>(target - to.received()));
        if (to.at_eof())
            throw TrafficError("the stream ended too early: " + to.text());
    }
}

void read_up_to(End& end, std::uint64_t position, Deadline deadline) {
    while (end.received() < position) {
        if (!wait_for(end.fd(), POLLIN, deadline - Clock::now()))
            throw TrafficError(
                fmt::format("{} bytes do not arrive: {}", position - end.received(), end.text()));
        end.receive(kMostPerCall);
        if (end.at_eof())
            throw TrafficError("the stream ended too early: " + end.text());
    }
    if (end.received() != position)
        throw TrafficError("more arrived than was sent: " + end.text());
}

}  // namespace

// --- End

End::End(Fd socket, std::uint64_t sends, std::uint64_t receives)
    : socket_(std::move(socket)), out_(sends), in_(receives) {}

std::uint64_t End::cookie() const {
    std::uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    check(::getsockopt(fd(), SOL_SOCKET, SO_COOKIE, &cookie, &size), "ask for a socket's cookie");
    return cookie;
}

std::string End::text() const {
    return fmt::format("{} to {}: {} bytes sent, {} received{}",
                       name_of(fd(), ::getsockname).text(), name_of(fd(), ::getpeername).text(),
                       sent_, received_, at_eof_ ? ", end of file" : "");
}

std::size_t End::send(std::size_t bytes) {
    const auto buffer = scratch(std::min(bytes, kMostPerCall));
    out_.fill(sent_, buffer);
    const ssize_t taken = ::send(fd(), buffer.data(), buffer.size(), MSG_NOSIGNAL);
    if (taken < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return 0;
        throw ConnectionLost(fmt::format("send: {}: {}", std::strerror(errno), text()));
    }
    sent_ += static_cast<std::uint64_t>(taken);
    return static_cast<std::size_t>(taken);
}

std::size_t End::take(ssize_t got, std::span<const std::byte> buffer, const char* call) {
    if (got < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return 0;
        throw ConnectionLost(fmt::format("{}: {}: {}", call, std::strerror(errno), text()));
    }
    if (got == 0) {
        at_eof_ = true;
        return 0;
    }
    const std::string wrong = in_.differs(received_, buffer.first(static_cast<std::size_t>(got)));
    if (!wrong.empty())
        throw TrafficError(fmt::format("{}: {}", text(), wrong));
    received_ += static_cast<std::uint64_t>(got);
    return static_cast<std::size_t>(got);
}

std::size_t End::receive(std::size_t bytes, int flags) {
    const auto buffer = scratch(std::min(bytes, kMostPerCall));
    return take(::recv(fd(), buffer.data(), buffer.size(), flags), buffer, "recv");
}

std::size_t End::receive_into(std::span<std::byte> memory) {
    return take(::recv(fd(), memory.data(), memory.size(), 0), memory, "recv");
}

std::size_t End::splice(std::size_t bytes) {
    constexpr std::size_t kPipe = 65536;
    std::array<int, 2> ends{};
    check(::pipe2(ends.data(), O_CLOEXEC), "make a pipe");
    const Fd out(ends[0]), in(ends[1]);
    const auto buffer = scratch(std::min(bytes, kPipe));
    const ssize_t moved =
        ::splice(fd(), nullptr, in.get(), nullptr, buffer.size(), SPLICE_F_NONBLOCK);
    if (moved > 0 && ::read(out.get(), buffer.data(), buffer.size()) != moved)
        throw TrafficError("the pipe does not hold what was spliced: " + text());
    return take(moved, buffer, "splice");
}

void End::shut_down_sending() {
    if (::shutdown(fd(), SHUT_WR) != 0)
        throw ConnectionLost(fmt::format("shutdown: {}: {}", std::strerror(errno), text()));
}

void End::set_blocking(bool blocking) {
    const int flags = check(::fcntl(fd(), F_GETFL), "F_GETFL");
    check(::fcntl(fd(), F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK), "F_SETFL");
}

std::size_t End::readable_bytes() const {
    int bytes = 0;
    check(::ioctl(fd(), FIONREAD, &bytes), "FIONREAD");
    return static_cast<std::size_t>(bytes);
}

// --- connecting

Listener::Listener(const Route& route) : route_(route) {
    const std::string& address = route.listen_on.empty() ? route.address : route.listen_on;
    socket_ = route.server.socket(family_of(address), route.server_protocol);
    set_option(fd(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (family_of(address) == AF_INET6)
        set_option(fd(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
    const auto name = socket_address(address, route.port);
    check(::bind(fd(), name.get(), name.size), "bind to " + name.text());
    check(::listen(fd(), 128), "listen");
    port_ = name_of(fd(), ::getsockname).port();
}

Fd Listener::start_client(Fd socket) const {
    set_option(socket.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    if (!route_.client_address.empty()) {
        set_option(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1);
        const auto name = socket_address(route_.client_address, route_.client_port);
        check(::bind(socket.get(), name.get(), name.size), "bind to " + name.text());
    }
    const auto server =
        socket_address(route_.address, route_.connect_port != 0 ? route_.connect_port : port_);
    if (::connect(socket.get(), server.get(), server.size) != 0 && errno != EINPROGRESS)
        check(-1, "connect to " + server.text());
    return socket;
}

Fd Listener::accept() const {
    if (!wait_for(fd(), POLLIN, kPatience))
        throw TrafficError("no connection arrives at " + name_of(fd(), ::getsockname).text());
    Fd accepted(check(::accept4(fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC), "accept"));
    set_option(accepted.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    return accepted;
}

TcpPair Listener::pair(Fd client) const {
    const std::uint64_t forth = new_seed(), back = new_seed();
    return {End(std::move(client), forth, back), End(accept(), back, forth)};
}

TcpPair Listener::connect() const {
    return std::move(connect(1).front());
}

std::vector<TcpPair> Listener::connect(std::size_t count) const {
    std::vector<TcpPair> pairs;
    pairs.reserve(count);
    for (Fd& socket :
         route_.client.sockets(family_of(route_.address), count, route_.client_protocol))
        pairs.push_back(pair(start_client(std::move(socket))));
    return pairs;
}

TcpPair connect_pair(const Route& route) {
    return Listener(route).connect();
}

// --- traffic

void converse(TcpPair& pair, const Dialogue& dialogue, Timeout timeout) {
    const Deadline deadline = Clock::now() + timeout;
    for (unsigned turn = 0; turn < dialogue.turns; turn++) {
        transfer(pair.client, pair.server, dialogue.request, deadline);
        transfer(pair.server, pair.client, dialogue.response, deadline);
    }
}

void exchange_bytes(std::span<TcpPair> pairs, const Exchange& plan, Timeout timeout) {
    const Deadline deadline = Clock::now() + timeout;
    std::array<std::vector<Job>, 2> jobs;
    for (TcpPair& pair : pairs) {
        const std::uint64_t to_server = pair.client.sent() + plan.to_server;
        const std::uint64_t to_client = pair.server.sent() + plan.to_client;
        Job client, server;
        client.end = &pair.client;
        client.send_to = server.receive_to = to_server;
        server.end = &pair.server;
        server.send_to = client.receive_to = to_client;
        client.finish = server.finish = plan.finish;
        jobs[0].push_back(client);
        jobs[1].push_back(server);
    }
    std::atomic<bool> failed = false;
    const auto tick = [&failed, deadline](std::vector<Job>& all) {
        if (failed)
            return false;
        if (Clock::now() > deadline)
            throw TrafficError(Worker::unfinished(all));
        return true;
    };
    std::array<std::exception_ptr, 2> failures;
    const auto side = [&](std::size_t role) {
        try {
            Worker(std::move(jobs[role]), role == 0 ? plan.client : plan.server,
                   plan.seed * 2 + role)
                .run(tick);
        } catch (...) {
            failures[role] = std::current_exception();
            failed = true;
        }
    };
    std::thread servers(side, 1);
    side(0);
    servers.join();
    for (const auto& failure : failures)
        if (failure)
            std::rethrow_exception(failure);
}

void exchange_bytes(TcpPair& pair, const Exchange& plan, Timeout timeout) {
    exchange_bytes(std::span(&pair, 1), plan, timeout);
}

Flooded flood(End& end, const Flood& plan) {
    const std::uint64_t start = end.sent();
    std::size_t left = 0;
    while (end.sent() - start < plan.most) {
        if (left == 0)
            left = plan.message;
        const std::size_t taken = end.send(left);
        left -= taken;
        if (taken == 0 && !wait_for(end.fd(), POLLOUT, kFull))
            return {end.sent() - start, true};
    }
    return {end.sent() - start, false};
}

void read_all(TcpPair& pair, Timeout timeout) {
    const Deadline deadline = Clock::now() + timeout;
    read_up_to(pair.server, pair.client.sent(), deadline);
    read_up_to(pair.client, pair.server.sent(), deadline);
}

// --- BackgroundTraffic

BackgroundTraffic::BackgroundTraffic(std::span<TcpPair> pairs, Habits habits)
    : pairs_(pairs), totals_(pairs.size()) {
    for (auto& total : totals_)
        total[0] = total[1] = kUnknown;
    for (std::size_t role = 0; role < threads_.size(); role++)
        threads_[role] = std::thread([this, role, habits] { run(role, habits); });
}

BackgroundTraffic::~BackgroundTraffic() {
    failed_ = true;  // ends both threads at once, if stop() did not
    for (std::thread& thread : threads_)
        if (thread.joinable())
            thread.join();
}

void BackgroundTraffic::run(std::size_t role, const Habits& habits) {
    std::vector<Job> jobs;
    for (TcpPair& pair : pairs_) {
        Job job;
        job.end = role == 0 ? &pair.client : &pair.server;
        job.send_to = job.receive_to = kUnknown;
        jobs.push_back(job);
    }
    std::uint64_t counted = 0;
    for (const Job& job : jobs)
        counted += job.end->received();
    const auto tick = [&](std::vector<Job>& all) {
        std::uint64_t received = 0;
        for (std::size_t i = 0; i < all.size(); i++) {
            Job& job = all[i];
            received += job.end->received();
            if (stopping_ && job.send_to == kUnknown)
                totals_[i][role] = job.send_to = job.end->sent();
            if (job.receive_to == kUnknown)
                job.receive_to = totals_[i][1 - role];
        }
        bytes_ += received - counted;
        counted = received;
        if (stopping_ && Clock::now() > deadline_.load())
            throw TrafficError(Worker::unfinished(all));
        return !failed_;
    };
    try {
        Worker(std::move(jobs), habits, new_seed()).run(tick);
    } catch (...) {
        failures_[role] = std::current_exception();
        failed_ = true;
    }
}

void BackgroundTraffic::stop(Timeout timeout) {
    deadline_ = Clock::now() + timeout;
    stopping_ = true;
    for (std::thread& thread : threads_)
        thread.join();
    for (const auto& failure : failures_)
        if (failure)
            std::rethrow_exception(failure);
}

}  // namespace sockaccel::test
