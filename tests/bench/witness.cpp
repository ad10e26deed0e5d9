// SPDX-License-Identifier: GPL-2.0-or-later
// What a program pays for the witness in the functions that it calls: one that has nothing to do
// with any rule, and one that is covered.
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "event_loop.hpp"
#include "fd.hpp"
#include "fentry.hpp"
#include "loopback.hpp"
#include "measures.hpp"
#include "wait_until.hpp"

namespace sockaccel::bench {
namespace {

// Tolerates nothing, so that there has to be a witness.
std::string watchful_policy(const test::TestCgroup& cgroup) {
    return fmt::format("[[rule]]\nname = \"watched\"\ncgroups = [\"{}\"]\nprove = \"0s\"\n",
                       cgroup.path());
}

void put_in_force(test::Daemon& daemon, const std::string& policy) {
    daemon.write_policy(policy);
    daemon.manager().Reload();
    for (const std::string& name : daemon.manager().Rules())
        if (!test::wait_until([&] { return daemon.rule(name)->State() == "active"; }))
            throw std::runtime_error("the rule is " + daemon.rule(name)->State() + ": " +
                                     daemon.rule(name)->Why());
}

Fd tcp_socket() {
    return Fd(check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "make a socket"));
}

// Both ends of a connection.
std::pair<Fd, Fd> connected() {
    const Fd listener = tcp_socket();
    sockaddr_in address = test::loopback();
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t length = sizeof address;
    check(::bind(listener.get(), generic, length), "bind");
    check(::listen(listener.get(), 1), "listen");
    check(::getsockname(listener.get(), generic, &length), "ask for the port");
    Fd client = tcp_socket();
    check(::connect(client.get(), generic, length), "connect");
    return {std::move(client), Fd(check(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC),
                                        "accept a connection"))};
}

// A call on a socket that has nothing to read.
struct Call {
    const char* name;
    void (*make)(int fd);
};

void receive(int fd, int flags) {
    char byte = 0;
    static_cast<void>(::recv(fd, &byte, 1, MSG_DONTWAIT | flags));
}

constexpr Call kCalls[] = {
    {"recv()", [](int fd) { receive(fd, 0); }},
    {"recv(MSG_WAITALL)", [](int fd) { receive(fd, MSG_WAITALL); }},
    {"FIONREAD",
     [](int fd) {
         int count = 0;
         ::ioctl(fd, FIONREAD, &count);
     }},
};

// A process in a cgroup that makes calls when it is told.
class Caller {
  public:
    explicit Caller(const test::TestCgroup& cgroup) {
        std::array<int, 2> fds{};
        check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()),
              "make a channel");
        channel_ = Fd(fds[0]);
        const Fd far(fds[1]);
        pid_ = start_in(cgroup, "witness", [&] { obey(far.get()); });
    }
    ~Caller() { end_process(pid_); }
    Caller(const Caller&) = delete;
    Caller& operator=(const Caller&) = delete;

    Sample run(const Call& call, std::chrono::milliseconds duration) {
        const Order order{&call, duration};
        check(static_cast<int>(::send(channel_.get(), &order, sizeof order, MSG_NOSIGNAL)),
              "order a run");
        Sample sample;
        if (::recv(channel_.get(), &sample, sizeof sample, 0) != sizeof sample)
            throw StationError("the process that calls has ended");
        return sample;
    }

  private:
    struct Order {
        const Call* call;  // at the same address in both processes
        std::chrono::milliseconds duration;
    };

    static void obey(int channel) {
        constexpr int kBetweenLooks = 1000;
        const auto [client, server] = connected();
        Order order{};
        while (::recv(channel, &order, sizeof order, 0) == sizeof order) {
            Sample sample;
            const std::chrono::nanoseconds begin = now();
            do {
                for (int i = 0; i < kBetweenLooks; ++i)
                    order.call->make(client.get());
                sample.count += kBetweenLooks;
                sample.elapsed = now() - begin;
            } while (sample.elapsed < order.duration);
            sample.cpu = sample.elapsed;
            check(static_cast<int>(::send(channel, &sample, sizeof sample, MSG_NOSIGNAL)),
                  "answer");
        }
    }

    Fd channel_;
    pid_t pid_ = -1;
};

// With the policy in force, which wants the witness, and without any.
void compare(Session& session, test::Daemon& daemon, const std::string& policy, std::string name,
             std::string unit, const std::function<Sample()>& run) {
    const auto measure = [&](const std::string& in_force) {
        return [&, in_force] {
            stop_if_interrupted();
            put_in_force(daemon, in_force);
            return run();
        };
    };
    Row row;
    row.group = "witness";
    row.name = std::move(name);
    row.unit = std::move(unit);
    for (unsigned turn = 0; turn < session.turns(Precision::fine); ++turn)
        take_turn(row, turn, {{Way::plain, measure("")}, {Way::uncovered, measure(policy)}});
    session.add(std::move(row));
}

void measure_calls(Session& session, test::Daemon& daemon, const std::string& policy,
                   const std::string& who, const test::TestCgroup& cgroup) {
    put_in_force(daemon, policy);  // before it connects
    Caller caller(cgroup);
    for (const Call& call : kCalls)
        compare(session, daemon, policy, fmt::format("{}, {}", who, call.name), "calls", [&] {
            static_cast<void>(caller.run(call, session.sample() / 10));
            return caller.run(call, session.sample());
        });
}

}  // namespace

void measure_witness(Session& session) {
    if (!test::fentry_loads()) {
        session.omit("witness", "all", "this kernel does not let fentry programs load");
        return;
    }
    session.end_rig();
    const test::TestCgroup watched, uninvolved;
    test::Daemon daemon("");
    const std::string policy = watchful_policy(watched);
    for (const Waiting waiting : {Waiting::poll, Waiting::blocking}) {
        Route route;
        route.waiting = waiting;
        Station station(route);
        move_to(uninvolved, station.pid());
        static_cast<void>(station.connect(1));
        const Case what{Pattern::request_response, 64};
        compare(session, daemon, policy,
                fmt::format("an uninvolved program, {}, 64B", to_string(waiting)), "transactions",
                [&] { return run_warm(station, 0, what, session.sample()); });
    }
    measure_calls(session, daemon, policy, "an uninvolved program", uninvolved);
    measure_calls(session, daemon, policy, "a covered program", watched);
}

}  // namespace sockaccel::bench
