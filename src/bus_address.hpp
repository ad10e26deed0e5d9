// SPDX-License-Identifier: GPL-2.0-or-later
// Which D-Bus bus is meant by `--bus`: the same for the daemon and for sockaccelctl.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace sockaccel {

struct BusAddress {
    enum class Kind { system, session, address, none };

    Kind kind = Kind::system;
    std::string address;  // of kind address: "unix:path=/run/x/bus"

    bool operator==(const BusAddress&) const = default;

    // "system", "session", "none" (no bus at all), or a D-Bus address. Throws
    // std::invalid_argument.
    [[nodiscard]] static BusAddress parse(std::string_view text) {
        if (text == "system")
            return {Kind::system, {}};
        if (text == "session")
            return {Kind::session, {}};
        if (text == "none")
            return {Kind::none, {}};
        if (text.find(':') == std::string_view::npos)
            throw std::invalid_argument("'" + std::string(text) +
                                        "' is no bus: use system, session, none, or a D-Bus "
                                        "address such as unix:path=/run/user/1000/bus");
        return {Kind::address, std::string(text)};
    }

    [[nodiscard]] std::string text() const {
        switch (kind) {
            case Kind::system:
                return "system";
            case Kind::session:
                return "session";
            case Kind::none:
                return "none";
            case Kind::address:
                break;
        }
        return address;
    }
};

}  // namespace sockaccel
