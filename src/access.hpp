// SPDX-License-Identifier: GPL-2.0-or-later
// Who may do what on the bus: root, the daemon's own user, and whom polkit allows it.
//
// Nothing here waits: the bus is asked who the caller is, polkit whether it may, and polkit asks
// people for their password; meanwhile the daemon goes on.
#pragma once

#include <sdbus-c++/sdbus-c++.h>
#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace sockaccel {

class Access {
  public:
    // The actions of dbus/org.sockaccel1.policy.
    enum class Action {
        inspect,  // see the connections of all users
        manage,   // change what the daemon does
    };

    struct Caller {
        std::string name;           // the unique one
        bool may_be_asked = false;  // for a password, while the call waits

        [[nodiscard]] static Caller of(const sdbus::Message& call);
    };

    static constexpr uid_t kUnknown = static_cast<uid_t>(-1);

    struct Verdict {
        uid_t uid = kUnknown;
        bool is_allowed = false;
        std::string error, why;  // if it is not: the name of a D-Bus error, and its text
    };
    using Then = std::function<void(const Verdict&)>;

    explicit Access(sdbus::IConnection& connection);

    // Calls `then` once, in a later turn of the event loop, or at once if too many wait already.
    // Never after this object is gone.
    void ask(const Caller& caller, Action action, Then then);
    // Somebody waits for a verdict.
    [[nodiscard]] bool is_asking() const { return lookups_ > 0 || !questions_.empty(); }

  private:
    void ask_polkit(const Caller& caller, Action action, Verdict verdict, Then then);

    std::unique_ptr<sdbus::IProxy> bus_, polkit_;
    std::size_t lookups_ = 0;                 // that wait for the bus
    std::map<uid_t, std::size_t> questions_;  // that wait for polkit, by user
};

}  // namespace sockaccel
