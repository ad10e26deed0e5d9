// SPDX-License-Identifier: GPL-2.0-or-later
// A connection on which each call and its result is written down, so that the same calls on two
// kinds of connections can be compared.
#pragma once

#include <fmt/format.h>
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "fd.hpp"
#include "traffic.hpp"

namespace sockaccel::test {

using Transcript = std::vector<std::string>;

// One end of it. What a call takes or gives is written with its content, long ones as a checksum.
class Side {
  public:
    Side(std::string name, End& end, Transcript& transcript, std::uint64_t& sent)
        : name_(std::move(name)), end_(end), transcript_(transcript), sent_(sent) {}

    [[nodiscard]] int fd() const { return end_.fd(); }

    template <typename... Values>
    void say(fmt::format_string<Values...> format, Values&&... values) {
        transcript_.push_back(name_ + ": " + fmt::format(format, std::forward<Values>(values)...));
    }
    // "5", or "EAGAIN"; to be called before anything else touches errno.
    [[nodiscard]] static std::string result_of(ssize_t result);
    [[nodiscard]] static std::string content_of(const std::string& bytes);
    // What another call than those below has sent.
    void count_sent(ssize_t result);

    ssize_t send(const std::string& bytes, int flags = 0);
    std::string receive(std::size_t size, int flags = 0);
    // Reads until as much is there, the stream ends or fails, or two seconds are over; writes down
    // the whole, and how it went on: "", "end of file", an error.
    void receive_all(std::size_t size);
    void shutdown(int how);
    void close();
    void set(int level, int option, int value, const char* name);
    void set_blocking(bool blocking) { end_.set_blocking(blocking); }
    // What poll(2) says at once.
    void poll(short events);
    // Until poll(2) says one of these, and not longer than two seconds; nothing is written down.
    void await(short events) const;
    // Is nothing there yet after a while?
    void expect_silence();

  private:
    std::string name_;
    End& end_;
    Transcript& transcript_;
    std::uint64_t& sent_;
};

class Wire {
  public:
    explicit Wire(TcpPair& pair)
        : client("client", pair.client, transcript, sent),
          server("server", pair.server, transcript, sent) {}

    // What another call than those of its ends has sent.
    void count_sent(ssize_t result) { client.count_sent(result); }

    // Until each end has acknowledged what the other has sent: then it can be read.
    void settle() const;

    Transcript transcript;
    std::uint64_t sent = 0;  // bytes that the calls took
    Side client, server;
};

// epoll(7) on one end.
class Watch {
  public:
    Watch(Side& side, std::uint32_t events);

    // Writes down the events that are there, or come within two seconds.
    void next();
    // That none comes.
    void expect_none();
    void rearm(std::uint32_t events);
    // Until there is an event, nothing written down; 0 after two seconds without one.
    [[nodiscard]] std::uint32_t wait() const;

  private:
    Side& side_;
    Fd epoll_;
};

// Text that tells its position.
[[nodiscard]] std::string text(std::size_t size, unsigned seed = 1);

}  // namespace sockaccel::test
