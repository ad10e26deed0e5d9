// SPDX-License-Identifier: GPL-2.0-or-later
#include "fake_systemd.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <cctype>
#include <cstdio>

#include "daemon.hpp"

namespace sockaccel::test {

namespace {

constexpr const char* kManager = "org.freedesktop.systemd1.Manager";
constexpr const char* kUnit = "org.freedesktop.systemd1.Unit";

std::string interface_of(const std::string& id) {
    std::string type = id.substr(id.rfind('.') + 1);
    type[0] = static_cast<char>(std::toupper(type[0]));
    return "org.freedesktop.systemd1." + type;
}

}  // namespace

FakeSystemd::FakeSystemd(const PrivateBus& bus, const std::map<std::string, Unit>& units)
    : units_(units), connection_(connect(bus)) {
    manager_ = sdbus::createObject(*connection_, sdbus::ObjectPath("/org/freedesktop/systemd1"));
    add_method(*manager_, kManager, "Subscribe", [] {});
    add_method(*manager_, kManager, "ListUnitsByNames",
               [this](const std::vector<std::string>& names) { return list_by_names(names); });
    add_method(
        *manager_, kManager, "ListUnitsByPatterns",
        [this](const std::vector<std::string>& states, const std::vector<std::string>& patterns) {
            return list_by_patterns(states, patterns);
        });
    add_property(*manager_, kManager, "ControlGroup", [] { return std::string("/"); });
    add_signal<std::string, sdbus::ObjectPath>(*manager_, kManager, "UnitNew");
    add_signal<std::string, sdbus::ObjectPath>(*manager_, kManager, "UnitRemoved");
    add_signal<bool>(*manager_, kManager, "Reloading");
    finish(*manager_);
    for (const auto& it : units)
        show(it.first);
    connection_->enterEventLoopAsync();
    connection_->requestName(BusName("org.freedesktop.systemd1"));
}

FakeSystemd::~FakeSystemd() {
    connection_->leaveEventLoop();
}

unsigned FakeSystemd::calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
}

void FakeSystemd::set_failing(bool failing) {
    const std::lock_guard lock(mutex_);
    is_failing_ = failing;
}

std::string FakeSystemd::object_of(const std::string& id) {
    std::string path = "/org/freedesktop/systemd1/unit/";
    for (const char c : id)
        if (std::isalnum(static_cast<unsigned char>(c)))
            path += c;
        else {
            char code[4];
            std::snprintf(code, sizeof code, "_%02x", static_cast<unsigned char>(c));
            path += code;
        }
    return path;
}

FakeSystemd::Row FakeSystemd::row_of(const std::string& id, const Unit* unit) {
    return Row(id, "", unit ? "loaded" : "not-found",
               unit && !unit->cgroup.empty() ? "active" : "inactive", "", "",
               sdbus::ObjectPath(object_of(id)), 0u, "", sdbus::ObjectPath("/"));
}

std::vector<FakeSystemd::Row> FakeSystemd::list_by_names(const std::vector<std::string>& names) {
    const std::lock_guard lock(mutex_);
    ++calls_;
    if (is_failing_)
        throw sdbus::Error(ErrorName("org.freedesktop.DBus.Error.AccessDenied"), "not for you");
    std::vector<Row> rows;
    for (const std::string& name : names) {
        const auto known = std::find_if(units_.begin(), units_.end(), [&](const auto& it) {
            return it.first == name || it.second.aliases.contains(name);
        });
        if (known == units_.end()) {
            rows.push_back(row_of(name, nullptr));
            tell_loading(name);
            continue;
        }
        rows.push_back(row_of(known->first, &known->second));
        if (!known->second.is_loaded)
            tell_loading(known->first);
    }
    return rows;
}

std::vector<FakeSystemd::Row> FakeSystemd::list_by_patterns(
    const std::vector<std::string>& states, const std::vector<std::string>& patterns) {
    const std::lock_guard lock(mutex_);
    ++calls_;
    if (is_failing_)
        throw sdbus::Error(ErrorName("org.freedesktop.DBus.Error.AccessDenied"), "not for you");
    std::vector<Row> rows;
    for (const auto& [id, unit] : units_) {
        const std::string name = id;
        const bool is_meant =
            std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
                return ::fnmatch(pattern.c_str(), name.c_str(), FNM_NOESCAPE) == 0;
            });
        if (unit.is_loaded && is_meant && (states.empty() || !unit.cgroup.empty()))
            rows.push_back(row_of(id, &unit));
    }
    return rows;
}

// As for one that is not loaded, when somebody asks for it.
void FakeSystemd::tell_loading(const std::string& id) {
    for (const char* signal : {"UnitNew", "UnitRemoved"})
        manager_->emitSignal(signal).onInterface(kManager).withArguments(
            id, sdbus::ObjectPath(object_of(id)));
}

void FakeSystemd::show(const std::string& id) {
    auto object = sdbus::createObject(*connection_, sdbus::ObjectPath(object_of(id)));
    const auto field = [this, id](auto member) {
        return [this, id, member] {
            const std::lock_guard lock(mutex_);
            ++calls_;
            if (!units_.at(id).is_loaded)
                tell_loading(id);
            return units_.at(id).*member;
        };
    };
    add_property(*object, interface_of(id), "ControlGroup", field(&Unit::cgroup));
    add_property(*object, interface_of(id), "Slice", [] { return std::string("system.slice"); });
    add_property(*object, kUnit, "TriggeredBy", field(&Unit::triggered_by));
    finish(*object);
    objects_[id] = std::move(object);
}

// Handlers run with the connection locked, so nothing is said on it while mutex_ is held.
void FakeSystemd::set(const std::map<std::string, Unit>& units) {
    const std::lock_guard lock(mutex_);
    units_ = units;
}

void FakeSystemd::set(const std::string& id, const Unit& unit) {
    const std::lock_guard lock(mutex_);
    units_[id] = unit;
}

void FakeSystemd::load(const std::string& id, const Unit& unit) {
    set(id, unit);
    show(id);
    manager_->emitSignal("UnitNew").onInterface(kManager).withArguments(
        id, sdbus::ObjectPath(object_of(id)));
}

void FakeSystemd::run(const std::string& id, const std::string& cgroup) {
    {
        const std::lock_guard lock(mutex_);
        units_.at(id).cgroup = cgroup;
    }
    auto signal = objects_.at(id)->createSignal(InterfaceName("org.freedesktop.DBus.Properties"),
                                                MemberName("PropertiesChanged"));
    const std::string state = cgroup.empty() ? "inactive" : "active";
    signal << std::string(kUnit) << dict_of({{"ActiveState", state}}) << std::vector<std::string>{};
    objects_.at(id)->emitSignal(signal);
}

void FakeSystemd::unload(const std::string& id) {
    {
        const std::lock_guard lock(mutex_);
        units_.erase(id);
    }
    manager_->emitSignal("UnitRemoved")
        .onInterface(kManager)
        .withArguments(id, sdbus::ObjectPath(object_of(id)));
    objects_.erase(id);
}

void FakeSystemd::reload(const std::map<std::string, Unit>& units) {
    manager_->emitSignal("Reloading").onInterface(kManager).withArguments(true);
    set(units);
    objects_.clear();
    for (const auto& it : units)
        show(it.first);
    manager_->emitSignal("Reloading").onInterface(kManager).withArguments(false);
}

}  // namespace sockaccel::test
