// SPDX-License-Identifier: GPL-2.0-or-later
#include "command.hpp"

#include <CLI/CLI.hpp>

#include "bus_address.hpp"
#include "selection.hpp"

namespace sockaccel::ctl {

Client connect(const Common& common, IfNotRunning what) {
    return {BusAddress::parse(common.bus), what};
}

void be_filter(CLI::Option* option, const char* type) {
    option->type_name(type)->allow_extra_args(false);
}

void require_rules(Client& client, const std::vector<std::string>& names) {
    if (names.empty())
        return;
    const std::vector<RuleReport> rules = client.rules();
    std::vector<std::string_view> known;
    for (const RuleReport& rule : rules)
        known.emplace_back(rule.name);
    require_known("rule", names, known);
}

void show(const Common& common, const std::string& text) {
    show(text, !common.is_unpaged);
}

void throw_others_are_hidden() {
    throw Denied(
        "the connections of other users: permission denied: run it as root, or where you can be "
        "asked for an administrator's password (the polkit action org.sockaccel1.inspect)");
}

}  // namespace sockaccel::ctl
