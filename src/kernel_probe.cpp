// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel_probe.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "destroy.hpp"
#include "fd.hpp"
#include "kernel_support.hpp"
#include "probe.skel.h"

namespace sockaccel {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 1s;       // of one wait; on loopback usually none is needed
constexpr std::size_t kSome = 1000;  // bytes of a message

// What was seen, and that it is not what TCP does.
class Wrong : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

std::string counted(std::size_t count, std::size_t of) {
    return std::to_string(count) + " of " + std::to_string(of) + " bytes";
}

std::string last_message;  // libbpf's

int keep_message(libbpf_print_level level, const char* format, va_list arguments) {
    if (level != LIBBPF_WARN)
        return 0;
    std::array<char, 512> line{};
    const int length = std::vsnprintf(line.data(), line.size(), format, arguments);
    last_message = line.data();
    return length;
}

// --- a connection of this process with itself; both ends O_NONBLOCK

enum End : unsigned { client, server };

constexpr End peer_of(End end) {
    return end == client ? server : client;
}

class Pair {
  public:
    Pair() {
        const Fd listener(check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "a socket"));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* const generic = reinterpret_cast<sockaddr*>(&address);
        socklen_t length = sizeof address;
        check(::bind(listener.get(), generic, length), "bind to 127.0.0.1");
        check(::listen(listener.get(), 1), "listen on 127.0.0.1");
        check(::getsockname(listener.get(), generic, &length), "ask for the port");
        constexpr int kType = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
        Fd& from = ends_[client];
        from = Fd(check(::socket(AF_INET, kType, 0), "a socket"));
        if (::connect(from.get(), generic, length) < 0 && errno != EINPROGRESS)
            check(-1, "connect to 127.0.0.1");
        wait_for(listener.get(), POLLIN, "a connection over 127.0.0.1");
        Fd& to = ends_[server];
        to = Fd(check(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK),
                      "accept"));
        // Somebody else may have been quicker to connect to this port.
        sockaddr_in peer{}, own{};
        length = sizeof peer;
        check(::getpeername(to.get(), reinterpret_cast<sockaddr*>(&peer), &length), "the peer");
        check(::getsockname(from.get(), reinterpret_cast<sockaddr*>(&own), &length), "the name");
        if (peer.sin_port != own.sin_port)
            throw std::runtime_error("another process connected to the test's port");
    }

    [[nodiscard]] int fd(End end) const { return ends_[end].get(); }
    void close(End end) { ends_[end] = Fd(); }

    static void wait_for(int fd, short events, const std::string& what) {
        pollfd polled{fd, events, 0};
        if (::poll(&polled, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) != 1)
            throw Wrong(what + " does not come");
    }

    void set_blocking(End end) const {
        check(::fcntl(fd(end), F_SETFL, ::fcntl(fd(end), F_GETFL) & ~O_NONBLOCK), "set blocking");
    }

    [[nodiscard]] tcp_info info(End end) const {
        tcp_info info{};
        socklen_t length = sizeof info;
        check(::getsockopt(fd(end), IPPROTO_TCP, TCP_INFO, &info, &length), "TCP_INFO");
        return info;
    }

    [[nodiscard]] std::size_t allocated(End end) const {
        std::array<std::uint32_t, SK_MEMINFO_VARS> memory{};
        socklen_t length = sizeof memory;
        check(::getsockopt(fd(end), SOL_SOCKET, SO_MEMINFO, memory.data(), &length), "SO_MEMINFO");
        return memory[SK_MEMINFO_RMEM_ALLOC];
    }

    [[nodiscard]] std::size_t readable(End end) const {
        int count = 0;
        check(::ioctl(fd(end), FIONREAD, &count), "FIONREAD");
        return static_cast<std::size_t>(count);
    }

    // Reads that many bytes; less only at the end of the file.
    [[nodiscard]] std::string read(End end, std::size_t count) const {
        std::string got(count, '\0');
        std::size_t have = 0;
        while (have < count) {
            const ssize_t result = ::recv(fd(end), got.data() + have, count - have, 0);
            if (result == 0)
                break;
            if (result > 0)
                have += static_cast<std::size_t>(result);
            else if (errno == EAGAIN)
                wait_for(fd(end), POLLIN, "the rest, " + counted(count - have, count) + ",");
            else
                throw Wrong(std::string("recv fails: ") + std::strerror(errno));
        }
        got.resize(have);
        return got;
    }

    void expect(End end, const std::string& wanted) const {
        const std::string got = read(end, wanted.size());
        if (got.size() < wanted.size())
            throw Wrong("an end of file after " + counted(got.size(), wanted.size()));
        if (got != wanted)
            throw Wrong("other bytes arrive than were sent, or in another order");
    }

    void expect_end(End end) const {
        wait_for(fd(end), POLLIN, "the end of the file");
        char byte = 0;
        const ssize_t result = ::recv(fd(end), &byte, 1, 0);
        if (result > 0)
            throw Wrong("bytes that were not sent");
        if (result < 0)
            throw Wrong(std::string("no end of file, but ") + std::strerror(errno));
    }

  private:
    std::array<Fd, 2> ends_;
};

template <typename Done>
void wait_until(const std::string& what, Done done) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!done()) {
        if (std::chrono::steady_clock::now() > deadline)
            throw Wrong(what + " does not come");
        std::this_thread::sleep_for(100us);
    }
}

std::string message(char letter, std::size_t size = kSome) {
    std::string text(size, letter);
    for (std::size_t at = 0; at < size; at += 8)
        text[at] = static_cast<char>('0' + at / 8 % 10);
    return text;
}

// --- the programs

using Skeleton = std::unique_ptr<probe_bpf, Destroy<probe_bpf__destroy>>;
using Link = std::unique_ptr<bpf_link, Destroy<bpf_link__destroy>>;

class Programs {
  public:
    Programs() : skeleton_(probe_bpf__open()) {
        if (!skeleton_)
            throw Wrong("cannot open the embedded BPF object: " + last_message);
        if (const int error = probe_bpf__load(skeleton_.get()); error != 0)
            throw Wrong(std::string("the kernel refuses the BPF programs: ") +
                        std::strerror(-error) + ": " + last_message);
        check(::bpf_prog_attach(bpf_program__fd(skeleton_->progs.sa_probe_redirect),
                                bpf_map__fd(skeleton_->maps.probe_sockets), BPF_SK_MSG_VERDICT, 0),
              "attach the program to a SOCKHASH");
        insert_ = iterator(skeleton_->progs.sa_probe_insert);
        remove_ = iterator(skeleton_->progs.sa_probe_remove);
    }

    void enrol(const Pair& pair) { visit(pair, insert_, "put both ends into a SOCKHASH"); }
    void remove(const Pair& pair) { visit(pair, remove_, "take both ends out of the SOCKHASH"); }

    void redirect(const Pair& pair, End from, const std::string& text) {
        const std::uint32_t before = skeleton_->bss->redirected;
        redirect_from(from);
        send(pair, from, text);
        skeleton_->bss->redirect_to = 0;
        if (skeleton_->bss->redirected == before)
            throw Wrong("the kernel does not redirect a message");
    }

    // Returns when it has arrived. `is_enrolled`: else it goes by TCP although the program would
    // redirect it.
    void send_by_tcp(const Pair& pair, End from, const std::string& text, bool is_enrolled = true) {
        const End to = peer_of(from);
        const auto wanted = pair.info(to).tcpi_bytes_received + text.size();
        redirect_from(from);
        if (is_enrolled)
            skeleton_->bss->redirect_to = 0;
        send(pair, from, text);
        wait_until("what was sent by TCP",
                   [&] { return pair.info(to).tcpi_bytes_received >= wanted; });
    }

    // From now on, whoever sends.
    void redirect_from(End from) { skeleton_->bss->redirect_to = peer_of(from) + 1U; }

    [[nodiscard]] std::uint32_t redirected() const { return skeleton_->bss->redirected; }

  private:
    Link iterator(bpf_program* program) const {
        bpf_iter_link_info info{};
        info.map.map_fd = static_cast<__u32>(bpf_map__fd(skeleton_->maps.probe_ends));
        bpf_iter_attach_opts options{};
        options.sz = sizeof options;
        options.link_info = &info;
        options.link_info_len = sizeof info;
        Link link(bpf_program__attach_iter(program, &options));
        if (!link)
            throw Wrong(std::string("an iterator over socket storage cannot be attached: ") +
                        std::strerror(errno));
        return link;
    }

    static void send(const Pair& pair, End from, const std::string& text) {
        const ssize_t sent = ::send(pair.fd(from), text.data(), text.size(), MSG_NOSIGNAL);
        if (sent < 0)
            throw Wrong(std::string("send fails: ") + std::strerror(errno));
        if (static_cast<std::size_t>(sent) != text.size())
            throw Wrong("send takes " + counted(static_cast<std::size_t>(sent), text.size()));
    }

    // The ends are in the storage map during the visit only: no later visit meets them.
    void visit(const Pair& pair, const Link& link, const std::string& act) {
        const int map = bpf_map__fd(skeleton_->maps.probe_ends);
        for (const End end : {client, server}) {
            const int fd = pair.fd(end);
            const __u32 value = end;
            check(::bpf_map_update_elem(map, &fd, &value, BPF_ANY), "write socket storage");
        }
        skeleton_->bss->failure = 0;
        skeleton_->bss->visited = 0;
        {
            const Fd run(check(::bpf_iter_create(bpf_link__fd(link.get())), "run an iterator"));
            std::array<char, 64> nothing{};
            while (::read(run.get(), nothing.data(), nothing.size()) < 0 &&
                   (errno == EAGAIN || errno == EINTR)) {
            }
        }
        for (const End end : {client, server}) {
            const int fd = pair.fd(end);
            ::bpf_map_delete_elem(map, &fd);
        }
        if (skeleton_->bss->failure != 0)
            throw Wrong("cannot " + act + ": " + std::strerror(-skeleton_->bss->failure));
        if (skeleton_->bss->visited != 2)
            throw Wrong("cannot " + act + ": an iterator visits " +
                        std::to_string(skeleton_->bss->visited) + " of 2");
    }

    Skeleton skeleton_;
    Link insert_, remove_;
};

// --- the checks: each returns what it saw, or throws Wrong

std::string check_types() {
    const std::vector<std::string> missing = missing_kernel_support();
    if (missing.empty())
        return "all there";
    std::string text = "missing:";
    for (const std::string& item : missing)
        text += (text.back() == ':' ? " " : ", ") + item;
    throw Wrong(text);
}

std::string check_table(Programs& programs) {
    const Pair pair;
    programs.enrol(pair);
    for (const End from : {client, server}) {
        const auto by_tcp = pair.info(peer_of(from)).tcpi_bytes_received;
        programs.redirect(pair, from, message('a'));
        pair.expect(peer_of(from), message('a'));
        if (pair.info(peer_of(from)).tcpi_bytes_received != by_tcp)
            throw Wrong("what was to be redirected went by TCP");
    }
    return "messages are redirected both ways";
}

// What the gate relies on: TCP's data was read before anything is redirected, and from redirect to
// TCP the order holds at any time.
std::string check_order(Programs& programs) {
    const Pair pair;
    programs.enrol(pair);
    constexpr std::size_t kLarge = 65536;
    for (const End from : {client, server}) {
        const End to = peer_of(from);
        programs.send_by_tcp(pair, from, message('a'));
        pair.expect(to, message('a'));
        programs.redirect(pair, from, message('b'));
        programs.redirect(pair, from, message('c', kLarge));
        programs.send_by_tcp(pair, from, message('d'));
        programs.send_by_tcp(pair, from, message('e'));
        pair.expect(to, message('b') + message('c', kLarge) + message('d') + message('e'));
        programs.redirect(pair, from, message('f'));
        pair.expect(to, message('f'));
    }
    return "as sent, between redirect and TCP";
}

std::string check_accounting(Programs& programs) {
    const Pair pair;
    programs.enrol(pair);
    constexpr std::size_t kMessages = 16;
    const std::size_t before = pair.allocated(server);
    for (std::size_t i = 0; i < kMessages; ++i)
        programs.redirect(pair, client, message('a'));
    const std::size_t queued = pair.allocated(server) - before;
    for (std::size_t i = 0; i < kMessages; ++i)
        pair.expect(server, message('a'));
    const std::size_t after = pair.allocated(server) - before;
    if (queued < kMessages * kSome)
        throw Wrong("sk_rmem_alloc counts " + counted(queued, kMessages * kSome) +
                    " that wait: no limit of a queue would hold");
    if (after != 0)
        throw Wrong("sk_rmem_alloc counts " + std::to_string(after) +
                    " bytes when all was read: nothing more would be redirected");
    return "sk_rmem_alloc counts " + counted(queued, kMessages * kSome) + " that wait";
}

std::string check_fionread(Programs& programs, std::size_t redirected, std::size_t by_tcp) {
    const Pair pair;
    programs.enrol(pair);
    if (redirected > 0)
        programs.redirect(pair, client, message('a', redirected));
    if (by_tcp > 0)
        programs.send_by_tcp(pair, client, message('b', by_tcp));
    const std::size_t seen = pair.readable(server);
    std::string text = "counts " + counted(seen, redirected + by_tcp);
    if (seen != redirected + by_tcp)
        throw Wrong(text);
    return text;
}

std::string check_end_of_file(Programs& programs) {
    const Pair pair;
    programs.enrol(pair);
    programs.redirect(pair, client, message('a'));
    check(::shutdown(pair.fd(client), SHUT_WR), "shut down");
    wait_until("the FIN", [&] { return pair.info(server).tcpi_state == BPF_TCP_CLOSE_WAIT; });
    pair.expect(server, message('a'));
    pair.expect_end(server);
    pair.expect_end(server);
    return "after the last byte";
}

std::string check_half_close(Programs& programs) {
    Pair pair;
    programs.enrol(pair);
    check(::shutdown(pair.fd(client), SHUT_WR), "shut down");
    wait_until("the FIN", [&] { return pair.info(server).tcpi_state == BPF_TCP_CLOSE_WAIT; });
    pair.expect_end(server);
    programs.redirect(pair, server, message('a'));
    pair.expect(client, message('a'));
    programs.redirect(pair, server, message('b'));
    programs.send_by_tcp(pair, server, message('c'));
    pair.close(server);
    pair.expect(client, message('b') + message('c'));
    pair.expect_end(client);
    return "the other direction goes on to its end";
}

std::string check_removal(Programs& programs) {
    Pair pair;
    programs.enrol(pair);
    for (const End from : {client, server}) {
        programs.redirect(pair, from, message('a'));
        pair.expect(peer_of(from), message('a'));
    }
    programs.remove(pair);
    const std::uint32_t before = programs.redirected();
    for (const End from : {client, server}) {
        programs.send_by_tcp(pair, from, message('b'), false);
        if (const std::size_t seen = pair.readable(peer_of(from)); seen != kSome)
            throw Wrong("FIONREAD still counts " + counted(seen, kSome));
        pair.expect(peer_of(from), message('b'));
    }
    if (programs.redirected() != before)
        throw Wrong("messages are still redirected");
    pair.close(client);
    pair.expect_end(server);
    return "plain TCP again, nothing lost";
}

// A timer's signal wakes the reader, more than once; then there is data; at last, no connection.
struct Wakes {
    int reader = -1, writer = -1;
    volatile std::sig_atomic_t count = 0;
} wakes;
constexpr int kIdleWakes = 3, kMostWakes = 500;
constexpr suseconds_t kWakeMicroseconds = 2000;

void wake(int) {
    const int error = errno;
    wakes.count = wakes.count + 1;
    if (wakes.count == kIdleWakes)
        static_cast<void>(::send(wakes.writer, "a", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
    else if (wakes.count >= kMostWakes)
        ::shutdown(wakes.reader, SHUT_RDWR);
    errno = error;
}

std::string check_blocking(Programs& programs) {
    const Pair pair;
    programs.enrol(pair);
    pair.set_blocking(server);
    programs.redirect_from(client);
    wakes.reader = pair.fd(server);
    wakes.writer = pair.fd(client);
    wakes.count = 0;

    struct sigaction action {};
    action.sa_handler = wake;
    action.sa_flags = SA_RESTART;
    check(::sigaction(SIGALRM, &action, nullptr), "set a signal handler");
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGALRM);
    check(::sigprocmask(SIG_UNBLOCK, &signals, nullptr), "take signals");
    const itimerval interval{{0, kWakeMicroseconds}, {0, kWakeMicroseconds}}, off{};
    check(::setitimer(ITIMER_REAL, &interval, nullptr), "set a timer");
    char byte = 0;
    const ssize_t result = ::recv(pair.fd(server), &byte, 1, 0);
    const int error = errno;
    check(::setitimer(ITIMER_REAL, &off, nullptr), "end a timer");

    if (result < 0)
        throw Wrong(std::string("a blocking reader gets ") +
                    (error == EAGAIN ? "EAGAIN" : std::strerror(error)) +
                    " when a signal wakes it");
    if (result == 0 || byte != 'a')
        throw Wrong("a blocking reader that a signal has woken never gets the data");
    return "a blocking reader waits on when a signal wakes it";
}

std::string check_splice(Programs& programs) {
    const Pair pair;
    programs.enrol(pair);
    std::array<int, 2> ends{};
    check(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), "a pipe");
    const Fd out(ends[0]), in(ends[1]);
    programs.redirect(pair, client, message('a'));
    const ssize_t moved =
        ::splice(pair.fd(server), nullptr, in.get(), nullptr, kSome, SPLICE_F_NONBLOCK);
    if (moved < 0)
        throw Wrong(std::string(errno == EAGAIN ? "EAGAIN" : std::strerror(errno)) + " where " +
                    std::to_string(kSome) + " bytes wait");
    if (static_cast<std::size_t>(moved) != kSome)
        throw Wrong("moves " + counted(static_cast<std::size_t>(moved), kSome));
    std::string got(kSome, '\0');
    if (::read(out.get(), got.data(), got.size()) != moved || got != message('a'))
        throw Wrong("moves other bytes than were sent");
    return "moves " + counted(kSome, kSome);
}

std::string check_waitall(Programs& programs) {
    const Pair pair;
    programs.enrol(pair);
    pair.set_blocking(server);
    programs.redirect(pair, client, message('a'));
    programs.redirect_from(client);
    std::atomic<bool> is_done = false;
    std::thread rest([&] {
        std::this_thread::sleep_for(5ms);  // the reader shall wait by then
        const std::string more = message('b');
        static_cast<void>(::send(pair.fd(client), more.data(), more.size(), MSG_NOSIGNAL));
        const auto deadline = std::chrono::steady_clock::now() + kPatience;
        while (!is_done && std::chrono::steady_clock::now() < deadline)
            std::this_thread::sleep_for(1ms);
        if (!is_done)
            ::shutdown(pair.fd(server), SHUT_RDWR);
    });
    std::string got(2 * kSome, '\0');
    const ssize_t result = ::recv(pair.fd(server), got.data(), got.size(), MSG_WAITALL);
    const int error = errno;
    is_done = true;
    rest.join();
    if (result < 0)
        throw Wrong(std::string("recv fails: ") + std::strerror(error));
    std::string text = "returns " + counted(static_cast<std::size_t>(result), 2 * kSome);
    if (got != message('a') + message('b'))
        throw Wrong(text);
    return text;
}

std::string check_fentry() {
    const Skeleton skeleton(probe_bpf__open());
    if (!skeleton)
        throw Wrong("cannot open the embedded BPF object: " + last_message);
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, skeleton->obj)
        bpf_program__set_autoload(program, program == skeleton->progs.sa_probe_fentry);
    if (const int error = probe_bpf__load(skeleton.get()); error != 0)
        throw Wrong(std::string("such a program does not load: ") + std::strerror(-error));
    return "such a program loads";
}

}  // namespace

void probe_kernel(const std::function<void(const Observation&)>& tell) {
    libbpf_set_print(keep_message);
    std::unique_ptr<Programs> programs;
    const auto observe = [&](Check what, auto measure) {
        try {
            tell({what, true, measure()});
        } catch (const std::exception& error) {
            tell({what, false, error.what()});
        }
    };
    const auto with_programs = [&](Check what, auto measure) {
        observe(what, [&] {
            if (!programs)
                throw Wrong("not tried");
            return measure(*programs);
        });
    };

    observe(Check::types, check_types);
    observe(Check::table, [&] {
        auto loaded = std::make_unique<Programs>();
        std::string text = check_table(*loaded);
        programs = std::move(loaded);
        return text;
    });
    with_programs(Check::order, check_order);
    with_programs(Check::accounting, check_accounting);
    with_programs(Check::fionread_redirected,
                  [](Programs& it) { return check_fionread(it, kSome, 0); });
    with_programs(Check::fionread_plain, [](Programs& it) { return check_fionread(it, 0, kSome); });
    with_programs(Check::fionread_both,
                  [](Programs& it) { return check_fionread(it, kSome, kSome / 2); });
    with_programs(Check::end_of_file, check_end_of_file);
    with_programs(Check::half_close, check_half_close);
    with_programs(Check::removal, check_removal);
    with_programs(Check::blocking, check_blocking);
    with_programs(Check::splice, check_splice);
    with_programs(Check::waitall, check_waitall);
    observe(Check::fentry, check_fentry);
}

}  // namespace sockaccel
