// SPDX-License-Identifier: GPL-2.0-or-later
#include "service_manager.hpp"

#include <systemd/sd-bus.h>
#include <systemd/sd-login.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

#include "destroy.hpp"
#include "fd.hpp"
#include "log.hpp"

namespace sockaccel {
namespace {

constexpr const char* kSystemd = "org.freedesktop.systemd1";
constexpr const char* kUnit = "org.freedesktop.systemd1.Unit";
constexpr const char* kService = "org.freedesktop.systemd1.Service";
constexpr const char* kJob = "org.freedesktop.systemd1.Job";
constexpr std::uint64_t kPatienceUsec = 2'000'000;  // of the time that a stop has

struct Free {
    void operator()(void* memory) const { std::free(memory); }
};
using Text = std::unique_ptr<char, Free>;

using Bus = std::unique_ptr<sd_bus, Destroy<sd_bus_flush_close_unref>>;
using Message = std::unique_ptr<sd_bus_message, Destroy<sd_bus_message_unref>>;

Text own_unit() {
    char* unit = nullptr;
    check_negative(sd_pid_get_unit(0, &unit), "find the own unit");
    return Text(unit);
}

Text path_of(const char* unit) {
    char* path = nullptr;
    check_negative(sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path),
                   "name the own unit");
    return Text(path);
}

Bus connect() {
    sd_bus* bus = nullptr;
    check_negative(sd_bus_open_system(&bus), "connect to the system bus");
    Bus owned(bus);
    check_negative(sd_bus_set_method_call_timeout(bus, kPatienceUsec), "set a time-out");
    return owned;
}

Message property(sd_bus& bus, const char* path, const char* interface, const char* name,
                 const char* type) {
    sd_bus_message* reply = nullptr;
    check_negative(
        sd_bus_get_property(&bus, kSystemd, path, interface, name, nullptr, &reply, type),
        std::string("ask the service manager for ") + name);
    return Message(reply);
}

std::uint32_t stored_descriptors(sd_bus& bus, const char* unit) {
    const Message reply = property(bus, unit, kService, "NFileDescriptorStore", "u");
    std::uint32_t number = 0;
    check_negative(sd_bus_message_read(reply.get(), "u", &number), "read NFileDescriptorStore");
    return number;
}

// Of the unit's job; "" if it has none.
std::string job_type(sd_bus& bus, const char* unit) {
    const Message job = property(bus, unit, kUnit, "Job", "(uo)");
    std::uint32_t id = 0;
    const char* path = nullptr;
    check_negative(sd_bus_message_read(job.get(), "(uo)", &id, &path), "read the unit's job");
    if (id == 0)
        return "";
    const Message reply = property(bus, path, kJob, "JobType", "s");
    const char* type = nullptr;
    check_negative(sd_bus_message_read(reply.get(), "s", &type), "read the job's type");
    return type;
}

}  // namespace

bool is_restart_under_way(std::size_t kept) {
    if (std::getenv("NOTIFY_SOCKET") == nullptr)
        return false;
    try {
        const Bus bus = connect();
        const Text unit = path_of(own_unit().get());
        // try-restart and reload-or-restart become one of these when they are queued.
        if (job_type(*bus, unit.get()) != "restart")
            return false;
        if (const std::uint32_t stored = stored_descriptors(*bus, unit.get()); stored < kept) {
            log::warning("the service manager keeps " + std::to_string(stored) + " of " +
                         std::to_string(kept) +
                         " descriptors (FileDescriptorStoreMax=): this restart is a stop");
            return false;
        }
        return true;
    } catch (const std::system_error& error) {
        log::warning(std::string("is this a stop or a restart? It is taken for a stop: ") +
                     error.what());
        return false;
    }
}

}  // namespace sockaccel
