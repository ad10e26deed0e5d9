// SPDX-License-Identifier: GPL-2.0-or-later
#include "polkit.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <stdexcept>

#include "daemon.hpp"
#include "sdbus_compat.hpp"
#include "wait_until.hpp"

namespace sockaccel::test {

namespace {

// polkitd knows its directories by heart. In a mount namespace of its own it finds the test's ones.
constexpr const char* kScript =
    "mount --bind \"$1/actions\" /usr/share/polkit-1/actions && "
    "mount --bind \"$1/rules\" /etc/polkit-1/rules.d && "
    "mount --bind \"$1/none\" /usr/share/polkit-1/rules.d && "
    "exec /usr/lib/polkit-1/polkitd --no-debug";

bool is_there(sdbus::IConnection& connection) {
    const auto bus = sdbus::createProxy(connection, BusName("org.freedesktop.DBus"),
                                        sdbus::ObjectPath("/org/freedesktop/DBus"));
    bool result = false;
    bus->callMethod("NameHasOwner")
        .onInterface("org.freedesktop.DBus")
        .withArguments(std::string("org.freedesktop.PolicyKit1"))
        .storeResultsTo(result);
    return result;
}

}  // namespace

Polkit::Polkit(const PrivateBus& bus, const std::string& rule) {
    for (const char* name : {"actions", "rules", "none"})
        directory_.make(name);
    std::filesystem::copy(from_environment("SOCKACCEL_POLKIT_ACTIONS"),
                          directory_.path() / "actions");
    const std::string file = directory_.write(
        "rules/1.rules", "polkit.addRule(function(action, subject) {" + rule + "});");
    // It takes a user of its own.
    check(chmod(directory_.path().c_str(), 0755), "open polkit's directory");
    process_.emplace(Command{{"unshare", "--mount", "sh", "-c", kScript, "sh", directory_.path()},
                             {{"DBUS_SYSTEM_BUS_ADDRESS", bus.address()}},
                             {}});
    const auto connection = connect(bus);
    const bool is_up = wait_until([&] { return is_there(*connection) || !process_->runs(); });
    if (!is_up || !process_->runs())
        throw std::runtime_error("polkitd does not start: " + process_->standard_output() +
                                 process_->standard_error());
}

}  // namespace sockaccel::test
