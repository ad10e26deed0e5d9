// SPDX-License-Identifier: GPL-2.0-or-later
// Checked traffic over TCP connections whose ends are O_NONBLOCK: whatever arrives is compared,
// byte for byte, with what was sent. Everything ends by a deadline, and is bounded in bytes.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fd.hpp"
#include "place.hpp"
#include "slowness.hpp"
#include "stream.hpp"

namespace sockaccel::test {

// Wrong bytes, an unexpected error or end, or a deadline that passed: what() says where.
class TrafficError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// The connection failed, as a reset one does.
class ConnectionLost : public TrafficError {
  public:
    using TrafficError::TrafficError;
};

// One socket of a connection, with what it sends and what it has to receive.
class End {
  public:
    End(Fd socket, std::uint64_t sends, std::uint64_t receives);

    [[nodiscard]] int fd() const { return socket_.get(); }
    [[nodiscard]] std::uint64_t cookie() const;  // the kernel's socket cookie
    [[nodiscard]] std::uint64_t sent() const { return sent_; }
    [[nodiscard]] std::uint64_t received() const { return received_; }
    [[nodiscard]] bool at_eof() const { return at_eof_; }
    [[nodiscard]] std::string text() const;  // addresses, and how far it is

    // One send(2) of the next `bytes`; how many were taken, 0: it would block.
    std::size_t send(std::size_t bytes);
    // One recv(2) of at most `bytes`, checked; 0: it would block, or at_eof().
    std::size_t receive(std::size_t bytes, int flags = 0);
    // The same into this memory.
    std::size_t receive_into(std::span<std::byte> memory);
    // The same by splice(2) into a pipe; at most 64 KiB.
    std::size_t splice(std::size_t bytes);
    void shut_down_sending();
    void set_blocking(bool blocking);
    void close() { socket_ = Fd(); }
    [[nodiscard]] Fd release() { return std::move(socket_); }

    // FIONREAD, which tells the truth of plain TCP only.
    [[nodiscard]] std::size_t readable_bytes() const;

  private:
    std::size_t take(ssize_t got, std::span<const std::byte> buffer, const char* call);

    Fd socket_;
    Stream out_, in_;
    std::uint64_t sent_ = 0, received_ = 0;
    bool at_eof_ = false;
};

struct TcpPair {
    End client, server;
};

struct Route {
    Place client = {}, server = {};
    std::string address = "127.0.0.1";  // that the client connects to
    std::uint16_t port = 0;             // 0: one that is free
    std::string listen_on = {};         // "": `address`; "::" takes IPv4, too
    std::string client_address = {};    // "": the kernel's choice
    std::uint16_t client_port = 0;
    std::uint16_t connect_port = 0;                // 0: `port`; behind NAT it may be another one
    int client_protocol = 0, server_protocol = 0;  // 0: TCP
};

class Listener {
  public:
    explicit Listener(const Route& route);

    [[nodiscard]] int fd() const { return socket_.get(); }
    [[nodiscard]] std::uint16_t port() const { return port_; }
    // The client's socket, connecting; O_NONBLOCK like everything here.
    [[nodiscard]] Fd start_client(Fd socket) const;
    [[nodiscard]] Fd accept() const;
    // The pair of this client's socket and the next one that is accepted.
    [[nodiscard]] TcpPair pair(Fd client) const;

    [[nodiscard]] TcpPair connect() const;
    [[nodiscard]] std::vector<TcpPair> connect(std::size_t count) const;

  private:
    Route route_;
    Fd socket_;
    std::uint16_t port_ = 0;
};

[[nodiscard]] TcpPair connect_pair(const Route& route);

// How an end sends and reads.
struct Sizes {
    std::size_t least = 1, most = 65536;
};
struct Habits {
    Sizes write = {}, read = {};
    unsigned pause_percent = 0;  // of the writes and reads, each
    std::chrono::microseconds longest_pause{2000};
};

using Timeout = std::chrono::milliseconds;
inline const Timeout kPatience = slowness() * std::chrono::seconds(30);

// One request and one response, by turns, `turns` times.
struct Dialogue {
    std::size_t request = 64, response = 64;
    unsigned turns = 1;
};
void converse(TcpPair& pair, const Dialogue& dialogue, Timeout timeout = kPatience);

// Both directions at once, each end in a thread of its own.
struct Exchange {
    std::uint64_t to_server = 0, to_client = 0;  // bytes of each pair
    Habits client = {}, server = {};
    bool finish =
        false;  // each end shuts down its direction when it has sent all, and expects the same
    std::uint64_t seed = 1;
};
void exchange_bytes(std::span<TcpPair> pairs, const Exchange& plan, Timeout timeout = kPatience);
void exchange_bytes(TcpPair& pair, const Exchange& plan, Timeout timeout = kPatience);

// Sends messages of `message` bytes until the socket has been full for a while, or `most` bytes are
// sent.
struct Flood {
    std::size_t message = 65536;
    std::uint64_t most = 64ULL << 20;
};
struct Flooded {
    std::uint64_t bytes = 0;
    bool blocked = false;
};
Flooded flood(End& end, const Flood& plan);

// Reads until everything that the other end has sent is there.
void read_all(TcpPair& pair, Timeout timeout = kPatience);

// Random traffic both ways on the given pairs, from now on until stop(). The pairs must stay, and
// not be used by others meanwhile.
class BackgroundTraffic {
  public:
    explicit BackgroundTraffic(std::span<TcpPair> pairs, Habits habits = default_habits());
    ~BackgroundTraffic();
    BackgroundTraffic(const BackgroundTraffic&) = delete;
    BackgroundTraffic& operator=(const BackgroundTraffic&) = delete;

    // Stops sending; returns when all that was sent has arrived. Throws what went wrong, if
    // anything did.
    void stop(Timeout timeout = kPatience);

    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }  // arrived until now, both ways
    [[nodiscard]] static Habits default_habits() {
        return {.write = {1, 40000}, .read = {1, 65536}, .pause_percent = 50};
    }

  private:
    void run(std::size_t role, const Habits& habits);

    std::span<TcpPair> pairs_;
    std::atomic<bool> stopping_ = false, failed_ = false;
    std::atomic<std::uint64_t> bytes_ = 0;
    std::atomic<std::chrono::steady_clock::time_point> deadline_;
    std::vector<std::array<std::atomic<std::uint64_t>, 2>>
        totals_;  // sent, by pair and role, once known
    std::array<std::exception_ptr, 2> failures_;
    std::array<std::thread, 2> threads_;
};

}  // namespace sockaccel::test
