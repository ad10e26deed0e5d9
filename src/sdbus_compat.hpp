// SPDX-License-Identifier: GPL-2.0-or-later
// What differs between sdbus-c++ 1 and 2: the second has types of their own for names, and values
// where the first had pointers. All the rest of the code is the same for both.
#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <chrono>
#include <initializer_list>
#include <map>
#include <string>
#include <utility>

namespace sockaccel {

#if SOCKACCEL_SDBUS >= 2

using BusName = sdbus::ServiceName;
using InterfaceName = sdbus::InterfaceName;
using PropertyName = sdbus::PropertyName;
using MemberName = sdbus::MemberName;  // of a method or a signal
using ErrorName = sdbus::Error::Name;
using ReplyError = std::optional<sdbus::Error>;

inline sdbus::Message current_message(const sdbus::IObject& object) {
    return object.getCurrentlyProcessedMessage();
}

inline bool process_pending(sdbus::IConnection& connection) {
    return connection.processPendingEvent();
}

inline std::chrono::microseconds deadline(const sdbus::IConnection::PollData& poll) {
    return poll.timeout;
}

inline sdbus::Slot add_match(sdbus::IConnection& connection, const std::string& rule,
                             sdbus::message_handler handler) {
    return connection.addMatch(rule, std::move(handler), sdbus::return_slot);
}

template <typename Function>
void add_method(sdbus::IObject& object, const char* interface, const char* name,
                Function function) {
    object.addVTable(sdbus::registerMethod(name).implementedAs(std::move(function)))
        .forInterface(interface);
}

template <typename Getter>
void add_property(sdbus::IObject& object, const std::string& interface, const char* name,
                  Getter getter) {
    object.addVTable(sdbus::registerProperty(name).withGetter(std::move(getter)))
        .forInterface(interface);
}

template <typename... Values>
void add_signal(sdbus::IObject& object, const char* interface, const char* name) {
    object.addVTable(sdbus::registerSignal(name).withParameters<Values...>())
        .forInterface(interface);
}

inline void finish(sdbus::IObject&) {}

#else

using BusName = std::string;
using InterfaceName = std::string;
using PropertyName = std::string;
using MemberName = std::string;
using ErrorName = std::string;
using ReplyError = const sdbus::Error*;

inline const sdbus::Message& current_message(const sdbus::IObject& object) {
    return *object.getCurrentlyProcessedMessage();
}

inline bool process_pending(sdbus::IConnection& connection) {
    return connection.processPendingRequest();
}

inline std::chrono::microseconds deadline(const sdbus::IConnection::PollData& poll) {
    using std::chrono::microseconds;
    static constexpr auto kLast = static_cast<std::uint64_t>(microseconds::max().count());
    return poll.timeout_usec > kLast ? microseconds::max() : poll.getAbsoluteTimeout();
}

inline sdbus::Slot add_match(sdbus::IConnection& connection, const std::string& rule,
                             sdbus::message_handler handler) {
    return connection.addMatch(rule, std::move(handler));
}

template <typename Function>
void add_method(sdbus::IObject& object, const char* interface, const char* name,
                Function function) {
    object.registerMethod(name).onInterface(interface).implementedAs(std::move(function));
}

template <typename Getter>
void add_property(sdbus::IObject& object, const std::string& interface, const char* name,
                  Getter getter) {
    object.registerProperty(name).onInterface(interface).withGetter(std::move(getter));
}

template <typename... Values>
void add_signal(sdbus::IObject& object, const char* interface, const char* name) {
    object.registerSignal(name).onInterface(interface).template withParameters<Values...>();
}

inline void finish(sdbus::IObject& object) {
    object.finishRegistration();
}

#endif

using Dict = std::map<std::string, sdbus::Variant>;
using Properties = std::map<PropertyName, sdbus::Variant>;  // of one interface
using Interfaces = std::map<InterfaceName, Properties>;     // of one object

// {{"version", "1"}, {"rules", 3U}}: the second wants each value to be made a Variant by name.
struct Field {
    template <typename Value>
    Field(const char* name, const Value& value) : entry(name, sdbus::Variant(value)) {}

    Dict::value_type entry;
};

inline Dict dict_of(std::initializer_list<Field> fields) {
    Dict dict;
    for (const Field& field : fields)
        dict.insert(field.entry);
    return dict;
}

}  // namespace sockaccel
