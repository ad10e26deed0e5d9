// SPDX-License-Identifier: GPL-2.0-or-later
//
// One thread: the connection to the bus is a descriptor in the daemon's event loop, and sdbus-c++
// calls the handlers below from State::dispatch(). They are called through C code of libsystemd,
// and sdbus-c++ 1.2 lets every exception but its own through; so each of them goes through
// answer().
//
// Properties are read from copies (Shown, RuleObject::status_) of what the engine said at its last
// change. refresh() compares, stores and announces: what a caller reads and what the signals say
// agree, and a signal means that a value did change.
#include "manager.hpp"

#include <systemd/sd-bus.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <set>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "access.hpp"
#include "bus_names.hpp"
#include "log.hpp"
#include "org.sockaccel1.Manager.adaptor.hpp"
#include "org.sockaccel1.Rule.adaptor.hpp"
#include "sdbus_compat.hpp"
#include "utf8.hpp"

namespace sockaccel {

namespace {

using Counts = std::map<std::string, std::uint64_t>;
using Row = sdbus::Struct<std::string, std::string, std::string, bool>;

// Handled in one go; then the rest of the daemon gets its turn, whatever callers do.
constexpr int kRequestsAtOnce = 32;

constexpr std::size_t kMaxSubscribers = 64;
constexpr std::size_t kMaxSubscribersOfOne = 8;  // of one user other than root

// dbus-daemon ends the connection of a sender whose message is above 32 MiB, and the steward has to
// wait for the list: about 2,700 connections in half a second.
constexpr std::size_t kMaxConnectionsReply = 8UL << 20;

// What one connection takes in the reply to Connections, beside the cgroups' paths: usually half of
// it.
constexpr std::size_t kConnectionReply = 3072;

// Of all paths in one rule's SelectedCgroups together; the list of all rules has to fit into a
// message, too.
constexpr std::size_t kMaxSelectedBytes = 128UL << 10;

template <typename Act>
auto answer(Act act) -> decltype(act()) {
    try {
        return act();
    } catch (const sdbus::Error&) {
        throw;
    } catch (const PolicyError& error) {
        throw sdbus::Error(ErrorName(kErrorInvalidPolicy), valid_utf8(error.what()));
    } catch (const NoSuchRule& error) {
        throw sdbus::Error(ErrorName(kErrorNoSuchRule), valid_utf8(error.what()));
    } catch (const std::exception& error) {
        throw sdbus::Error(ErrorName(kErrorFailed), valid_utf8(error.what()));
    }
}

// To a caller that may be gone, as may the bus.
template <typename Send>
void send(const char* what, Send send_it) {
    try {
        send_it();
    } catch (const sdbus::Error& error) {
        log::warning(std::string(what) + ": " + error.getMessage());
    }
}

// Does it, and gives what it returns to the caller: nothing, a value, or a tuple of all values.
template <typename... Values, typename Act>
void answer_later(const sdbus::Result<Values...>& asked, Act act) {
    try {
        if constexpr (sizeof...(Values) == 0) {
            answer(act);
            asked.returnResults();
        } else if constexpr (sizeof...(Values) == 1) {
            asked.returnResults(answer(act));
        } else {
            std::apply([&](const auto&... values) { asked.returnResults(values...); }, answer(act));
        }
    } catch (const sdbus::Error& error) {
        send("tell a caller that it failed", [&] { asked.returnError(error); });
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
        throw std::runtime_error("connect to the " + bus.text() + " bus: " + error.getMessage());
    }
    throw std::logic_error("there is no bus to connect to");
}

// Asked before a next attempt: one that fails is not freed by sdbus-c++ 1.
bool is_there(const BusAddress& bus) {
    sd_bus* connection = nullptr;
    int result = -1;
    switch (bus.kind) {
        case BusAddress::Kind::system:
            result = sd_bus_open_system(&connection);
            break;
        case BusAddress::Kind::session:
            result = sd_bus_open_user(&connection);
            break;
        case BusAddress::Kind::address:
            result = sd_bus_new(&connection);
            if (result >= 0)
                result = sd_bus_set_address(connection, bus.address.c_str());
            if (result >= 0)
                result = sd_bus_set_bus_client(connection, 1);
            if (result >= 0)
                result = sd_bus_start(connection);
            break;
        case BusAddress::Kind::none:
            break;
    }
    sd_bus_flush_close_unref(connection);
    return result >= 0;
}

template <typename Range, typename Text>
std::vector<std::string> texts_of(const Range& range, Text text) {
    std::vector<std::string> result;
    for (const auto& item : range)
        result.push_back(valid_utf8(text(item)));
    return result;
}

std::vector<std::string> texts_of(const std::vector<std::string>& strings) {
    return texts_of(strings, [](const std::string& string) { return string; });
}

std::vector<Row> rows_of(const std::vector<Finding>& findings) {
    std::vector<Row> rows;
    for (const Finding& finding : findings)
        rows.emplace_back(valid_utf8(finding.check), valid_utf8(finding.result),
                          valid_utf8(finding.consequence), finding.ok);
    return rows;
}

// The first of them, as many as fit.
std::vector<std::string> shown_of(const std::vector<std::string>& cgroups) {
    std::vector<std::string> result;
    std::size_t size = 0;
    for (const std::string& cgroup : cgroups) {
        result.push_back(valid_utf8(cgroup));
        size += result.back().size() + sizeof(std::uint64_t);
        if (size > kMaxSelectedBytes) {
            result.pop_back();
            break;
        }
    }
    return result;
}

Counts by_reason(const std::array<std::uint64_t, SA_REASON_COUNT>& reasons) {
    Counts result;
    for (std::size_t index = 0; index < reasons.size(); ++index)
        if (reasons[index] > 0)
            result.emplace(name_of(static_cast<Reason>(index)), reasons[index]);
    return result;
}

// Every one, the zeros too: so it can be seen which there are.
Counts by_limit(const std::array<std::uint64_t, SA_LIMIT_COUNT>& hits) {
    Counts result;
    for (std::size_t index = 0; index < hits.size(); ++index)
        result.emplace(name_of(static_cast<Limit>(index)), hits[index]);
    return result;
}

std::uint64_t microseconds(std::chrono::nanoseconds time) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(time).count());
}

// A Variant is a whole D-Bus message of 1.2 KiB; its copies share that. Most values in a list of
// connections are the same.
class Variants {
  public:
    template <typename Value>
    const sdbus::Variant& of(const Value& value) {
        auto& known = std::get<std::map<Value, sdbus::Variant>>(known_);
        const auto found = known.find(value);
        if (found != known.end())
            return found->second;
        return known.emplace(value, sdbus::Variant(value)).first->second;
    }

  private:
    std::tuple<std::map<std::string, sdbus::Variant>, std::map<std::uint64_t, sdbus::Variant>,
               std::map<std::uint32_t, sdbus::Variant>, std::map<std::uint16_t, sdbus::Variant>,
               std::map<Counts, sdbus::Variant>>
        known_;
};

// How often the policy was read, and when at last.
struct Loads {
    std::uint32_t count = 1;
    std::chrono::system_clock::time_point last = std::chrono::system_clock::now();

    void add() { *this = {count + 1}; }
};

// One rule on the bus.
class RuleObject final
    : public sdbus::AdaptorInterfaces<org::sockaccel1::Rule_adaptor, sdbus::Properties_adaptor,
                                      sdbus::ManagedObject_adaptor> {
  public:
    RuleObject(sdbus::IConnection& connection, Engine& engine, RuleStatus status,
               std::string holder)
        : AdaptorInterfaces(connection, sdbus::ObjectPath(rule_path(status.rule.name))),
          engine_(engine),
          status_(std::move(status)),
          holder_(std::move(holder)),
          selected_(shown_of(status_.cgroups)) {
        registerAdaptor();
        emitInterfacesAddedSignal();
    }

    ~RuleObject() {
        try {
            emitInterfacesRemovedSignal();
        } catch (const sdbus::Error&) {
            // The bus is gone: nobody is left to be told.
        }
        unregisterAdaptor();
    }

    void update(RuleStatus status) {
        const Rule& before = status_.rule;
        const Rule& after = status.rule;
        std::vector<PropertyName> changed;
        const auto compare = [&changed](const char* property, bool is_same) {
            if (!is_same)
                changed.emplace_back(property);
        };
        compare("Units", before.units == after.units);
        compare("Cgroups", before.cgroups == after.cgroups);
        compare("Ports", before.ports == after.ports);
        compare("Networks", before.networks == after.networks);
        compare("Action", before.action == after.action);
        compare("Priority", before.priority == after.priority);
        compare("QueueBytes", before.queue_bytes == after.queue_bytes);
        compare("ProveUSec", before.prove == after.prove);
        compare("Tolerate", before.tolerate == after.tolerate);
        compare("State", status_.state == status.state);
        compare("Why", status_.why == status.why);
        std::vector<std::string> selected = shown_of(status.cgroups);
        compare("SelectedCgroups", selected_ == selected);
        compare("SelectedCount", status_.cgroups.size() == status.cgroups.size());
        status_ = std::move(status);
        selected_ = std::move(selected);
        if (!changed.empty())
            emitPropertiesChangedSignal(Rule_adaptor::INTERFACE_NAME, changed);
    }

  private:
    std::string Name() override { return status_.rule.name; }
    std::string Holder() override { return holder_; }
    std::vector<std::string> Units() override {
        return texts_of(status_.rule.units, [](const UnitPattern& unit) { return unit.text(); });
    }
    std::vector<std::string> Cgroups() override {
        return texts_of(status_.rule.cgroups, [](const CgroupGlob& glob) { return glob.text(); });
    }
    std::vector<std::string> Ports() override {
        return texts_of(status_.rule.ports.ranges(),
                        [](const PortRange& range) { return range.text(); });
    }
    std::vector<std::string> Networks() override {
        return texts_of(status_.rule.networks,
                        [](const Network& network) { return network.text(); });
    }
    std::string Action() override { return std::string(to_string(status_.rule.action)); }
    std::int32_t Priority() override { return status_.rule.priority; }
    std::uint64_t QueueBytes() override { return status_.rule.queue_bytes; }
    std::uint64_t ProveUSec() override { return microseconds(status_.rule.prove); }
    std::vector<std::string> Tolerate() override {
        return texts_of(status_.rule.tolerate, [](Hazard hazard) { return to_string(hazard); });
    }
    std::string State() override { return std::string(to_string(status_.state)); }
    std::string Why() override { return valid_utf8(status_.why); }
    std::vector<std::string> SelectedCgroups() override { return selected_; }
    std::uint32_t SelectedCount() override {
        return static_cast<std::uint32_t>(status_.cgroups.size());
    }

    Counts Counters() override {
        return answer([this] {
            const RuleCounters counters = engine_.counters(status_);
            const EndCounters& traffic = counters.traffic;
            return Counts{{"paired", counters.paired},
                          {"enrolled", counters.enrolled},
                          {"left", counters.left},
                          {"redirected_messages", traffic.redirected_messages},
                          {"redirected_bytes", traffic.redirected_bytes},
                          {"tcp_messages", traffic.tcp_messages},
                          {"tcp_bytes", traffic.tcp_bytes}};
        });
    }

    Counts Reasons() override {
        return answer([this] { return by_reason(engine_.counters(status_).traffic.reasons); });
    }

    Engine& engine_;
    RuleStatus status_;
    const std::string holder_;
    std::vector<std::string> selected_;
};

// /org/sockaccel1 and, through the rules it owns, everything below it.
class ManagerObject final
    : public sdbus::AdaptorInterfaces<org::sockaccel1::Manager_adaptor, sdbus::Properties_adaptor,
                                      sdbus::ObjectManager_adaptor> {
  public:
    ManagerObject(sdbus::IConnection& connection, Engine& engine, Manager::About about,
                  Manager::Acts acts, Loads& loads)
        : AdaptorInterfaces(connection, sdbus::ObjectPath(kManagerPath)),
          connection_(connection),
          engine_(engine),
          about_(std::move(about)),
          acts_(std::move(acts)),
          loads_(loads),
          access_(connection) {
        registerAdaptor();
        refresh();
        engine_.on_change([this] { refresh(); });
    }

    ~ManagerObject() {
        engine_.listen({});
        engine_.on_change({});
        rules_.clear();
        unregisterAdaptor();
    }

    std::vector<std::string> reload() {
        std::vector<std::string> changes = acts_.reload();
        loads_.add();
        refresh();
        return changes;
    }

    void answer_probes() {
        const KernelVerdict& verdict = engine_.verdict();
        const std::vector<Row> rows = rows_of(verdict.findings);
        for (const auto& asked : std::exchange(probing_, {}))
            send("tell the result of a self-test", [&] {
                asked->returnResults(rows, verdict.state == KernelVerdict::State::usable);
            });
    }

    [[nodiscard]] bool is_answering() const { return !probing_.empty() || access_.is_asking(); }
    [[nodiscard]] bool is_busy() const {
        return !subscribers_.empty() || !holders_.empty() || is_answering();
    }

    // Takes subscribers and holders out that have left the bus. Not done in the callback that tells
    // of it: that lives in the slot which is erased here.
    void forget_gone() {
        if (gone_.empty())
            return;
        for (const std::string& name : std::exchange(gone_, {})) {
            subscribers_.erase(name);
            release(name);
        }
        listen();
    }

    // The bus is lost: so are those who hold rules.
    void end_holds() {
        while (!holders_.empty())
            release(holders_.begin()->first);
    }

  private:
    using ProbeResult = sdbus::Result<std::vector<Row>, bool>;
    using ConnectionsResult = sdbus::Result<std::vector<Dict>, std::uint32_t, std::uint32_t>;

    struct Subscriber {
        sdbus::Slot watch;  // for its end
        uid_t uid;
        bool sees_all;
    };

    // The properties that change.
    struct Shown {
        std::uint32_t generation = 1;
        std::uint64_t last_reload = 0;
        std::vector<std::string> policy_files;
        std::vector<std::string> rules;
        std::uint32_t active_rules = 0;
        std::vector<std::string> paused;
        std::vector<std::string> problems;
        std::string kernel_state;
        std::vector<Row> findings;
    };

    // --- rules and properties

    // Makes the objects and properties say what the engine says.
    void refresh() {
        try {
            const std::vector<RuleStatus> rules = engine_.rules();
            refresh_rules(rules);
            refresh_properties(rules);
        } catch (const sdbus::Error& error) {
            log::warning("tell the bus what changed: " + error.getMessage());
        }
    }

    void refresh_rules(const std::vector<RuleStatus>& rules) {
        std::set<std::string> names;
        for (const RuleStatus& status : rules) {
            names.insert(status.rule.name);
            if (status.id)
                names_[index_of(*status.id)] = status.rule.name;
        }
        for (auto at = rules_.begin(); at != rules_.end();)
            at = names.contains(at->first) ? std::next(at) : rules_.erase(at);
        for (const RuleStatus& status : rules) {
            std::unique_ptr<RuleObject>& object = rules_[status.rule.name];
            if (object)
                object->update(status);
            else
                object = std::make_unique<RuleObject>(connection_, engine_, status,
                                                      acts_.holder_of(status.rule.name));
        }
    }

    void refresh_properties(const std::vector<RuleStatus>& rules) {
        Shown after;
        after.generation = loads_.count;
        after.last_reload = microseconds(loads_.last.time_since_epoch());
        after.policy_files = texts_of(acts_.policy_files());
        after.rules = texts_of(rules, [](const RuleStatus& status) { return status.rule.name; });
        after.active_rules = static_cast<std::uint32_t>(std::count_if(
            rules.begin(), rules.end(),
            [](const RuleStatus& status) { return status.state == RuleState::active; }));
        after.paused =
            texts_of(engine_.paused().names(), [](const std::string& name) { return name; });
        after.problems = texts_of(engine_.problems());
        after.kernel_state = to_string(engine_.verdict().state);
        after.findings = rows_of(engine_.verdict().findings);

        std::vector<PropertyName> changed;
        if (shown_.generation != after.generation) {
            changed.emplace_back("Generation");
            changed.emplace_back("LastReloadUSec");
        }
        if (shown_.policy_files != after.policy_files)
            changed.emplace_back("PolicyFiles");
        if (shown_.rules != after.rules)
            changed.emplace_back("Rules");
        if (shown_.active_rules != after.active_rules)
            changed.emplace_back("ActiveRules");
        if (shown_.paused != after.paused)
            changed.emplace_back("Paused");
        if (shown_.problems != after.problems)
            changed.emplace_back("Problems");
        if (shown_.kernel_state != after.kernel_state)
            changed.emplace_back("KernelState");
        if (shown_.findings != after.findings)
            changed.emplace_back("Findings");
        shown_ = std::move(after);
        if (!changed.empty())
            emitPropertiesChangedSignal(Manager_adaptor::INTERFACE_NAME, changed);
    }

    // Also of a rule that is gone while its connections are still leaving.
    const std::string& name_of_rule(const std::optional<RuleId>& rule) const {
        static const std::string kNone;
        return rule ? names_[index_of(*rule)] : kNone;
    }

    // --- methods

    // Answers the caller of the method that is being handled, when it is known what it may do: by
    // what `act`, which is given the verdict, returns, or throws.
    template <typename... Values, typename Act>
    void with_verdict(Access::Action action, sdbus::Result<Values...>&& asked, Act act) {
        // Shared, as a std::function has to be copied.
        const auto result = std::make_shared<sdbus::Result<Values...>>(std::move(asked));
        access_.ask(caller(), action, [result, act](const Access::Verdict& verdict) {
            answer_later(*result, [&] { return act(verdict); });
        });
    }

    // The same, where those who are not allowed it get an error.
    template <typename... Values, typename Act>
    void if_allowed(Access::Action action, sdbus::Result<Values...>&& asked, Act act) {
        with_verdict(action, std::move(asked), [act](const Access::Verdict& verdict) {
            require(verdict);
            return act();
        });
    }

    static void require(const Access::Verdict& verdict) {
        if (!verdict.is_allowed)
            throw sdbus::Error(ErrorName(verdict.error), valid_utf8(verdict.why));
    }

    [[nodiscard]] Access::Caller caller() {
        return Access::Caller::of(current_message(getObject()));
    }

    void Reload(sdbus::Result<std::vector<std::string>>&& asked) override {
        if_allowed(Access::Action::manage, std::move(asked), [this] { return texts_of(reload()); });
    }

    void Diff(sdbus::Result<std::vector<std::string>>&& asked) override {
        if_allowed(Access::Action::inspect, std::move(asked),
                   [this] { return texts_of(acts_.diff()); });
    }

    void Pause(sdbus::Result<>&& asked, std::string rule) override {
        if_allowed(Access::Action::manage, std::move(asked), [this, rule] {
            sockaccel::Paused paused = engine_.paused();
            paused.pause(rule, shown_.rules);
            acts_.pause(paused);
        });
    }

    void Resume(sdbus::Result<>&& asked, std::string rule) override {
        if_allowed(Access::Action::manage, std::move(asked), [this, rule] {
            sockaccel::Paused paused = engine_.paused();
            paused.resume(rule, shown_.rules);
            acts_.pause(paused);
        });
    }

    void Hold(sdbus::Result<std::vector<std::string>>&& asked, std::string rules) override {
        if_allowed(Access::Action::manage, std::move(asked),
                   [this, name = caller().name, rules] { return texts_of(hold(name, rules)); });
    }

    std::vector<std::string> hold(const std::string& name, const std::string& rules) {
        std::vector<std::string> names = acts_.hold(name, rules);
        if (!holders_.contains(name))
            holders_.emplace(name, watch_end_of(name));
        return names;
    }

    void Release() override {
        answer([this] { release(current_message(getObject()).getSender()); });
    }

    void release(const std::string& name) {
        if (holders_.erase(name) == 0)
            return;
        try {
            acts_.release(name);
        } catch (const std::exception& error) {
            log::error("take out the rules that " + name +
                       " held: they stay until the next reload: " + error.what());
        }
    }

    Dict Status() override {
        return answer([this] {
            const Totals totals = engine_.totals();
            return dict_of({{"version", Version()},
                            {"policy_files", shown_.policy_files},
                            {"kernel", valid_utf8(about_.kernel)},
                            {"rules", static_cast<std::uint32_t>(shown_.rules.size())},
                            {"pairs", totals.pairs},
                            {"budget_used_bytes", totals.budget_used_bytes},
                            {"budget_bytes", totals.budget_bytes},
                            {"halves_expired", totals.halves_expired},
                            {"last_reload_usec", shown_.last_reload},
                            {"limit_hits", by_limit(totals.limit_hits)},
                            {"pass_usec", microseconds(engine_.last_pass_took())},
                            {"foreign", texts_of(engine_.foreign())},
                            {"paused", shown_.paused},
                            {"problems", shown_.problems},
                            {"kernel_state", shown_.kernel_state}});
        });
    }

    void Observed(sdbus::Result<std::vector<Dict>, Dict>&& asked) override {
        if_allowed(Access::Action::inspect, std::move(asked), [this] { return observed(); });
    }

    std::tuple<std::vector<Dict>, Dict> observed() {
        const sockaccel::Conversations seen = engine_.conversations();
        std::vector<Dict> result;
        for (const Conversation& it : seen.all) {
            Dict& dict = result.emplace_back(dict_of({{"rule", name_of_rule(it.rule)},
                                                      {"port", it.port},
                                                      {"connections", it.connections},
                                                      {"closed", it.closed},
                                                      {"brief", it.brief},
                                                      {"brief_bytes", it.brief_bytes},
                                                      {"lasted_usec", microseconds(it.lasted)},
                                                      {"age_usec", microseconds(it.age)},
                                                      {"idle_usec", microseconds(it.idle)},
                                                      {"looks", it.looks},
                                                      {"eligible", it.eligible}}));
            add_side(dict, "client_", it.client);
            add_side(dict, "server_", it.server);
        }
        std::map<std::string, std::string> unhonoured;
        for (const Unhonoured& it : engine_.verdict().unhonoured)
            unhonoured.emplace(to_string(it.hazard), valid_utf8(it.name));
        return {std::move(result), dict_of({{"witness", engine_.witness_watches()},
                                            {"unhonoured", unhonoured},
                                            {"lost", seen.lost}})};
    }

    void add_side(Dict& dict, const std::string& prefix, const ConversationSide& side) {
        std::vector<std::string> obstacles, hazards;
        for (int code = 0; code < SA_REASON_COUNT; ++code)
            if ((side.obstacles >> code & 1) != 0)
                obstacles.emplace_back(name_of(static_cast<Reason>(code)));
        for (const auto& [bit, word] :
             {std::pair{SA_TOLERATE_FIONREAD, "fionread"}, std::pair{SA_TOLERATE_SPLICE, "splice"},
              std::pair{SA_TOLERATE_WAITALL, "waitall"}, std::pair{SA_HAZARD_OOB, "oob"}})
            if ((side.hazards & bit) != 0)
                hazards.emplace_back(word);
        dict.emplace(prefix + "cgroup", valid_utf8(engine_.cgroup_path(side.cgroup)));
        dict.emplace(prefix + "bytes", side.bytes);
        dict.emplace(prefix + "messages", side.messages);
        dict.emplace(prefix + "turns", side.turns);
        dict.emplace(prefix + "sizes",
                     std::vector<std::uint64_t>(side.sizes.begin(), side.sizes.end()));
        dict.emplace(prefix + "obstacles", obstacles);
        dict.emplace(prefix + "hazards", hazards);
    }

    void Connections(ConnectionsResult&& asked) override {
        with_verdict(Access::Action::inspect, std::move(asked),
                     [this](const Access::Verdict& verdict) { return connections_for(verdict); });
    }

    static bool is_own(uid_t uid, std::uint32_t client_uid, std::uint32_t server_uid) {
        return uid == client_uid || uid == server_uid;
    }
    // The ends of one that is not proven may be strangers: neither sees the other's.
    static bool is_own(uid_t uid, const Connection& it) {
        if (it.state == ConnectionState::unpaired)
            return uid == it.client.uid && uid == it.server.uid;
        return is_own(uid, it.client.uid, it.server.uid);
    }

    // What a caller may see of them, how many do not fit, and how many it may not see.
    std::tuple<std::vector<Dict>, std::uint32_t, std::uint32_t> connections_for(
        const Access::Verdict& verdict) {
        if (verdict.uid == Access::kUnknown)  // the bus did not say who it is, or too many wait
            require(verdict);
        const auto viewer =
            verdict.is_allowed ? std::nullopt : std::optional<std::uint32_t>(verdict.uid);
        Listing listing = engine_.connections(kMaxConnectionsReply / kConnectionReply, viewer);
        if (viewer)
            listing.hidden += static_cast<std::uint32_t>(std::erase_if(
                listing.connections, [&](const Connection& it) { return !is_own(*viewer, it); }));
        std::vector<Dict> result = dicts_of(listing.connections);
        const auto omitted = static_cast<std::uint32_t>(listing.omitted +
                                                        listing.connections.size() - result.size());
        return {std::move(result), omitted, listing.hidden};
    }

    // The first of them, as many as fit.
    std::vector<Dict> dicts_of(const std::vector<Connection>& connections) {
        std::map<std::uint64_t, std::string> paths;
        const auto path_of = [&](std::uint64_t id) -> const std::string& {
            const auto known = paths.find(id);
            if (known != paths.end())
                return known->second;
            return paths.emplace(id, valid_utf8(engine_.cgroup_path(id))).first->second;
        };
        Variants variants;
        std::vector<Dict> result;
        std::size_t size = 0;
        for (const Connection& connection : connections) {
            const std::string& client_cgroup = path_of(connection.client.cgroup);
            const std::string& server_cgroup = path_of(connection.server.cgroup);
            size += kConnectionReply + client_cgroup.size() + server_cgroup.size();
            if (size > kMaxConnectionsReply)
                break;
            const std::string reason(name_of(connection.reason));
            const std::string reason_text(text_of(connection.reason));
            Dict& dict = result.emplace_back();
            dict.emplace("rule", variants.of(name_of_rule(connection.rule)));
            dict.emplace("state", variants.of(std::string(to_string(connection.state))));
            dict.emplace("reason", variants.of(reason));
            dict.emplace("reason_text", variants.of(reason_text));
            dict.emplace("besides", variants.of(std::string(name_of(connection.besides))));
            dict.emplace("age_usec", variants.of(microseconds(connection.age)));
            add_end(dict, variants, "client_", connection.client, client_cgroup);
            add_end(dict, variants, "server_", connection.server, server_cgroup);
        }
        return result;
    }

    // Answered by answer_probes().
    void Probe(ProbeResult&& asked) override {
        const auto result = std::make_shared<ProbeResult>(std::move(asked));
        access_.ask(
            caller(), Access::Action::manage, [this, result](const Access::Verdict& verdict) {
                try {
                    answer([&] {
                        require(verdict);
                        acts_.probe();
                    });
                    probing_.push_back(result);
                } catch (const sdbus::Error& error) {
                    send("tell a caller that it failed", [&] { result->returnError(error); });
                }
            });
    }

    static void add_end(Dict& dict, Variants& variants, const std::string& prefix,
                        const ConnectionEnd& end, const std::string& cgroup) {
        const auto add = [&](const char* key, const auto& value) {
            dict.emplace(prefix + key, variants.of(value));
        };
        add("address", end.local.text());
        add("port", end.local_port);
        add("peer_address", end.remote.text());
        add("peer_port", end.remote_port);
        add("cookie", end.cookie);
        add("netns", end.netns);
        add("uid", end.uid);
        add("cgroup", cgroup);
        add("queued_bytes", end.queued_bytes);
        add("redirected_messages", end.sent.redirected_messages);
        add("redirected_bytes", end.sent.redirected_bytes);
        add("tcp_messages", end.sent.tcp_messages);
        add("tcp_bytes", end.sent.tcp_bytes);
        add("reasons", by_reason(end.sent.reasons));
    }

    std::string Version() override { return valid_utf8(about_.version); }
    std::vector<std::string> PolicyFiles() override { return shown_.policy_files; }
    std::uint32_t Generation() override { return shown_.generation; }
    std::uint64_t LastReloadUSec() override { return shown_.last_reload; }
    std::vector<std::string> Rules() override { return shown_.rules; }
    std::uint32_t ActiveRules() override { return shown_.active_rules; }
    std::vector<std::string> Paused() override { return shown_.paused; }
    std::vector<std::string> Problems() override { return shown_.problems; }
    std::string KernelState() override { return shown_.kernel_state; }
    std::vector<Row> Findings() override { return shown_.findings; }

    // --- subscribers

    void Subscribe(sdbus::Result<bool>&& asked) override {
        with_verdict(Access::Action::inspect, std::move(asked),
                     [this, name = caller().name](const Access::Verdict& verdict) {
                         if (verdict.uid == Access::kUnknown)
                             require(verdict);
                         subscribe(name, verdict);
                         return verdict.is_allowed;
                     });
    }

    void subscribe(const std::string& name, const Access::Verdict& verdict) {
        if (const auto known = subscribers_.find(name); known != subscribers_.end()) {
            known->second.sees_all = verdict.is_allowed;
            return;
        }
        if (subscribers_.size() >= kMaxSubscribers)
            throw std::runtime_error("subscribe to connection events: the limit of " +
                                     std::to_string(kMaxSubscribers) + " subscribers is reached");
        const auto of_user = std::count_if(
            subscribers_.begin(), subscribers_.end(),
            [&](const auto& subscriber) { return subscriber.second.uid == verdict.uid; });
        if (verdict.uid != 0 && static_cast<std::size_t>(of_user) >= kMaxSubscribersOfOne)
            throw std::runtime_error("subscribe to connection events: the limit of " +
                                     std::to_string(kMaxSubscribersOfOne) +
                                     " subscribers of one user is reached");
        subscribers_.emplace(name, Subscriber{watch_end_of(name), verdict.uid, verdict.is_allowed});
        listen();
    }

    // A match of its own for each caller: the daemon sleeps on while others come and go.
    sdbus::Slot watch_end_of(const std::string& name) {
        sdbus::Slot watch =
            add_match(connection_,
                      "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                      "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" +
                          name + "',arg2=''",
                      [this, name](const sdbus::Message&) { gone_.push_back(name); });
        // It may have left before the match was there.
        if (!is_on_bus(name))
            gone_.push_back(name);
        return watch;
    }

    void Unsubscribe() override {
        answer([this] {
            subscribers_.erase(current_message(getObject()).getSender());
            listen();
        });
    }

    bool is_on_bus(const std::string& name) {
        const auto bus = sdbus::createProxy(connection_, BusName("org.freedesktop.DBus"),
                                            sdbus::ObjectPath("/org/freedesktop/DBus"));
        bool result = false;
        bus->callMethod("NameHasOwner")
            .onInterface("org.freedesktop.DBus")
            .withArguments(name)
            .storeResultsTo(result);
        return result;
    }

    void listen() {
        const bool is_wanted = !subscribers_.empty();
        if (is_wanted == is_listening_)
            return;
        is_listening_ = is_wanted;
        if (is_wanted)
            engine_.listen([this](const ConnectionEvent& event) { tell(event); });
        else
            engine_.listen({});
    }

    void tell(const ConnectionEvent& event) {
        const Dict details = dict_of({{"rule", name_of_rule(event.rule)},
                                      {"reason", std::string(name_of(event.reason))},
                                      {"reason_text", std::string(text_of(event.reason))},
                                      {"client_address", event.client.text()},
                                      {"client_port", event.client_port},
                                      {"server_address", event.server.text()},
                                      {"server_port", event.server_port},
                                      {"client_cookie", event.client_cookie},
                                      {"server_cookie", event.server_cookie},
                                      {"client_uid", event.client_uid},
                                      {"server_uid", event.server_uid},
                                      {"time_usec", microseconds(event.time)}});
        for (const auto& [name, subscriber] : subscribers_) {
            if (!subscriber.sees_all && !is_own(subscriber.uid, event.client_uid, event.server_uid))
                continue;
            try {
                auto signal = getObject().createSignal(
                    InterfaceName(Manager_adaptor::INTERFACE_NAME), MemberName("ConnectionEvent"));
                signal.setDestination(name);
                signal << std::string(to_string(event.kind)) << details;
                getObject().emitSignal(signal);
            } catch (const sdbus::Error& error) {
                log::warning("send events to " + name + ": " + error.getMessage() +
                             ": it gets no more of them");
                gone_.push_back(name);
            }
        }
    }

    sdbus::IConnection& connection_;
    Engine& engine_;
    const Manager::About about_;
    const Manager::Acts acts_;
    Loads& loads_;
    Shown shown_;
    std::array<std::string, SA_MAX_RULES> names_;  // by rule id, kept until the id is reused
    std::map<std::string, std::unique_ptr<RuleObject>> rules_;
    std::map<std::string, Subscriber> subscribers_;      // by unique name
    std::map<std::string, sdbus::Slot> holders_;         // by unique name: the watch for its end
    std::vector<std::string> gone_;                      // subscribers and holders to be forgotten
    std::vector<std::shared_ptr<ProbeResult>> probing_;  // who waits for the self-test
    bool is_listening_ = false;
    Access access_;  // last: what it calls uses the rest
};

}  // namespace

namespace {

// One connection to the bus, in the event loop. When it is lost, `lost` is called, once, and has
// this object destroyed in a later turn.
class Presence {
  public:
    Presence(const BusAddress& bus, EventLoop& loop, Engine& engine, const Manager::About& about,
             const Manager::Acts& acts, Loads& loads, std::function<void()> lost,
             std::function<void()> answered)
        : lost_(std::move(lost)),
          answered_(std::move(answered)),
          connection_(open_bus(bus)),
          object_(*connection_, engine, about, acts, loads),
          io_(loop.on_io(
              connection_->getEventLoopPollData().fd, [this] { return wanted(); },
              [this] { dispatch(); })) {}

    [[nodiscard]] ManagerObject& object() { return object_; }

    // Throws std::runtime_error that says why the name cannot be had.
    void claim_name() {
        try {
            connection_->requestName(BusName(kBusName));
        } catch (const sdbus::Error& error) {
            const std::string act = std::string("claim the bus name ") + kBusName + ": ";
            if (error.getName() == "org.freedesktop.DBus.Error.FileExists")
                throw std::runtime_error(act + "it is taken: another sockacceld runs on this bus");
            if (error.getName() == "org.freedesktop.DBus.Error.AccessDenied")
                throw std::runtime_error(act +
                                         "the bus does not allow it: is its policy, "
                                         "org.sockaccel1.conf, installed, and are you root?");
            throw std::runtime_error(act + error.getMessage());
        }
    }

    // Throws std::runtime_error.
    void give_up_name() {
        try {
            connection_->releaseName(BusName(kBusName));
            // What the bus has sent here by then has arrived before its answer.
            while (process_pending(*connection_)) {
            }
        } catch (const sdbus::Error& error) {
            throw std::runtime_error(std::string("give up the bus name ") + kBusName + ": " +
                                     error.getMessage());
        }
    }

  private:
    EventLoop::Wanted wanted() {
        using std::chrono::nanoseconds;
        static constexpr auto kNever =
            std::chrono::duration_cast<std::chrono::microseconds>(nanoseconds::max());
        if (is_lost_)
            return {0, nanoseconds::max()};
        try {
            const auto poll = connection_->getEventLoopPollData();
            const std::chrono::microseconds end = deadline(poll);
            return {static_cast<std::uint32_t>(poll.events),
                    end >= kNever ? nanoseconds::max() : nanoseconds(end)};
        } catch (const sdbus::Error& error) {
            lose(error);
            return {0, nanoseconds::max()};
        }
    }

    void dispatch() {
        if (is_lost_)
            return;
        try {
            int count = 0;
            while (count < kRequestsAtOnce && process_pending(*connection_))
                ++count;
            object_.forget_gone();
            if (count > 0)
                answered_();
        } catch (const sdbus::Error& error) {
            lose(error);
        }
    }

    void lose(const sdbus::Error& error) {
        is_lost_ = true;
        io_ = {};  // sd-bus has closed the descriptor
        log::warning("the connection to the bus is lost: " + error.getMessage() +
                     ": trying to come back");
        lost_();
    }

    const std::function<void()> lost_, answered_;
    bool is_lost_ = false;
    std::unique_ptr<sdbus::IConnection> connection_;
    ManagerObject object_;
    Source io_;
};

constexpr std::chrono::milliseconds kFirstRetry{100};
constexpr std::chrono::milliseconds kLastRetry{10'000};

}  // namespace

// On the bus, or on the way back to it: connections of applications do not depend on the bus.
struct Manager::State {
    State(EventLoop& loop, Engine& engine, BusAddress bus, About about, Acts acts)
        : loop_(loop),
          engine_(engine),
          bus_(std::move(bus)),
          about_(std::move(about)),
          acts_(std::move(acts)),
          retry_(loop.timer([this] { come_back(); })) {
        connect();
    }

    void connect() {
        presence_ = std::make_unique<Presence>(
            bus_, loop_, engine_, about_, acts_, loads_, [this] { retry_.arm(now()); },
            [this] {
                if (answered_)
                    answered_();
            });
    }

    void come_back() {
        if (presence_)
            presence_->object().end_holds();
        presence_.reset();
        try {
            if (!is_there(bus_))
                throw std::runtime_error("the bus is away");
            connect();
            presence_->claim_name();
            wait_ = kFirstRetry;
            log::notice("back on the bus");
        } catch (const std::runtime_error&) {  // also sdbus::Error; there is a next time
            presence_.reset();
            retry_.arm(now() + wait_);
            wait_ = std::min(2 * wait_, kLastRetry);
        }
    }

    EventLoop& loop_;
    Engine& engine_;
    const BusAddress bus_;
    const About about_;
    const Acts acts_;
    std::function<void()> answered_;
    Loads loads_;
    std::chrono::milliseconds wait_ = kFirstRetry;
    Timer retry_;
    std::unique_ptr<Presence> presence_;  // none: the bus is away
};

Manager::Manager(EventLoop& loop, Engine& engine, const BusAddress& bus, About about, Acts acts)
    : state_(std::make_unique<State>(loop, engine, bus, std::move(about), std::move(acts))) {}

Manager::~Manager() = default;

void Manager::claim_name() {
    if (state_->presence_)
        state_->presence_->claim_name();
}

void Manager::on_request(std::function<void()> callback) {
    state_->answered_ = std::move(callback);
}

bool Manager::is_busy() const {
    return state_->presence_ && state_->presence_->object().is_busy();
}

bool Manager::is_answering() const {
    return state_->presence_ && state_->presence_->object().is_answering();
}

void Manager::give_up_name() {
    if (state_->presence_)
        state_->presence_->give_up_name();
}

void Manager::answer_probes() {
    if (state_->presence_)
        state_->presence_->object().answer_probes();
}

std::vector<std::string> Manager::reload() {
    if (state_->presence_)
        return state_->presence_->object().reload();
    std::vector<std::string> changes = state_->acts_.reload();
    state_->loads_.add();
    return changes;
}

}  // namespace sockaccel
