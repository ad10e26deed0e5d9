// SPDX-License-Identifier: GPL-2.0-or-later
//
// What is told here is where a unit's cgroup will be, too, while the unit does not run: CgroupTree
// then sees it appear, by inotify, before the unit's first process is started, and no restart of a
// unit has to be heard of on the bus.
//
// To ask systemd for the properties of a unit that is not loaded makes it load the unit, tell
// everyone of a new one, throw it away and tell that, too. Whoever asks in answer to UnitNew may go
// on with that for ever. So only units that are active are asked about then (look_at_fresh()),
// which systemd does not throw away; and for all that the policy names once, after (re)loads.
#include "units.hpp"

#include <systemd/sd-bus.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <exception>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "destroy.hpp"
#include "fd.hpp"
#include "log.hpp"

namespace sockaccel {
namespace {

using namespace std::chrono_literals;

constexpr const char* kSystemd = "org.freedesktop.systemd1";
constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kManager = "org.freedesktop.systemd1.Manager";
constexpr const char* kUnit = "org.freedesktop.systemd1.Unit";
constexpr const char* kSystemBus = "unix:path=/run/dbus/system_bus_socket";

// dbus-daemon ends a connection that waits for more than 128 replies.
constexpr std::size_t kMaxCalls = 64;

// After something failed that nobody will tell the end of.
constexpr std::chrono::seconds kFirstRetry{1}, kLastRetry{64};

using Message = std::unique_ptr<sd_bus_message, Destroy<sd_bus_message_unref>>;
using Bus = std::unique_ptr<sd_bus, Destroy<sd_bus_close_unref>>;

std::string type_interface(const std::string& unit) {
    std::string type(unit_type(unit));
    type.front() = static_cast<char>(type.front() - 'a' + 'A');
    return std::string(kSystemd) + "." + type;
}

bool has_type(const std::string& unit, std::string_view type) {
    return unit_type(unit) == type;
}

std::string without_slash(std::string_view path) {
    return std::string(path.substr(path.starts_with('/') ? 1 : 0));
}

std::string below(const std::string& parent, const std::string& path) {
    return parent.empty() || path.empty() ? parent + path : parent + "/" + path;
}

std::string read_string_property(sd_bus_message* message) {
    const char* text = "";
    check_negative(sd_bus_message_read(message, "v", "s", &text), "read a string from systemd");
    return text;
}

std::set<std::string> read_strings_property(sd_bus_message* message) {
    check_negative(sd_bus_message_enter_container(message, 'v', "as"), "read a list from systemd");
    check_negative(sd_bus_message_enter_container(message, 'a', "s"), "read a list from systemd");
    std::set<std::string> result;
    const char* text = nullptr;
    while (check_negative(sd_bus_message_read(message, "s", &text), "read a list from systemd") > 0)
        result.insert(text);
    return result;
}

// A row of ListUnits and its like.
struct Listed {
    std::string id, load_state, object;
};

std::vector<Listed> read_units(sd_bus_message* message) {
    check_negative(sd_bus_message_enter_container(message, 'a', "(ssssssouso)"),
                   "read a list of units from systemd");
    std::vector<Listed> rows;
    const char *id = nullptr, *load = nullptr, *object = nullptr;
    const char *skipped = nullptr, *job_object = nullptr;
    std::uint32_t job = 0;
    while (check_negative(
               sd_bus_message_read(message, "(ssssssouso)", &id, &skipped, &load, &skipped,
                                   &skipped, &skipped, &object, &job, &skipped, &job_object),
               "read a unit from systemd") > 0)
        rows.push_back({id, load, object});
    return rows;
}

void append(sd_bus_message* message, const std::vector<std::string>& strings) {
    check_negative(sd_bus_message_open_container(message, 'a', "s"), "write a list to systemd");
    for (const std::string& string : strings)
        check_negative(sd_bus_message_append(message, "s", string.c_str()), "write to systemd");
    check_negative(sd_bus_message_close_container(message), "write a list to systemd");
}

}  // namespace

struct Units::State {
    // One that the policy means, or a socket unit that triggers one.
    struct Unit {
        std::string object;                  // its path on the bus
        std::optional<std::string> current;  // its cgroup, when it has one
        std::string slice;                   // "": not known
        std::set<std::string> triggered_by;  // sockets only
        unsigned round = 0;                  // of the last sync() that saw it
    };

    State(EventLoop& its_loop, std::function<void()> its_changed)
        : loop(its_loop),
          changed(std::move(its_changed)),
          retry(loop.timer([this] { try_again(); })) {}

    void follow(std::vector<UnitPattern> wanted, std::chrono::nanoseconds deadline) {
        const bool has_new =
            !std::includes(patterns.begin(), patterns.end(), wanted.begin(), wanted.end());
        patterns = std::move(wanted);
        std::erase_if(ids, [this](const auto& it) {
            return !std::binary_search(patterns.begin(), patterns.end(), it.first);
        });
        if (patterns.empty()) {
            close();
            units.clear();
            problem.clear();
            was_synced = false;
        } else if (!bus) {
            open();
        } else if (has_new && has_systemd) {
            sync();
        }
        while (!is_settled() && now() < deadline && wait_for_bus(deadline)) {
        }
        publish();
    }

    [[nodiscard]] bool is_settled() const {
        return patterns.empty() || is_synced || !problem.empty();
    }

    // False if that is of no use.
    bool wait_for_bus(std::chrono::nanoseconds deadline) {
        const int processed = sd_bus_process(bus.get(), nullptr);
        if (processed != 0)
            return processed > 0;
        const auto left = std::chrono::ceil<std::chrono::microseconds>(deadline - now());
        return left.count() > 0 &&
               sd_bus_wait(bus.get(), static_cast<std::uint64_t>(left.count())) >= 0;
    }

    // --- the connection

    void open() {
        close();
        const char* address = std::getenv("DBUS_SYSTEM_BUS_ADDRESS");
        if (address == nullptr)
            address = kSystemBus;
        int error = connect(address, false);
        if (error < 0) {
            problem = std::string("the system bus: ") + std::generic_category().message(-error);
            error = connect(address, true);  // as soon as somebody listens there
        }
        if (error < 0)
            return retry_later();
        check_negative(sd_bus_attach_event(bus.get(), loop.handle(), 0),
                       "put the system bus into the event loop");
        watch(
            "type='signal',path='/org/freedesktop/DBus/Local',"
            "interface='org.freedesktop.DBus.Local',member='Disconnected'",
            &State::on_disconnected);
        watch(
            "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
            "interface='org.freedesktop.DBus',member='NameOwnerChanged',"
            "arg0='org.freedesktop.systemd1'",
            &State::on_owner);
        const std::string manager =
            "type='signal',sender='org.freedesktop.systemd1',path='/org/freedesktop/systemd1',"
            "interface='org.freedesktop.systemd1.Manager',member=";
        watch(manager + "'UnitNew'", &State::on_new);
        watch(manager + "'UnitRemoved'", &State::on_removed);
        watch(manager + "'Reloading'", &State::on_reloading);
        // Of all units: a rule for each that is followed would meet the bus's limit of 512.
        watch(
            "type='signal',sender='org.freedesktop.systemd1',"
            "path_namespace='/org/freedesktop/systemd1/unit',"
            "interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',"
            "arg0='org.freedesktop.systemd1.Unit'",
            &State::on_properties);
        call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
             "GetNameOwner", {{kSystemd}},
             [this](sd_bus_message* reply) { reply ? begin() : lose_systemd(); });
    }

    int connect(const char* address, bool when_it_is_there) {
        sd_bus* made = nullptr;
        check_negative(sd_bus_new(&made), "make a connection to the system bus");
        bus.reset(made);
        check_negative(sd_bus_set_address(made, address), "set the address of the system bus");
        check_negative(sd_bus_set_bus_client(made, true), "set up the system bus");
        check_negative(sd_bus_set_watch_bind(made, when_it_is_there), "set up the system bus");
        return sd_bus_start(made);
    }

    void close() {
        has_systemd = false;
        queue.clear();
        fresh.clear();
        idle_sockets.clear();
        bus.reset();  // ends the calls that are under way
        retry.disarm();
    }

    void watch(const std::string& match, void (State::*handler)(sd_bus_message*)) {
        struct Watch {
            State& state;
            void (State::*handler)(sd_bus_message*);
        };
        auto own = std::make_unique<Watch>(Watch{*this, handler});
        sd_bus_slot* slot = nullptr;
        check_negative(sd_bus_add_match_async(
                           bus.get(), &slot, match.c_str(),
                           [](sd_bus_message* message, void* userdata, sd_bus_error*) {
                               const Watch& self = *static_cast<Watch*>(userdata);
                               self.state.guarded([&] { (self.state.*self.handler)(message); });
                               return 0;
                           },
                           nullptr, own.get()),
                       "watch systemd's signals");
        keep_until_gone(slot, std::move(own));
    }

    // The slot and what it calls live as long as the connection.
    template <typename Userdata>
    static void keep_until_gone(sd_bus_slot* slot, std::unique_ptr<Userdata> userdata) {
        sd_bus_slot_set_destroy_callback(slot,
                                         [](void* gone) { delete static_cast<Userdata*>(gone); });
        static_cast<void>(userdata.release());  // the slot's now
        sd_bus_slot_set_floating(slot, true);
        sd_bus_slot_unref(slot);
    }

    // Calls come through C: what they throw is thrown on by the loop.
    template <typename Act>
    void guarded(Act act) noexcept {
        try {
            act();
        } catch (...) {
            thrown =
                loop.defer([error = std::current_exception()] { std::rethrow_exception(error); });
        }
    }

    // With the reply; with null if the call failed.
    using Done = std::function<void(sd_bus_message* reply)>;

    struct Call {
        Call(State& its_state, Done its_done) : state(its_state), done(std::move(its_done)) {
            ++state.calls;
        }
        Call(const Call&) = delete;
        Call& operator=(const Call&) = delete;
        ~Call() { end(); }
        void end() {
            if (!std::exchange(is_ended, true))
                --state.calls;
        }
        State& state;
        Done done;
        bool is_ended = false;
    };

    // `strings`: the arguments, if they are strings.
    void call(const char* destination, const char* path, const char* interface, const char* member,
              const std::vector<std::string>& strings, Done done) {
        Message message = new_call(destination, path, interface, member);
        for (const std::string& string : strings)
            check_negative(sd_bus_message_append(message.get(), "s", string.c_str()),
                           "write to systemd");
        send(message, std::move(done));
    }

    // One of systemd's manager, with lists of strings.
    void list(const char* member, const std::vector<std::vector<std::string>>& arguments,
              Done done) {
        Message message = new_call(kSystemd, kManagerPath, kManager, member);
        for (const std::vector<std::string>& argument : arguments)
            append(message.get(), argument);
        send(message, std::move(done));
    }

    Message new_call(const char* destination, const char* path, const char* interface,
                     const char* member) {
        sd_bus_message* made = nullptr;
        check_negative(
            sd_bus_message_new_method_call(bus.get(), &made, destination, path, interface, member),
            "make a call to systemd");
        Message message(made);
        check_negative(sd_bus_message_set_auto_start(made, false), "make a call to systemd");
        return message;
    }

    void send(const Message& message, Done done) {
        auto own = std::make_unique<Call>(*this, std::move(done));
        sd_bus_slot* slot = nullptr;
        const auto on_reply = [](sd_bus_message* reply, void* userdata, sd_bus_error*) {
            Call& self = *static_cast<Call*>(userdata);
            const sd_bus_error* error = sd_bus_message_get_error(reply);
            self.end();
            self.state.guarded([&] {
                if (error)
                    self.state.last_error = error->message ? error->message : error->name;
                self.done(error ? nullptr : reply);
                self.state.ask_next();
            });
            return 1;
        };
        const int result =
            sd_bus_call_async(bus.get(), &slot, message.get(), on_reply, own.get(), 0);
        if (result >= 0)
            return keep_until_gone(slot, std::move(own));
        // The connection is lost, which on_disconnected() is told next.
        last_error = std::generic_category().message(-result);
        own->end();
        own->done(nullptr);
    }

    void on_disconnected(sd_bus_message*) {
        const bool was_of_use = std::exchange(has_systemd, false);
        fail("the connection to the system bus is lost");
        // Not now: this runs in the connection that open() closes.
        if (was_of_use)
            retry.arm(now());
        else
            retry_later();
    }

    void on_owner(sd_bus_message* signal) {
        const char *name = nullptr, *before = nullptr, *owner = nullptr;
        check_negative(sd_bus_message_read(signal, "sss", &name, &before, &owner),
                       "read who systemd is");
        if (*owner)
            begin();
        else
            lose_systemd();
    }

    // What is known stays known: the units run on, and CgroupTree follows their restarts.
    void lose_systemd() {
        has_systemd = false;
        fail("systemd is not on the system bus");
    }

    void fail(const std::string& why) {
        problem = why;
        tell();
    }

    void retry_later() {
        retry.arm(now() + pause_before_retry);
        pause_before_retry = std::min(2 * pause_before_retry, kLastRetry);
    }

    void try_again() {
        if (has_systemd)
            sync();
        else
            open();
    }

    // --- asking

    void begin() {
        has_systemd = true;
        call(kSystemd, kManagerPath, kManager, "Subscribe", {}, [](sd_bus_message*) {});
        get(kManagerPath, kManager, "ControlGroup", [this](sd_bus_message* reply) {
            root = reply ? without_slash(read_string_property(reply)) : "";
        });
        sync();
    }

    // Asks for everything: at the start, and when a reload may have changed anything.
    void sync() {
        ++round;
        is_synced = false;
        problem.clear();
        names_to_resolve.clear();
        std::vector<std::string> globs;
        for (const UnitPattern& pattern : patterns)
            if (pattern.is_glob())
                globs.push_back(pattern.pattern());
            else
                names_to_resolve.push_back(pattern);
        if (globs.empty())
            return ask_next();
        list("ListUnitsByPatterns", {{}, globs}, [this, asked = round](sd_bus_message* reply) {
            if (!reply)
                return fail_to_list(asked);
            for (const Listed& row : read_units(reply))
                if (row.load_state != "not-found")
                    take(row);
        });
    }

    void fail_to_list(unsigned asked) {
        if (asked != round || !has_systemd)
            return;  // that is known by now, or was meant for another systemd
        fail("systemd: " + last_error);
        retry_later();
    }

    // By whatever name, an alias too.
    void resolve(const UnitPattern& name) {
        list("ListUnitsByNames", {{name.pattern()}},
             [this, name, asked = round](sd_bus_message* reply) {
                 if (!reply)
                     return fail_to_list(asked);
                 for (const Listed& row : read_units(reply)) {
                     ids[name] = row.id;
                     take(row);
                 }
             });
    }

    void take(const Listed& row) {
        if (!has_cgroup(row.id))
            return;
        Unit& unit = units[row.id];
        unit.object = row.object;
        unit.round = round;
        if (row.load_state != "not-found")
            queue.insert(row.id);
        tell();
    }

    // Keeps at most kMaxCalls under way; when all is answered, a sync() is complete.
    void ask_next() {
        while (calls < kMaxCalls && !names_to_resolve.empty() && has_systemd) {
            const UnitPattern name = names_to_resolve.back();
            names_to_resolve.pop_back();
            resolve(name);
        }
        while (calls < kMaxCalls && !queue.empty() && has_systemd)
            ask(queue.extract(queue.begin()).value());
        if (calls == 0 && queue.empty() && has_systemd && !is_synced && problem.empty())
            complete();
    }

    void complete() {
        is_synced = true;
        pause_before_retry = kFirstRetry;
        std::erase_if(units, [this](const auto& it) { return it.second.round != round; });
        tell();
    }

    void ask(const std::string& id) {
        const auto found_unit = units.find(id);
        if (found_unit == units.end())
            return;
        const std::string object = found_unit->second.object;
        const std::string interface = type_interface(id);
        const auto put = [this, id](auto member, auto read) {
            return [this, id, member, read](sd_bus_message* reply) {
                const auto at = units.find(id);
                if (!reply || at == units.end())
                    return;
                (at->second).*member = read(reply);
                tell();
            };
        };
        const auto text = [](sd_bus_message* reply) { return read_string_property(reply); };
        get(object, interface, "ControlGroup", put(&Unit::current, [](sd_bus_message* reply) {
                const std::string path = read_string_property(reply);
                return path.empty() ? std::nullopt : std::optional(without_slash(path));
            }));
        get(object, interface, "Slice", put(&Unit::slice, text));
        if (has_type(id, "service"))
            get(object, kUnit, "TriggeredBy", [this, id](sd_bus_message* reply) {
                if (reply)
                    take_triggers(id, read_strings_property(reply));
            });
    }

    void take_triggers(const std::string& id, std::set<std::string> triggers) {
        const auto at = units.find(id);
        if (at == units.end())
            return;
        std::erase_if(triggers, [](const std::string& it) { return !has_type(it, "socket"); });
        for (const std::string& socket : triggers) {
            Unit& unit = units[socket];
            if (unit.object.empty() || unit.round != round)
                queue.insert(socket);
            unit.object = object_of(socket);
            unit.round = round;
        }
        at->second.triggered_by = std::move(triggers);
        tell();
    }

    static std::string object_of(const std::string& id) {
        char* path = nullptr;
        check_negative(sd_bus_path_encode("/org/freedesktop/systemd1/unit", id.c_str(), &path),
                       "name the object of " + id);
        std::string result(path);
        std::free(path);
        return result;
    }

    void get(const std::string& object, const std::string& interface, const char* property,
             Done done) {
        call(kSystemd, object.c_str(), "org.freedesktop.DBus.Properties", "Get",
             {interface, property}, std::move(done));
    }

    // --- what systemd tells

    void on_new(sd_bus_message* signal) {
        const char *id = nullptr, *object = nullptr;
        check_negative(sd_bus_message_read(signal, "so", &id, &object), "read a new unit's name");
        if (!has_cgroup(id))
            return;
        if (is_wanted(id)) {
            Unit& unit = units[id];
            unit.object = object;
            unit.round = round;
            tell();
        } else if (has_type(id, "socket")) {
            idle_sockets[object] = id;
        } else {
            return;
        }
        look_soon_at(id);
    }

    void look_soon_at(const std::string& id) {
        fresh.insert(id);
        if (fresh.size() == 1)
            fresh_source = loop.defer([this] { look_at_fresh(); });
    }

    void look_at_fresh() {
        const std::vector<std::string> names(fresh.begin(), fresh.end());
        fresh.clear();
        if (!has_systemd)
            return;
        list("ListUnitsByPatterns", {{"active", "reloading", "activating", "deactivating"}, names},
             [this](sd_bus_message* reply) {
                 if (!reply)
                     return;
                 for (const Listed& row : read_units(reply)) {
                     idle_sockets.erase(row.object);
                     if (is_wanted(row.id))
                         take(row);
                     else
                         ask_who_is_triggered();
                 }
             });
    }

    // By a socket unit that has begun to listen.
    void ask_who_is_triggered() {
        for (const auto& it : units)
            if (has_type(it.first, "service"))
                queue.insert(it.first);
    }

    void on_removed(sd_bus_message* signal) {
        const char* text = "";
        check_negative(sd_bus_message_read(signal, "s", &text), "read a unit's name");
        const std::string id = text;
        std::erase_if(idle_sockets, [&](const auto& it) { return it.second == id; });
        const bool is_named =
            std::any_of(ids.begin(), ids.end(), [&](const auto& it) { return it.second == id; });
        if (!is_named && !is_trigger(id) && units.erase(id) > 0)
            tell();
    }

    void on_reloading(sd_bus_message* signal) {
        int begins = 0;
        check_negative(sd_bus_message_read(signal, "b", &begins), "read whether systemd reloads");
        if (!begins && has_systemd)
            sync();
    }

    void on_properties(sd_bus_message* signal) {
        const std::string object = sd_bus_message_get_path(signal);
        for (const auto& it : units)
            if (it.second.object == object)
                queue.insert(it.first);
        if (const auto socket = idle_sockets.find(object); socket != idle_sockets.end())
            look_soon_at(socket->second);
        if (!queue.empty())
            ask_next();
    }

    [[nodiscard]] bool is_trigger(const std::string& id) const {
        return std::any_of(units.begin(), units.end(),
                           [&](const auto& it) { return it.second.triggered_by.contains(id); });
    }

    [[nodiscard]] bool is_wanted(const std::string& id) const {
        return std::any_of(patterns.begin(), patterns.end(),
                           [&](const UnitPattern& it) { return it.matches(id); }) ||
               std::any_of(ids.begin(), ids.end(),
                           [&](const auto& it) { return it.second == id; }) ||
               (has_type(id, "socket") && is_trigger(id));
    }

    // --- telling

    [[nodiscard]] std::string cgroup_of(const std::string& id, const Unit& unit) const {
        return unit.current ? *unit.current : below(root, expected_cgroup(id, unit.slice));
    }

    void add(const std::string& id, std::set<std::string>& paths) const {
        const auto at = units.find(id);
        if (at == units.end())
            return;
        paths.insert(cgroup_of(id, at->second));
        for (const std::string& socket : at->second.triggered_by)
            if (const auto other = units.find(socket); other != units.end())
                paths.insert(cgroup_of(socket, other->second));
    }

    [[nodiscard]] UnitCgroups build() const {
        UnitCgroups result;
        if (patterns.empty())
            return result;
        result.problem =
            problem.empty() && !is_synced && !was_synced ? "systemd has not answered yet" : problem;
        for (const UnitPattern& pattern : patterns) {
            std::set<std::string>& paths = result.paths[pattern];
            if (!pattern.is_glob()) {
                if (const auto id = ids.find(pattern); id != ids.end())
                    add(id->second, paths);
                continue;
            }
            for (const auto& it : units)
                if (pattern.matches(it.first))
                    add(it.first, paths);
        }
        return result;
    }

    // Soon, for many changes at once.
    void tell() {
        if (!std::exchange(is_telling, true))
            tell_source = loop.defer([this] {
                publish();
                is_telling = false;
            });
    }

    void publish() {
        was_synced = was_synced || is_synced;
        UnitCgroups now_found = build();
        if (now_found == found)
            return;
        if (now_found.problem != found.problem)
            log::notice(now_found.problem.empty()
                            ? "systemd tells of its units"
                            : "systemd does not tell of its units: " + now_found.problem);
        found = std::move(now_found);
        changed();
    }

    EventLoop& loop;
    const std::function<void()> changed;
    std::vector<UnitPattern> patterns;
    UnitCgroups found;

    Timer retry;
    std::chrono::seconds pause_before_retry = kFirstRetry;
    Source thrown, tell_source, fresh_source;
    bool is_telling = false;

    bool has_systemd = false;
    bool is_synced = false;   // the last sync() is complete
    bool was_synced = false;  // one was
    std::string problem, last_error;
    std::string root;  // systemd's own cgroup
    unsigned round = 0;
    std::size_t calls = 0;  // under way
    std::map<std::string, Unit> units;
    std::map<UnitPattern, std::string> ids;     // of the patterns that are names
    std::vector<UnitPattern> names_to_resolve;  // by sync()
    std::set<std::string> queue;                // units to ask about
    std::set<std::string> fresh;                // units that systemd has told of
    // By object: loaded, and not seen to listen yet. A unit that one triggers may be ours.
    std::map<std::string, std::string> idle_sockets;
    Bus bus;  // its end calls back into all of these
};

Units::Units(EventLoop& loop, std::function<void()> changed)
    : state_(std::make_unique<State>(loop, std::move(changed))) {}

Units::~Units() = default;

void Units::follow(std::vector<UnitPattern> patterns, std::chrono::milliseconds patience) {
    std::sort(patterns.begin(), patterns.end());
    patterns.erase(std::unique(patterns.begin(), patterns.end()), patterns.end());
    state_->follow(std::move(patterns), now() + patience);
}

const UnitCgroups& Units::found() const {
    return state_->found;
}

}  // namespace sockaccel
