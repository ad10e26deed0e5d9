// SPDX-License-Identifier: GPL-2.0-or-later
#include "client.hpp"

#include <poll.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <csignal>
#include <deque>
#include <optional>
#include <utility>

#include "agent.hpp"
#include "bus_names.hpp"
#include "fd.hpp"
#include "org.sockaccel1.Manager.proxy.hpp"
#include "org.sockaccel1.Rule.proxy.hpp"
#include "raw_message.hpp"
#include "sdbus_compat.hpp"

namespace sockaccel::ctl {

namespace {

using std::chrono::microseconds;

// Longer than the daemon waits for polkit, and polkit for a password.
constexpr std::chrono::minutes kPatience{4};

[[noreturn]] void throw_not_running() {
    throw NotRunning("sockacceld is not running: systemctl start sockaccel");
}

// Calls and tells errors in words. `act` is what was wanted: "reload".
template <typename Call>
auto call(const std::string& act, Call perform) -> decltype(perform()) {
    try {
        return perform();
    } catch (const sdbus::Error& error) {
        const std::string& name = error.getName();
        const std::string prefix = "org.freedesktop.DBus.Error.";
        if (name == kErrorInvalidPolicy)
            throw InvalidPolicy(error.getMessage());
        if (name == prefix + "ServiceUnknown" || name == prefix + "NameHasNoOwner")
            throw_not_running();
        if (name == prefix + "AccessDenied" || name == prefix + "InteractiveAuthorizationRequired")
            throw Denied(act + ": permission denied: " + error.getMessage());
        if (name == prefix + "NoReply" || name == prefix + "Timeout")
            throw ClientError(act + ": sockacceld does not answer: journalctl -u sockaccel");
        throw ClientError(act + ": " + error.getMessage());
    }
}

std::unique_ptr<sdbus::IConnection> open_bus(const BusAddress& bus) {
    try {
        switch (bus.kind) {
            case BusAddress::Kind::system:
                return sdbus::createSystemBusConnection();
            case BusAddress::Kind::session:
                return sdbus::createSessionBusConnection();
            case BusAddress::Kind::address:
                return sdbus::createSessionBusConnectionWithAddress(bus.address);
            case BusAddress::Kind::none:
                break;
        }
    } catch (const sdbus::Error& error) {
        throw ClientError("connect to the " + bus.text() + " bus: " + error.getMessage());
    }
    throw ClientError("--bus none: sockaccelctl reaches the daemon by a bus only");
}

// A key that an older daemon does not send yet is read as zero or empty.
template <typename Key, typename Value>
void read(const std::map<Key, sdbus::Variant>& dict, const std::string& key, Value& value) {
    const auto found = dict.find(Key(key));
    if (found != dict.end())
        value = found->second.template get<Value>();
}

template <typename Key>
void read(const std::map<Key, sdbus::Variant>& dict, const std::string& key, microseconds& value) {
    std::uint64_t count = 0;
    read(dict, key, count);
    value = microseconds(count);
}

RuleReport read_rule(const Properties& dict) {
    RuleReport rule;
    read(dict, "Name", rule.name);
    read(dict, "State", rule.state);
    read(dict, "Why", rule.why);
    read(dict, "Action", rule.action);
    read(dict, "Holder", rule.holder);
    read(dict, "Priority", rule.priority);
    read(dict, "Units", rule.units);
    read(dict, "Cgroups", rule.cgroups);
    read(dict, "Ports", rule.ports);
    read(dict, "Networks", rule.networks);
    read(dict, "Tolerate", rule.tolerate);
    read(dict, "QueueBytes", rule.queue_bytes);
    read(dict, "ProveUSec", rule.prove);
    read(dict, "SelectedCgroups", rule.selected_cgroups);
    read(dict, "SelectedCount", rule.selected_count);
    read(dict, "Reasons", rule.reasons);
    Counts counters;
    read(dict, "Counters", counters);
    rule.paired = counters["paired"];
    rule.enrolled = counters["enrolled"];
    rule.left = counters["left"];
    rule.redirected_messages = counters["redirected_messages"];
    rule.redirected_bytes = counters["redirected_bytes"];
    rule.tcp_messages = counters["tcp_messages"];
    rule.tcp_bytes = counters["tcp_bytes"];
    return rule;
}

EndReport read_end(const Dict& dict, const std::string& prefix) {
    EndReport end;
    read(dict, prefix + "address", end.address);
    read(dict, prefix + "port", end.port);
    read(dict, prefix + "peer_address", end.peer_address);
    read(dict, prefix + "peer_port", end.peer_port);
    read(dict, prefix + "cookie", end.cookie);
    read(dict, prefix + "netns", end.netns);
    read(dict, prefix + "uid", end.uid);
    read(dict, prefix + "cgroup", end.cgroup);
    read(dict, prefix + "queued_bytes", end.queued_bytes);
    read(dict, prefix + "redirected_messages", end.redirected_messages);
    read(dict, prefix + "redirected_bytes", end.redirected_bytes);
    read(dict, prefix + "tcp_messages", end.tcp_messages);
    read(dict, prefix + "tcp_bytes", end.tcp_bytes);
    read(dict, prefix + "reasons", end.reasons);
    return end;
}

ConnectionReport read_connection(const Dict& dict) {
    ConnectionReport connection;
    read(dict, "rule", connection.rule);
    read(dict, "state", connection.state);
    read(dict, "reason", connection.reason);
    read(dict, "reason_text", connection.reason_text);
    read(dict, "besides", connection.besides);
    read(dict, "age_usec", connection.age);
    connection.client = read_end(dict, "client_");
    connection.server = read_end(dict, "server_");
    return connection;
}

SideReport read_side(const Dict& dict, const std::string& prefix) {
    SideReport side;
    read(dict, prefix + "cgroup", side.cgroup);
    read(dict, prefix + "bytes", side.bytes);
    read(dict, prefix + "messages", side.messages);
    read(dict, prefix + "turns", side.turns);
    read(dict, prefix + "sizes", side.sizes);
    read(dict, prefix + "obstacles", side.obstacles);
    read(dict, prefix + "hazards", side.hazards);
    return side;
}

ConversationReport read_conversation(const Dict& dict) {
    ConversationReport report;
    read(dict, "rule", report.rule);
    read(dict, "port", report.port);
    read(dict, "connections", report.connections);
    read(dict, "closed", report.closed);
    read(dict, "brief", report.brief);
    read(dict, "brief_bytes", report.brief_bytes);
    read(dict, "lasted_usec", report.lasted);
    read(dict, "age_usec", report.age);
    read(dict, "idle_usec", report.idle);
    read(dict, "looks", report.looks);
    read(dict, "eligible", report.eligible);
    report.client = read_side(dict, "client_");
    report.server = read_side(dict, "server_");
    return report;
}

EventReport read_event(const std::string& event, const Dict& details) {
    EventReport report;
    report.event = event;
    read(details, "rule", report.rule);
    read(details, "reason", report.reason);
    read(details, "reason_text", report.reason_text);
    read(details, "client_address", report.client_address);
    read(details, "client_port", report.client_port);
    read(details, "server_address", report.server_address);
    read(details, "server_port", report.server_port);
    read(details, "client_cookie", report.client_cookie);
    read(details, "server_cookie", report.server_cookie);
    read(details, "client_uid", report.client_uid);
    read(details, "server_uid", report.server_uid);
    read(details, "time_usec", report.monotonic);
    const auto age = std::chrono::steady_clock::now().time_since_epoch() - report.monotonic;
    report.time = std::chrono::system_clock::now() -
                  std::chrono::duration_cast<std::chrono::system_clock::duration>(age);
    return report;
}

class ManagerProxy final
    : public sdbus::ProxyInterfaces<org::sockaccel1::Manager_proxy, sdbus::Properties_proxy,
                                    sdbus::ObjectManager_proxy> {
  public:
    explicit ManagerProxy(sdbus::IConnection& connection)
        : ProxyInterfaces(connection, BusName(kBusName), sdbus::ObjectPath(kManagerPath)) {
        registerProxy();
    }
    ~ManagerProxy() { unregisterProxy(); }

    // Never sent: it tells the connection of sd-bus, which sdbus-c++ keeps for itself.
    [[nodiscard]] sdbus::MethodCall any_call() {
        return getProxy().createMethodCall(
            InterfaceName(org::sockaccel1::Manager_proxy::INTERFACE_NAME), MemberName("Status"));
    }

    // Signals that came and were not taken. They are not handled where they arrive: that is inside
    // C code, where nothing may be thrown.
    std::vector<std::pair<std::string, Dict>> events;

  private:
    void onConnectionEvent(const std::string& event, const Dict& details) override {
        events.emplace_back(event, details);
    }
    void onPropertiesChanged(const InterfaceName&, const Properties&,
                             const std::vector<PropertyName>&) override {}
    void onInterfacesAdded(const sdbus::ObjectPath&, const Interfaces&) override {}
    void onInterfacesRemoved(const sdbus::ObjectPath&, const std::vector<InterfaceName>&) override {
    }
};

}  // namespace

struct Client::State {
    State(const BusAddress& bus, IfNotRunning what)
        : connection(open_bus(bus)), has_polkit(bus.kind == BusAddress::Kind::system) {
        // A call has the bus start the daemon.
        const bool may_call =
            what == IfNotRunning::start || call("look for sockacceld", [this] {
                const auto driver = sdbus::createProxy(*connection, BusName("org.freedesktop.DBus"),
                                                       sdbus::ObjectPath("/org/freedesktop/DBus"));
                bool result = false;
                driver->callMethod("NameHasOwner")
                    .onInterface("org.freedesktop.DBus")
                    .withArguments(std::string(kBusName))
                    .storeResultsTo(result);
                return result;
            });
        if (!may_call)
            throw_not_running();
        manager = std::make_unique<ManagerProxy>(*connection);
    }

    // From now on calls wait while the user, or an administrator, is asked for a password.
    void may_be_asked() {
        call("look for sockacceld", [this] {
            const auto message = manager->any_call();
            sd_bus_set_allow_interactive_authorization(
                sd_bus_message_get_bus(RawMessage::of(message)), 1);
            connection->setMethodCallTimeout(kPatience);
        });
        if (has_polkit && !agent)
            agent.emplace();
    }

    // Until `fd` is readable, or the bus has something new to tell.
    [[nodiscard]] bool is_readable(int fd) {
        const auto wanted = call("wait for sockacceld", [&] {
            while (process_pending(*connection)) {
            }
            return connection->getEventLoopPollData();
        });
        pollfd waited[] = {{wanted.fd, wanted.events, 0}, {fd, POLLIN, 0}};
        const bool has_news = !owners.empty() || !manager->events.empty();
        if (poll(waited, 2, has_news ? 0 : wanted.getPollTimeout()) < 0 && errno != EINTR)
            check(-1, "wait for sockacceld");
        return waited[1].revents != 0;
    }

    std::unique_ptr<sdbus::IConnection> connection;
    bool has_polkit;  // it is on this bus
    std::optional<Agent> agent;
    std::unique_ptr<ManagerProxy> manager;
    sdbus::Slot owner_watch;
    bool is_away = false;
    std::deque<std::string> owners;  // of the daemon's name, one after the other; "": none
};

Client::Client(const BusAddress& bus, IfNotRunning what)
    : state_(std::make_unique<State>(bus, what)) {}
Client::~Client() = default;

StatusReport Client::status() {
    StatusReport report;
    report.rules = rules();
    call("status", [&] {
        const Dict status = state_->manager->Status();
        read(status, "version", report.version);
        read(status, "kernel", report.kernel);
        read(status, "policy_files", report.policy_files);
        read(status, "last_reload_usec", report.last_reload);
        read(status, "pairs", report.pairs);
        read(status, "budget_used_bytes", report.budget_used_bytes);
        read(status, "budget_bytes", report.budget_bytes);
        read(status, "halves_expired", report.halves_expired);
        read(status, "limit_hits", report.limit_hits);
        read(status, "pass_usec", report.pass_usec);
        read(status, "foreign", report.foreign);
        read(status, "paused", report.paused);
        read(status, "problems", report.problems);
        read(status, "kernel_state", report.kernel_state);
        report.generation = state_->manager->Generation();
    });
    return report;
}

std::vector<RuleReport> Client::rules() {
    return call("rules", [this] {
        const std::vector<std::string> order = state_->manager->Rules();
        std::vector<RuleReport> rules;
        for (const auto& object : state_->manager->GetManagedObjects()) {
            const auto found =
                object.second.find(InterfaceName(org::sockaccel1::Rule_proxy::INTERFACE_NAME));
            if (found != object.second.end())
                rules.push_back(read_rule(found->second));
        }
        const auto place = [&order](const RuleReport& rule) {
            return std::find(order.begin(), order.end(), rule.name) - order.begin();
        };
        std::sort(rules.begin(), rules.end(),
                  [&](const RuleReport& a, const RuleReport& b) { return place(a) < place(b); });
        return rules;
    });
}

ConnectionsReport Client::connections(bool all) {
    if (all)
        state_->may_be_asked();
    return call("connections", [this] {
        const auto answer = state_->manager->Connections();
        ConnectionsReport report;
        for (const Dict& dict : std::get<0>(answer))
            report.connections.push_back(read_connection(dict));
        report.omitted = std::get<1>(answer);
        report.hidden = std::get<2>(answer);
        return report;
    });
}

ConversationsReport Client::conversations() {
    state_->may_be_asked();
    return call("what is observed", [this] {
        const auto [seen, about] = state_->manager->Observed();
        ConversationsReport report;
        for (const Dict& dict : seen)
            report.conversations.push_back(read_conversation(dict));
        read(about, "witness", report.is_watched);
        read(about, "unhonoured", report.unhonoured);
        read(about, "lost", report.lost);
        return report;
    });
}

ProbeReport Client::probe() {
    state_->may_be_asked();
    return call("probe", [this] {
        const auto answer = state_->manager->Probe();
        ProbeReport report;
        for (const auto& row : std::get<0>(answer))
            report.findings.push_back(
                {std::get<0>(row), std::get<1>(row), std::get<2>(row), std::get<3>(row)});
        report.is_usable = std::get<1>(answer);
        return report;
    });
}

std::vector<std::string> Client::diff() {
    state_->may_be_asked();
    return call("diff", [this] { return state_->manager->Diff(); });
}

std::vector<std::string> Client::reload() {
    state_->may_be_asked();
    return call("reload", [this] { return state_->manager->Reload(); });
}

void Client::pause(const std::string& rule) {
    state_->may_be_asked();
    call("pause", [&] { state_->manager->Pause(rule); });
}

void Client::resume(const std::string& rule) {
    state_->may_be_asked();
    call("resume", [&] { state_->manager->Resume(rule); });
}

std::vector<std::string> Client::hold(const std::string& rules) {
    state_->may_be_asked();
    std::vector<std::string> names =
        call("hold rules", [&] { return state_->manager->Hold(rules); });
    state_->agent.reset();  // the terminal is the command's that runs next
    return names;
}

void Client::release() {
    call("release rules", [this] { state_->manager->Release(); });
}

void Client::watch() {
    call("watch sockacceld", [this] {
        state_->owner_watch =
            add_match(*state_->connection,
                      "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                      "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" +
                          std::string(kBusName) + "'",
                      [this](auto&& signal) {
                          std::string name, before, after;
                          signal >> name >> before >> after;
                          state_->owners.push_back(after);
                      });
    });
}

Client::Woken Client::wait(int fd) {
    while (true) {
        const bool is_readable = state_->is_readable(fd);
        if (!state_->owners.empty()) {
            const std::string owner = state_->owners.front();
            state_->owners.pop_front();
            const bool was_away = std::exchange(state_->is_away, owner.empty());
            if (owner.empty())
                return Woken::daemon_left;
            if (was_away)
                return Woken::daemon_came;
            continue;  // a call has had the bus start it
        }
        if (is_readable)
            return Woken::readable;
    }
}

void Client::monitor(bool all, const std::function<void(bool sees_all)>& ready,
                     const std::function<void(const EventReport&)>& sink) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    check(sigprocmask(SIG_BLOCK, &signals, nullptr), "block SIGINT and SIGTERM");
    const Fd end(check(signalfd(-1, &signals, SFD_CLOEXEC), "watch SIGINT and SIGTERM"));

    if (all)
        state_->may_be_asked();
    watch();
    ready(call("monitor", [this] { return state_->manager->Subscribe(); }));
    while (true) {
        const bool is_ended = state_->is_readable(end.get());
        for (const auto& event : std::exchange(state_->manager->events, {}))
            sink(call("monitor", [&] { return read_event(event.first, event.second); }));
        if (!state_->owners.empty())
            throw ClientError("sockacceld is gone: it has left the bus");
        if (is_ended)
            return;
    }
}

}  // namespace sockaccel::ctl
