// SPDX-License-Identifier: GPL-2.0-or-later
// As much of org.freedesktop.systemd1 as a client sees that follows units, with units of the test's
// making. The real one is in tests/system.
#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "private_bus.hpp"

namespace sockaccel::test {

class FakeSystemd {
  public:
    struct Unit {
        std::string cgroup = {};                     // "": it does not run
        std::vector<std::string> triggered_by = {};  // sockets and timers
        std::set<std::string> aliases = {};
        bool is_loaded = true;  // else it is loaded when one asks, and thrown away at once
    };

    // There are these units when it takes its name.
    explicit FakeSystemd(const PrivateBus& bus, const std::map<std::string, Unit>& units = {});
    ~FakeSystemd();

    void load(const std::string& id, const Unit& unit);          // tells UnitNew
    void run(const std::string& id, const std::string& cgroup);  // tells PropertiesChanged
    void unload(const std::string& id);                          // tells UnitRemoved
    void reload(const std::map<std::string, Unit>& units);       // with these from then on
    void set_failing(bool failing);                              // every list is an error

    [[nodiscard]] unsigned calls() const;  // lists and properties that were asked for

  private:
    using Row =
        sdbus::Struct<std::string, std::string, std::string, std::string, std::string, std::string,
                      sdbus::ObjectPath, std::uint32_t, std::string, sdbus::ObjectPath>;

    std::vector<Row> list_by_names(const std::vector<std::string>& names);
    std::vector<Row> list_by_patterns(const std::vector<std::string>& states,
                                      const std::vector<std::string>& patterns);
    void set(const std::map<std::string, Unit>& units);
    void set(const std::string& id, const Unit& unit);
    void show(const std::string& id);
    void tell_loading(const std::string& id);
    static std::string object_of(const std::string& id);
    static Row row_of(const std::string& id, const Unit* unit);

    mutable std::mutex mutex_;  // the bus is served by a thread of its own
    std::map<std::string, Unit> units_;
    bool is_failing_ = false;
    unsigned calls_ = 0;
    std::unique_ptr<sdbus::IConnection> connection_;
    std::unique_ptr<sdbus::IObject> manager_;
    std::map<std::string, std::unique_ptr<sdbus::IObject>> objects_;
};

}  // namespace sockaccel::test
