// SPDX-License-Identifier: GPL-2.0-or-later
//
// The client's process is forked by the constructor, the server's by the client once it has made
// all connections: so whatever cgroup the client is in by then, both ends' sockets are of it.
//
// Orders and answers are messages of a fixed size on channels. The end of a run is a mark in the
// last message of the connection itself: a server that is blocked in recv(2) would not see anything
// else, and a byte the other way would be another pattern of traffic.
#include "station.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <exception>
#include <optional>
#include <utility>

#include "event_loop.hpp"

namespace sockaccel::bench {
namespace {

using std::chrono::nanoseconds;

constexpr int kPatienceMs = 5000;                  // without progress
constexpr std::size_t kMostLatencies = 1U << 20U;  // of one run that are kept
constexpr std::size_t kReadBuffer = 256U << 10U;
constexpr std::size_t kMostConnections = 128;
constexpr std::uint64_t kMostStreamBytes = 1U << 30U;  // of one run: a queue may have no limit
constexpr char kUsual = 'x', kLast = 'z';  // in the first byte of a request, the last of a stream

struct Order {
    enum class Kind : std::uint32_t { connect, run } kind{};
    std::uint32_t connection = 0;  // connect: how many
    Case what{};
    nanoseconds duration{};
};

struct Answer {
    Sample sample;
    nanoseconds last_arrival{};  // of the server
    std::array<std::uint16_t, kMostConnections> ports{};
    std::array<char, 256> failure{};  // "": none
};

template <typename Message>
void send_message(int channel, const Message& message) {
    const ssize_t sent = ::send(channel, &message, sizeof message, MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(sizeof message))
        throw StationError("a process of the measurement has ended");
}

// None: the other side is gone.
template <typename Message>
std::optional<Message> receive_message(int channel) {
    Message message;
    ssize_t got = 0;
    do
        got = ::recv(channel, &message, sizeof message, 0);
    while (got < 0 && errno == EINTR);
    if (got != static_cast<ssize_t>(sizeof message))
        return std::nullopt;
    return message;
}

struct Channel {
    Channel() {
        std::array<int, 2> fds{};
        check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()),
              "make a socket pair");
        near = Fd(fds[0]);
        far = Fd(fds[1]);
    }
    Fd near, far;
};

nanoseconds process_cpu() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto of = [](const timeval& time) {
        return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
    };
    return of(usage.ru_utime) + of(usage.ru_stime);
}

// --- connections

// What one side of a connection reads from and writes to.
struct End {
    Fd socket;
    Fd out;    // of pipes; `socket` is the one to read from then
    Fd epoll;  // if it waits so

    [[nodiscard]] bool is_pipe() const { return bool(out); }
};

struct Connection {
    End client, server;
    std::uint16_t client_port = 0;
};

// Sockets that are made while this lives are of that network namespace.
class Visit {
  public:
    explicit Visit(const std::string& netns) {
        if (netns.empty())
            return;
        home_ = open("/proc/thread-self/ns/net");
        check(::setns(open(netns).get(), CLONE_NEWNET), "enter " + netns);
    }
    ~Visit() {
        if (home_)
            ::setns(home_.get(), CLONE_NEWNET);
    }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

  private:
    static Fd open(const std::string& file) {
        return Fd(check(::open(file.c_str(), O_RDONLY | O_CLOEXEC), "open " + file));
    }
    Fd home_;
};

sockaddr_in address_of(const std::string& host, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1)
        throw StationError(host + " is no IPv4 address");
    return address;
}

std::uint16_t port_of(int socket) {
    sockaddr_in address{};
    socklen_t length = sizeof address;
    check(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length),
          "ask for a socket's port");
    return ntohs(address.sin_port);
}

Fd tcp_socket() {
    return Fd(check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "make a socket"));
}

void bind_to(const Fd& socket, const std::string& host, std::uint16_t port) {
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const sockaddr_in address = address_of(host, port);
    check(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
          "bind to port " + std::to_string(port) + " of " + host);
}

std::vector<Connection> connect_tcp(const Route& route, std::uint16_t port, std::size_t count) {
    Fd listener;
    {
        const Visit visit(route.server_netns);
        listener = tcp_socket();
    }
    bind_to(listener, route.listen_at, port);
    check(::listen(listener.get(), static_cast<int>(count)), "listen");
    std::vector<Connection> connections(count);
    const sockaddr_in address = address_of(route.connect_to, port);
    const Visit visit(route.client_netns);
    const int on = 1;
    for (Connection& connection : connections) {
        Fd client = tcp_socket();
        check(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              "connect to port " + std::to_string(port) + " of " + route.connect_to);
        Fd server(check(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC),
                        "accept a connection"));
        for (const Fd* socket : {&client, &server})
            ::setsockopt(socket->get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connection.client_port = port_of(client.get());
        connection.client.socket = std::move(client);
        connection.server.socket = std::move(server);
    }
    return connections;
}

std::vector<Connection> connect_unix(std::size_t count) {
    std::vector<Connection> connections(count);
    for (Connection& connection : connections) {
        std::array<int, 2> fds{};
        check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()),
              "make a socket pair");
        connection.client.socket = Fd(fds[0]);
        connection.server.socket = Fd(fds[1]);
    }
    return connections;
}

void join_by_pipe(End& writer, End& reader) {
    std::array<int, 2> fds{};
    check(::pipe2(fds.data(), O_CLOEXEC), "make a pipe");
    reader.socket = Fd(fds[0]);
    writer.out = Fd(fds[1]);
}

std::vector<Connection> connect_pipes(std::size_t count) {
    std::vector<Connection> connections(count);
    for (Connection& connection : connections) {
        join_by_pipe(connection.client, connection.server);
        join_by_pipe(connection.server, connection.client);
    }
    return connections;
}

void prepare(End& end, Waiting waiting) {
    if (waiting == Waiting::blocking)
        return;
    for (const Fd* fd : {&end.socket, &end.out})
        if (*fd)
            check(::fcntl(fd->get(), F_SETFL, O_NONBLOCK), "make a socket non-blocking");
    if (waiting != Waiting::epoll)
        return;
    end.epoll = Fd(check(::epoll_create1(EPOLL_CLOEXEC), "make an epoll set"));
    epoll_event event{};
    event.events = EPOLLIN;
    check(::epoll_ctl(end.epoll.get(), EPOLL_CTL_ADD, end.socket.get(), &event), "watch a socket");
}

std::vector<Connection> connect_by(const Route& route, std::uint16_t port, std::size_t count) {
    std::vector<Connection> connections;
    switch (route.transport) {
        case Transport::tcp:
            connections = connect_tcp(route, port, count);
            break;
        case Transport::unix_socket:
            connections = connect_unix(count);
            break;
        case Transport::pipes:
            connections = connect_pipes(count);
            break;
    }
    for (Connection& connection : connections) {
        prepare(connection.client, route.waiting);
        prepare(connection.server, route.waiting);
    }
    return connections;
}

// --- traffic

void expect_ready(int result) {
    if (result == 0)
        throw StationError("no progress for 5 s");
    if (result < 0 && errno != EINTR)
        check(result, "wait for a socket");
}

void wait_for(int fd, short events) {
    pollfd waited{fd, events, 0};
    expect_ready(::poll(&waited, 1, kPatienceMs));
}

void wait_in_epoll(const End& end) {
    epoll_event event{};
    expect_ready(::epoll_wait(end.epoll.get(), &event, 1, kPatienceMs));
}

// 0: it would block.
std::size_t taken(ssize_t result, const char* act) {
    if (result > 0)
        return static_cast<std::size_t>(result);
    if (result == 0)
        throw StationError(std::string(act) + ": the connection has ended");
    if (errno != EAGAIN && errno != EINTR)
        check(-1, act);
    return 0;
}

// Waits until some can be sent.
std::size_t send_some(const End& end, const char* data, std::size_t bytes) {
    while (true) {
        const int fd = end.is_pipe() ? end.out.get() : end.socket.get();
        const std::size_t count =
            taken(end.is_pipe() ? ::write(fd, data, bytes) : ::send(fd, data, bytes, MSG_NOSIGNAL),
                  "send");
        if (count > 0)
            return count;
        wait_for(fd, POLLOUT);
    }
}

// Waits until there is some.
std::size_t receive_some(const End& end, char* data, std::size_t bytes) {
    while (true) {
        if (end.epoll)
            wait_in_epoll(end);
        const int fd = end.socket.get();
        const std::size_t count =
            taken(end.is_pipe() ? ::read(fd, data, bytes) : ::recv(fd, data, bytes, 0), "receive");
        if (count > 0)
            return count;
        if (!end.epoll)
            wait_for(fd, POLLIN);
    }
}

void send_all(const End& end, const std::vector<char>& message) {
    for (std::size_t sent = 0; sent < message.size();)
        sent += send_some(end, message.data() + sent, message.size() - sent);
}

void receive_all(const End& end, std::vector<char>& message) {
    for (std::size_t received = 0; received < message.size();)
        received += receive_some(end, message.data() + received, message.size() - received);
}

// --- the server

// Answers each message with itself.
void serve_requests(const End& end, std::size_t bytes) {
    std::vector<char> message(bytes);
    do {
        receive_all(end, message);
        send_all(end, message);
    } while (message.front() != kLast);
}

void work(std::size_t bytes) {
    const nanoseconds until = now() + nanoseconds(bytes);
    while (now() < until) {
    }
}

// Returns how many bytes have arrived.
std::uint64_t serve_stream(const End& end, Reader reader) {
    std::vector<char> buffer(kReadBuffer);
    std::uint64_t all = 0;
    while (true) {
        const std::size_t count = receive_some(end, buffer.data(), buffer.size());
        all += count;
        if (buffer[count - 1] == kLast)
            return all;
        if (reader == Reader::slow)
            work(count);
    }
}

Answer serve(const std::vector<Connection>& connections, const Order& order) {
    Answer answer;
    const nanoseconds cpu = process_cpu();
    const End& end = connections[order.connection].server;
    if (order.what.pattern == Pattern::stream)
        answer.sample.count = serve_stream(end, order.what.reader);
    else
        serve_requests(end, order.what.bytes);
    answer.last_arrival = now();
    answer.sample.cpu = process_cpu() - cpu;
    return answer;
}

void set_failure(Answer& answer, const std::exception& error) {
    std::strncpy(answer.failure.data(), error.what(), answer.failure.size() - 1);
}

[[noreturn]] void be_server(const std::vector<Connection>& connections, int channel) {
    while (const std::optional<Order> order = receive_message<Order>(channel)) {
        Answer answer;
        try {
            answer = serve(connections, *order);
        } catch (const std::exception& error) {
            set_failure(answer, error);
        }
        send_message(channel, answer);
    }
    ::_exit(0);
}

// --- the client

nanoseconds percentile(std::vector<std::uint32_t>& latencies, std::size_t percent) {
    if (latencies.empty())
        return {};
    const auto at =
        latencies.begin() + static_cast<std::ptrdiff_t>((latencies.size() - 1) * percent / 100);
    std::nth_element(latencies.begin(), at, latencies.end());
    return nanoseconds(*at);
}

void ask_requests(const End& end, const Order& order, Sample& sample) {
    std::vector<char> message(order.what.bytes, kUsual);
    std::vector<std::uint32_t> latencies;
    latencies.reserve(kMostLatencies);
    const nanoseconds begin = now(), until = begin + order.duration;
    nanoseconds at = begin;
    do {
        send_all(end, message);
        receive_all(end, message);
        const nanoseconds done = now();
        if (latencies.size() < kMostLatencies)
            latencies.push_back(static_cast<std::uint32_t>((done - at).count()));
        at = done;
        ++sample.count;
    } while (at < until);
    sample.elapsed = at - begin;
    message.front() = kLast;
    send_all(end, message);
    receive_all(end, message);
    sample.p50 = percentile(latencies, 50);
    sample.p99 = percentile(latencies, 99);
}

void send_stream(const End& end, const Order& order) {
    std::vector<char> message(order.what.bytes, kUsual);
    const nanoseconds until = now() + order.duration;
    std::uint64_t sent = 0;
    do
        sent += send_some(end, message.data(), message.size());
    while (now() < until && sent < kMostStreamBytes);
    message.back() = kLast;
    send_all(end, message);
}

Answer ask(const std::vector<Connection>& connections, int server, const Order& order) {
    send_message(server, order);
    Answer answer;
    const nanoseconds cpu = process_cpu(), begin = now();
    const End& end = connections[order.connection].client;
    if (order.what.pattern == Pattern::stream)
        send_stream(end, order);
    else
        ask_requests(end, order, answer.sample);
    answer.sample.cpu = process_cpu() - cpu;
    const std::optional<Answer> served = receive_message<Answer>(server);
    if (!served)
        throw StationError("the server's process has ended");
    if (served->failure[0] != '\0')
        throw StationError(std::string("the server: ") + served->failure.data());
    answer.sample.cpu += served->sample.cpu;
    if (order.what.pattern == Pattern::stream) {
        answer.sample.count = served->sample.count;
        answer.sample.elapsed = served->last_arrival - begin;
    }
    return answer;
}

// What goes on in the client's process.
class Client {
  public:
    Client(Route route, std::uint16_t port) : route_(std::move(route)), port_(port) {}

    Answer obey(const Order& order) {
        if (order.kind == Order::Kind::connect)
            return connect(order.connection);
        return ask(connections_, server_.near.get(), order);
    }

  private:
    Answer connect(std::size_t count) {
        connections_ = connect_by(route_, port_, count);
        Answer answer;
        for (std::size_t i = 0; i < count; ++i)
            answer.ports[i] = connections_[i].client_port;
        if (check(::fork(), "make the server's process") == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            server_.near = {};
            for (Connection& connection : connections_)
                connection.client = {};
            be_server(connections_, server_.far.get());
        }
        server_.far = {};
        for (Connection& connection : connections_)
            connection.server = {};
        return answer;
    }

    Route route_;
    std::uint16_t port_;
    Channel server_;
    std::vector<Connection> connections_;
};

[[noreturn]] void be_client(const Route& route, std::uint16_t port, int channel, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent)
        ::_exit(0);
    ::signal(SIGINT, SIG_IGN);  // the terminal's is for the parent, who then ends this
    ::signal(SIGPIPE, SIG_IGN);
    try {
        Client client(route, port);
        while (const std::optional<Order> order = receive_message<Order>(channel)) {
            Answer answer;
            try {
                answer = client.obey(*order);
            } catch (const std::exception& error) {
                set_failure(answer, error);
            }
            send_message(channel, answer);
        }
    } catch (const std::exception&) {  // nobody listens any more
    }
    ::_exit(0);
}

// An end that is blocked does not tell that nothing goes on: so this one does.
Answer call(int channel, const Order& order) {
    send_message(channel, order);
    const auto duration = std::chrono::duration_cast<std::chrono::milliseconds>(order.duration);
    pollfd waited{channel, POLLIN, 0};
    if (::poll(&waited, 1, static_cast<int>(duration.count()) + 3 * kPatienceMs) == 0)
        throw StationError("no progress for 15 s");
    const std::optional<Answer> answer = receive_message<Answer>(channel);
    if (!answer)
        throw StationError("the client's process has ended");
    if (answer->failure[0] != '\0')
        throw StationError(answer->failure.data());
    return *answer;
}

}  // namespace

double Sample::per_second() const {
    return static_cast<double>(count) / std::chrono::duration<double>(elapsed).count();
}

std::string_view to_string(Waiting waiting) {
    switch (waiting) {
        case Waiting::poll:
            return "poll";
        case Waiting::epoll:
            return "epoll";
        case Waiting::blocking:
            return "blocking";
    }
    return "?";
}

// The port is reserved by a socket that is bound to it and does not listen; SO_REUSEADDR on both
// lets the listener have it later.
Station::Station(const Route& route) {
    Fd reserved;
    {
        const Visit visit(route.server_netns);
        reserved = tcp_socket();
    }
    bind_to(reserved, route.listen_at, 0);
    server_port_ = port_of(reserved.get());
    Channel channel;
    const pid_t parent = ::getpid();
    pid_ = check(::fork(), "make the client's process");
    if (pid_ == 0) {
        channel.near = {};
        be_client(route, server_port_, channel.far.get(), parent);
    }
    channel_ = std::move(channel.near);
}

Station::~Station() {
    ::kill(pid_, SIGKILL);  // the server ends with it
    ::waitpid(pid_, nullptr, 0);
}

std::vector<std::uint16_t> Station::connect(std::size_t count) {
    if (count > kMostConnections)
        throw StationError("too many connections");
    Order order{.kind = Order::Kind::connect};
    order.connection = static_cast<std::uint32_t>(count);
    const Answer answer = call(channel_.get(), order);
    return {answer.ports.begin(), answer.ports.begin() + static_cast<std::ptrdiff_t>(count)};
}

Sample Station::run(std::size_t connection, const Case& what, std::chrono::milliseconds duration) {
    Order order{.kind = Order::Kind::run};
    order.connection = static_cast<std::uint32_t>(connection);
    order.what = what;
    order.duration = duration;
    return call(channel_.get(), order).sample;
}

}  // namespace sockaccel::bench
