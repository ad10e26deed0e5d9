// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon.hpp"

#include <csignal>
#include <fstream>
#include <stdexcept>

#include "bus_names.hpp"

namespace sockaccel::test {

namespace {

// Loading the BPF programs takes its time under sanitizers.
constexpr std::chrono::seconds kStartPatience{60};

bool has_owner(sdbus::IConnection& connection, const std::string& name) {
    const auto bus = sdbus::createProxy(connection, BusName("org.freedesktop.DBus"),
                                        sdbus::ObjectPath("/org/freedesktop/DBus"));
    bool result = false;
    bus->callMethod("NameHasOwner")
        .onInterface("org.freedesktop.DBus")
        .withArguments(name)
        .storeResultsTo(result);
    return result;
}

// Asked without a proxy that would keep the signals of this.
bool is_tested(sdbus::IConnection& connection) {
    const auto daemon =
        sdbus::createProxy(connection, BusName(kBusName), sdbus::ObjectPath(kManagerPath));
    const sdbus::Variant state = daemon->getProperty("KernelState")
                                     .onInterface(org::sockaccel1::Manager_proxy::INTERFACE_NAME);
    return state.get<std::string>() != "testing";
}

}  // namespace

ManagerProxy::ManagerProxy(sdbus::IConnection& connection)
    : ProxyInterfaces(connection, BusName(kBusName), sdbus::ObjectPath(kManagerPath)) {
    registerProxy();
}

ManagerProxy::~ManagerProxy() {
    unregisterProxy();
}

void ManagerProxy::onConnectionEvent(const std::string& event, const Dict& details) {
    events.emplace_back(event, details);
}

void ManagerProxy::onPropertiesChanged(const InterfaceName&, const Properties& changed,
                                       const std::vector<PropertyName>&) {
    changes.emplace_back(changed.begin(), changed.end());
}

void ManagerProxy::onInterfacesAdded(const sdbus::ObjectPath& path, const Interfaces&) {
    added.push_back(path);
}

void ManagerProxy::onInterfacesRemoved(const sdbus::ObjectPath& path,
                                       const std::vector<InterfaceName>&) {
    removed.push_back(path);
}

RuleProxy::RuleProxy(sdbus::IConnection& connection, const std::string& name)
    : ProxyInterfaces(connection, BusName(kBusName), sdbus::ObjectPath(rule_path(name))) {
    registerProxy();
}

RuleProxy::~RuleProxy() {
    unregisterProxy();
}

void RuleProxy::onPropertiesChanged(const InterfaceName&, const Properties& changed,
                                    const std::vector<PropertyName>&) {
    changes.emplace_back(changed.begin(), changed.end());
}

std::unique_ptr<sdbus::IConnection> connect(const PrivateBus& bus) {
    return sdbus::createSessionBusConnectionWithAddress(bus.address());
}

Daemon::Daemon(const std::string& policy, const std::vector<std::string>& arguments,
               PrivateBus::Kind kind, ServiceManager* manager,
               const std::vector<std::pair<std::string, int>>& listeners, const char* variable)
    : bus_(kind) {
    write_policy(policy);
    Command command{
        {from_environment(variable), "--bus", bus_.address(), "--policy", policy_file()},
        {{"RUNTIME_DIRECTORY", directory_.path() / "run"},
         {"DBUS_SYSTEM_BUS_ADDRESS", bus_.address()}},
        {},
        listeners};
    command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
    if (manager != nullptr)
        manager->serve(command);
    connection_ = connect(bus_);
    process_.emplace(command);
    const bool is_up = wait_until(
        [this] { return !process_->runs() || has_owner(*connection_, kBusName); }, kStartPatience);
    if (!is_up || !process_->runs())
        throw std::runtime_error("sockacceld does not start:\n" + output());
    if (!wait_until([this] { return is_tested(*connection_); }, kStartPatience))
        throw std::runtime_error("sockacceld does not end its self-test:\n" + output());
    manager_ = std::make_unique<ManagerProxy>(*connection_);
}

void Daemon::write_policy(const std::string& text) const {
    const std::filesystem::path file = directory_.write("policy.toml", text);
    using std::filesystem::perms;
    std::filesystem::permissions(
        file, perms::owner_read | perms::owner_write | perms::group_read | perms::others_read);
}

std::unique_ptr<RuleProxy> Daemon::rule(const std::string& name) {
    return std::make_unique<RuleProxy>(*connection_, name);
}

void Daemon::take_signals() {
    while (process_pending(*connection_)) {
    }
}

std::string Daemon::output() const {
    return process_->standard_output() + process_->standard_error();
}

int Daemon::stop(std::chrono::milliseconds timeout) {
    process_->signal(SIGTERM);
    const std::optional<int> status = process_->wait(timeout);
    if (!status)
        throw std::runtime_error("sockacceld does not stop:\n" + output());
    return *status;
}

Outcome run_ctl(const PrivateBus& bus, const std::vector<std::string>& arguments,
                std::optional<uid_t> user) {
    Command command{{from_environment("SOCKACCELCTL"), "--bus", bus.address()}, {}, user};
    command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
    return run(command);
}

}  // namespace sockaccel::test
