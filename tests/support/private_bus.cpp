// SPDX-License-Identifier: GPL-2.0-or-later
#include "private_bus.hpp"

#include <sys/stat.h>

#include <stdexcept>

#include "wait_until.hpp"

namespace sockaccel::test {

namespace {

std::string configuration(const std::string& socket, const std::string& policy) {
    return "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\""
           " \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
           "<busconfig>\n"
           "  <type>sockaccel-test</type>\n"
           "  <listen>unix:path=" +
           socket +
           "</listen>\n"
           "  <auth>EXTERNAL</auth>\n" +
           policy + "</busconfig>\n";
}

constexpr const char* kOpen = R"(
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
)";

// What /usr/share/dbus-1/system.conf says; the services' own files come after it.
constexpr const char* kSystem = R"(
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
  </policy>
)";

// As the service comes with it.
constexpr const char* kPolkit =
    "  <include ignore_missing=\"yes\">"
    "/usr/share/dbus-1/system.d/org.freedesktop.PolicyKit1.conf</include>\n";

}  // namespace

PrivateBus::PrivateBus(Kind kind) {
    // Other users have to get at the socket.
    check(chmod(directory_.path().c_str(), 0755), "open the bus's directory");
    const std::string socket = directory_.path() / "bus";
    const std::string policy =
        kind == Kind::open ? kOpen
                           : kSystem + ("  <include>" + from_environment("SOCKACCEL_BUS_POLICY") +
                                        "</include>\n" + kPolkit);
    const std::string file = directory_.write("bus.conf", configuration(socket, policy));

    process_.emplace(Command{
        {"dbus-daemon", "--config-file=" + file, "--nofork", "--nopidfile", "--print-address"},
        {},
        {}});
    const bool is_ready = wait_until([this] {
        return process_->standard_output().find('\n') != std::string::npos || !process_->runs();
    });
    const std::string output = process_->standard_output();
    if (!is_ready || output.empty())
        throw std::runtime_error("dbus-daemon does not start: " + process_->standard_error());
    address_ = output.substr(0, output.find('\n'));
}

void PrivateBus::end() {
    process_.reset();
}

}  // namespace sockaccel::test
