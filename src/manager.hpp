// SPDX-License-Identifier: GPL-2.0-or-later
// The daemon's face on D-Bus: org.sockaccel1.Manager and one org.sockaccel1.Rule object a rule, as
// dbus/*.xml describe them. With access.hpp the only part of the daemon that knows sdbus-c++.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bus_address.hpp"
#include "engine.hpp"
#include "event_loop.hpp"

namespace sockaccel {

class Manager {
  public:
    // What the daemon says of itself, and what does not change while it runs.
    struct About {
        std::string version;  // of sockaccel
        std::string kernel;   // "6.1.0-18-amd64"
    };

    // What is done for callers.
    struct Acts {
        std::function<std::vector<std::string>()> reload;  // what changed, a line each
        std::function<std::vector<std::string>()> diff;    // what that would be
        // That the policy in force was read from.
        std::function<std::vector<std::string>()> policy_files;
        // Puts in force what is paused, and keeps it.
        std::function<void(const Paused&)> pause;
        // Adds temporary rules, written as in a file, until release(); returns their names.
        std::function<std::vector<std::string>(const std::string& holder, const std::string& rules)>
            hold;
        std::function<void(const std::string& holder)> release;
        std::function<std::string(const std::string& rule)> holder_of;  // "": none
        // Starts a test of the kernel, if none runs; answer_probes() has to follow.
        std::function<void()> probe;
    };

    // Connects to the bus, which must not be `none`, and puts the objects there; nobody finds them
    // before claim_name(). Takes the engine's on_change() and listen(). Engine and loop have to
    // outlive the manager. When the bus goes away, it comes back as soon as the bus does. Throws
    // std::runtime_error.
    Manager(EventLoop& loop, Engine& engine, const BusAddress& bus, About about, Acts acts);
    ~Manager();
    Manager(const Manager&) = delete;
    Manager& operator=(const Manager&) = delete;

    // Last step of the start: from now on callers come. Throws std::runtime_error that says why the
    // name cannot be had.
    void claim_name();

    // Called after each request that was answered, and when a subscriber or a holder has gone.
    void on_request(std::function<void()> callback);
    // A request was taken that has no answer yet.
    [[nodiscard]] bool is_answering() const;
    // Somebody waits for an answer or for events, or holds a rule.
    [[nodiscard]] bool is_busy() const;
    // Gives the name back and answers what was sent to it before: from now on callers start another
    // daemon. Throws std::runtime_error.
    void give_up_name();

    // The engine has taken the verdict of a test: those who asked for one are told.
    void answer_probes();

    // What the method Reload and SIGHUP do: Acts::reload, then tell the bus what changed.
    std::vector<std::string> reload();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sockaccel
