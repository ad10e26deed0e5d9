// SPDX-License-Identifier: GPL-2.0-or-later
// The daemon as seen over D-Bus. The only part of sockaccelctl that knows sdbus-c++.
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "bus_address.hpp"
#include "conversations.hpp"
#include "report.hpp"

namespace sockaccel::ctl {

// The messages of all are for people: what failed, and what to do.
class ClientError : public std::runtime_error {
    using std::runtime_error::runtime_error;
};
class NotRunning : public ClientError {
    using ClientError::ClientError;
};
class Denied : public ClientError {
    using ClientError::ClientError;
};
class InvalidPolicy : public ClientError {  // what() is the parser's text, as it is
    using ClientError::ClientError;
};

// A daemon that has nothing to do has ended. To look at it is no reason to start it, to change
// something is.
enum class IfNotRunning { fail, start };

// Each call is answered or throws ClientError. Calls that take a privilege wait while a polkit
// agent asks for a password: the desktop's, or one of its own in the terminal.
class Client {
  public:
    Client(const BusAddress& bus, IfNotRunning what);
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    [[nodiscard]] StatusReport status();
    [[nodiscard]] std::vector<RuleReport> rules();  // in deciding order
    // Without `all`, nobody is asked for a password, and those of other users may be missing.
    [[nodiscard]] ConnectionsReport connections(bool all);
    [[nodiscard]] ConversationsReport conversations();  // that rules observe
    void pause(const std::string& rule);                // "": everything
    void resume(const std::string& rule);
    [[nodiscard]] ProbeReport probe();              // tests the kernel now
    std::vector<std::string> reload();              // what changed, a line each
    [[nodiscard]] std::vector<std::string> diff();  // what a reload would change

    // Adds temporary rules, text as in a file of the policy, until release(), or the end of this
    // object. Returns their names.
    std::vector<std::string> hold(const std::string& rules);
    void release();

    // From now on wait() tells of the daemon's coming and going.
    void watch();
    enum class Woken { readable, daemon_left, daemon_came };
    // Until one of these, or `fd` is readable.
    Woken wait(int fd);

    // Gives events to `sink` until SIGINT or SIGTERM, which stay blocked. Calls `ready` once when
    // events come from then on, and tells whether those of all users do; `all` is as above. Throws
    // when the daemon leaves.
    void monitor(bool all, const std::function<void(bool sees_all)>& ready,
                 const std::function<void(const EventReport&)>& sink);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sockaccel::ctl
