// SPDX-License-Identifier: GPL-2.0-or-later
// The real daemon on a bus of its own, and what it says there.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "org.sockaccel1.Manager.proxy.hpp"
#include "org.sockaccel1.Rule.proxy.hpp"
#include "private_bus.hpp"
#include "process.hpp"
#include "sdbus_compat.hpp"
#include "service_manager.hpp"
#include "temporary_directory.hpp"
#include "wait_until.hpp"

namespace sockaccel::test {

// Keeps the signals that came: see Daemon::take_signals().
class ManagerProxy final
    : public sdbus::ProxyInterfaces<org::sockaccel1::Manager_proxy, sdbus::Properties_proxy,
                                    sdbus::ObjectManager_proxy> {
  public:
    explicit ManagerProxy(sdbus::IConnection& connection);
    ~ManagerProxy();

    std::vector<std::pair<std::string, Dict>> events;  // ConnectionEvent
    std::vector<Dict> changes;                         // PropertiesChanged
    std::vector<std::string> added, removed;           // object paths

  private:
    void onConnectionEvent(const std::string& event, const Dict& details) override;
    void onPropertiesChanged(const InterfaceName& interface, const Properties& changed,
                             const std::vector<PropertyName>& invalidated) override;
    void onInterfacesAdded(const sdbus::ObjectPath& path, const Interfaces& interfaces) override;
    void onInterfacesRemoved(const sdbus::ObjectPath& path,
                             const std::vector<InterfaceName>& interfaces) override;
};

class RuleProxy final
    : public sdbus::ProxyInterfaces<org::sockaccel1::Rule_proxy, sdbus::Properties_proxy> {
  public:
    RuleProxy(sdbus::IConnection& connection, const std::string& name);
    ~RuleProxy();

    std::vector<Dict> changes;

  private:
    void onPropertiesChanged(const InterfaceName& interface, const Properties& changed,
                             const std::vector<PropertyName>& invalidated) override;
};

[[nodiscard]] std::unique_ptr<sdbus::IConnection> connect(const PrivateBus& bus);

// Started on construction, which returns when it owns its name on the bus and has tested the
// kernel; else it throws what the daemon wrote. Killed on destruction, if it was not stopped.
class Daemon {
  public:
    // `arguments` come after the ones that name bus and policy. What it keeps for a restart goes
    // with this object, unless they say where, or with `manager`, which may be null. `listeners`:
    // as if the service manager listened on them. `variable` names the program.
    explicit Daemon(const std::string& policy, const std::vector<std::string>& arguments = {},
                    PrivateBus::Kind kind = PrivateBus::Kind::open,
                    ServiceManager* manager = nullptr,
                    const std::vector<std::pair<std::string, int>>& listeners = {},
                    const char* variable = "SOCKACCELD");

    [[nodiscard]] PrivateBus& bus() { return bus_; }
    [[nodiscard]] std::string policy_file() const { return directory_.path() / "policy.toml"; }
    void write_policy(const std::string& text) const;  // does not reload

    [[nodiscard]] ManagerProxy& manager() { return *manager_; }
    [[nodiscard]] std::unique_ptr<RuleProxy> rule(const std::string& name);
    [[nodiscard]] Dict status() { return manager_->Status(); }
    [[nodiscard]] std::vector<Dict> connections() { return std::get<0>(manager_->Connections()); }

    // Puts the signals that have come into the proxies.
    void take_signals();
    // Does so until it is true.
    template <typename Predicate>
    [[nodiscard]] bool wait_for_signal(Predicate predicate) {
        return wait_until([&] {
            take_signals();
            return predicate();
        });
    }

    [[nodiscard]] Process& process() { return *process_; }
    [[nodiscard]] pid_t pid() const { return process_->pid(); }
    [[nodiscard]] std::string output() const;  // what it logged
    // SIGTERM; its exit status. Throws if it does not end.
    int stop(std::chrono::milliseconds timeout = std::chrono::seconds(30));

  private:
    PrivateBus bus_;
    TemporaryDirectory directory_;
    std::optional<Process> process_;
    std::unique_ptr<sdbus::IConnection> connection_;
    std::unique_ptr<ManagerProxy> manager_;
};

// sockaccelctl on the daemon's bus.
[[nodiscard]] Outcome run_ctl(const PrivateBus& bus, const std::vector<std::string>& arguments,
                              std::optional<uid_t> user = {});

}  // namespace sockaccel::test
