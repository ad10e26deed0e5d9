// SPDX-License-Identifier: GPL-2.0-or-later
//
// The client's process is forked by the constructor, the server's by the client once it has made
// all connections: so whatever cgroup the client is in by then, both ends' sockets are of it.
//
// Orders and answers are messages of a fixed size. The server is told the end of a run on its
// channel, never on the connection: a byte the other way would be another pattern of traffic.
#include "station.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
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

struct Order {
    enum class Kind : std::uint32_t { connect, run, stop } kind{};
    std::uint32_t connection = 0;  // connect: how many
    Pattern pattern{};
    std::uint64_t bytes = 0;  // stop: that were sent in this run
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

struct Connection {
    Fd client, server;
    std::uint16_t client_port = 0;
};

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
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

void bind_to(const Fd& socket, std::uint16_t port) {
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const sockaddr_in address = loopback(port);
    check(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
          "bind to port " + std::to_string(port) + " of 127.0.0.1");
}

void prepare(const Fd& socket) {
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    check(::fcntl(socket.get(), F_SETFL, O_NONBLOCK), "make a socket non-blocking");
}

std::vector<Connection> connect_tcp(std::uint16_t port, std::size_t count) {
    const Fd listener = tcp_socket();
    bind_to(listener, port);
    check(::listen(listener.get(), static_cast<int>(count)), "listen");
    std::vector<Connection> connections(count);
    const sockaddr_in address = loopback(port);
    for (Connection& connection : connections) {
        connection.client = tcp_socket();
        check(::connect(connection.client.get(), reinterpret_cast<const sockaddr*>(&address),
                        sizeof address),
              "connect to port " + std::to_string(port) + " of 127.0.0.1");
        connection.server = Fd(check(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC),
                                     "accept a connection"));
        prepare(connection.client);
        prepare(connection.server);
        connection.client_port = port_of(connection.client.get());
    }
    return connections;
}

std::vector<Connection> connect_unix(std::size_t count) {
    std::vector<Connection> connections(count);
    for (Connection& connection : connections) {
        std::array<int, 2> fds{};
        check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds.data()),
              "make a socket pair");
        connection.client = Fd(fds[0]);
        connection.server = Fd(fds[1]);
    }
    return connections;
}

// --- traffic

void wait_for(int fd, short events, int channel = -1) {
    std::array<pollfd, 2> waited{pollfd{fd, events, 0}, pollfd{channel, POLLIN, 0}};
    const int ready = ::poll(waited.data(), waited.size(), kPatienceMs);
    if (ready == 0)
        throw StationError("no progress for 5 s");
    if (ready < 0 && errno != EINTR)
        check(ready, "wait for a socket");
}

bool is_readable(int fd) {
    pollfd waited{fd, POLLIN, 0};
    return ::poll(&waited, 1, 0) > 0;
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

std::size_t send_some(int fd, const char* data, std::size_t bytes) {
    return taken(::send(fd, data, bytes, MSG_NOSIGNAL), "send");
}

std::size_t receive_some(int fd, char* data, std::size_t bytes) {
    return taken(::recv(fd, data, bytes, 0), "receive");
}

void send_all(int fd, const std::vector<char>& message) {
    for (std::size_t sent = 0; sent < message.size();) {
        const std::size_t count = send_some(fd, message.data() + sent, message.size() - sent);
        if (count == 0)
            wait_for(fd, POLLOUT);
        sent += count;
    }
}

void receive_all(int fd, std::vector<char>& message) {
    for (std::size_t received = 0; received < message.size();) {
        const std::size_t count =
            receive_some(fd, message.data() + received, message.size() - received);
        if (count == 0)
            wait_for(fd, POLLIN);
        received += count;
    }
}

// --- the server

// Answers each message, until the channel says that there is no further one.
void serve_requests(int fd, int channel, std::size_t bytes) {
    std::vector<char> message(bytes);
    std::size_t received = 0;
    while (true) {
        const std::size_t count =
            receive_some(fd, message.data() + received, message.size() - received);
        if (count == 0) {
            if (is_readable(channel))
                return;
            wait_for(fd, POLLIN, channel);
            continue;
        }
        received += count;
        if (received == message.size()) {
            send_all(fd, message);
            received = 0;
        }
    }
}

// Returns when the last byte arrived.
nanoseconds serve_stream(int fd, int channel, Sample& sample) {
    std::vector<char> buffer(kReadBuffer);
    std::optional<std::uint64_t> all;
    nanoseconds last = now();
    while (!all || sample.count < *all) {
        const std::size_t count = receive_some(fd, buffer.data(), buffer.size());
        sample.count += count;
        if (count > 0)
            continue;
        last = now();
        if (!all && is_readable(channel)) {
            const std::optional<Order> stop = receive_message<Order>(channel);
            if (!stop)
                throw StationError("the client has ended");
            all = stop->bytes;
        } else {
            wait_for(fd, POLLIN, all ? -1 : channel);
        }
    }
    return std::max(last, now());
}

Answer serve(const std::vector<Connection>& connections, int channel, const Order& order) {
    Answer answer;
    const nanoseconds cpu = process_cpu();
    const int fd = connections[order.connection].server.get();
    if (order.pattern == Pattern::stream) {
        answer.last_arrival = serve_stream(fd, channel, answer.sample);
    } else {
        serve_requests(fd, channel, order.bytes);
        static_cast<void>(receive_message<Order>(channel));
    }
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
            answer = serve(connections, channel, *order);
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

void ask_requests(int fd, const Order& order, Sample& sample) {
    std::vector<char> message(order.bytes, 'x');
    std::vector<std::uint32_t> latencies;
    latencies.reserve(kMostLatencies);
    const nanoseconds begin = now(), end = begin + order.duration;
    nanoseconds at = begin;
    do {
        send_all(fd, message);
        receive_all(fd, message);
        const nanoseconds done = now();
        if (latencies.size() < kMostLatencies)
            latencies.push_back(static_cast<std::uint32_t>((done - at).count()));
        at = done;
        ++sample.count;
    } while (at < end);
    sample.elapsed = at - begin;
    sample.p50 = percentile(latencies, 50);
    sample.p99 = percentile(latencies, 99);
}

// Returns the bytes sent.
std::uint64_t send_stream(int fd, const Order& order) {
    const std::vector<char> message(order.bytes, 'x');
    std::uint64_t sent = 0;
    const nanoseconds end = now() + order.duration;
    do {
        const std::size_t count = send_some(fd, message.data(), message.size());
        if (count == 0)
            wait_for(fd, POLLOUT);
        sent += count;
    } while (now() < end);
    return sent;
}

Answer ask(const std::vector<Connection>& connections, int server, const Order& order) {
    send_message(server, order);
    Answer answer;
    Order stop{.kind = Order::Kind::stop};
    const nanoseconds cpu = process_cpu(), begin = now();
    const int fd = connections[order.connection].client.get();
    if (order.pattern == Pattern::stream)
        stop.bytes = send_stream(fd, order);
    else
        ask_requests(fd, order, answer.sample);
    send_message(server, stop);
    answer.sample.cpu = process_cpu() - cpu;
    const std::optional<Answer> served = receive_message<Answer>(server);
    if (!served)
        throw StationError("the server's process has ended");
    if (served->failure[0] != '\0')
        throw StationError(std::string("the server: ") + served->failure.data());
    answer.sample.cpu += served->sample.cpu;
    if (order.pattern == Pattern::stream) {
        answer.sample.count = served->sample.count;
        answer.sample.elapsed = served->last_arrival - begin;
    }
    return answer;
}

// What goes on in the client's process.
class Client {
  public:
    Client(Transport transport, std::uint16_t port) : transport_(transport), port_(port) {}

    Answer obey(const Order& order) {
        if (order.kind == Order::Kind::connect)
            return connect(order.connection);
        return ask(connections_, server_.near.get(), order);
    }

  private:
    Answer connect(std::size_t count) {
        connections_ =
            transport_ == Transport::tcp ? connect_tcp(port_, count) : connect_unix(count);
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

    Transport transport_;
    std::uint16_t port_;
    Channel server_;
    std::vector<Connection> connections_;
};

[[noreturn]] void be_client(Transport transport, std::uint16_t port, int channel, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent)
        ::_exit(0);
    ::signal(SIGINT, SIG_IGN);  // the terminal's is for the parent, who then ends this
    try {
        Client client(transport, port);
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

Answer call(int channel, const Order& order) {
    send_message(channel, order);
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

// The port is reserved by a socket that is bound to it and does not listen; SO_REUSEADDR on both
// lets the listener have it later.
Station::Station(Transport transport) {
    Fd reserved = tcp_socket();
    bind_to(reserved, 0);
    server_port_ = port_of(reserved.get());
    Channel channel;
    const pid_t parent = ::getpid();
    pid_ = check(::fork(), "make the client's process");
    if (pid_ == 0) {
        channel.near = {};
        be_client(transport, server_port_, channel.far.get(), parent);
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
    order.pattern = what.pattern;
    order.bytes = what.bytes;
    order.duration = duration;
    return call(channel_.get(), order).sample;
}

}  // namespace sockaccel::bench
