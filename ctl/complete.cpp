// SPDX-License-Identifier: GPL-2.0-or-later
#include "complete.hpp"

#include <CLI/CLI.hpp>

#include <map>
#include <set>

#include "advice.hpp"
#include "bus_address.hpp"
#include "client.hpp"
#include "connection.hpp"
#include "log.hpp"
#include "render.hpp"
#include "selection.hpp"

namespace sockaccel::ctl {

namespace {

using Candidates = std::map<std::string, std::string>;  // with descriptions

bool begins_with(const std::string& text, const std::string& prefix) {
    return text.compare(0, prefix.size(), prefix) == 0;
}

bool takes_value(const CLI::Option& option) {
    return option.get_items_expected_max() > 0;
}

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
    return app.get_subcommands([](const CLI::App*) { return true; });
}

const CLI::App* command_of(const CLI::App& app, const std::string& name) {
    for (const CLI::App* command : commands_of(app))
        if (command->get_name() == name)
            return command;
    return nullptr;
}

// What has been written before the last word.
class Written {
  public:
    Written(const CLI::App& app, const std::vector<std::string>& words) : app_(app) {
        for (std::size_t at = 0; at + 1 < words.size(); ++at)
            take(words[at]);
    }

    [[nodiscard]] const CLI::App* command() const { return command_; }
    [[nodiscard]] const CLI::Option* pending() const { return pending_; }
    [[nodiscard]] const std::string& bus() const { return bus_; }

    // None: there is no such option.
    [[nodiscard]] const CLI::Option* option(const std::string& name) const {
        const CLI::Option* found = command_ == nullptr ? nullptr : of(*command_, name);
        return found == nullptr ? of(app_, name) : found;
    }

    // The one whose turn it is; the last one may take many.
    [[nodiscard]] const CLI::Option* operand() const {
        std::size_t left = operands_;
        for (const CLI::Option* option : command_->get_options()) {
            if (!option->get_positional())
                continue;
            const auto most = static_cast<std::size_t>(option->get_items_expected_max());
            if (left < most)
                return option;
            left -= most;
        }
        return nullptr;
    }

  private:
    static const CLI::Option* of(const CLI::App& app, const std::string& name) {
        return app.get_option_no_throw(name);
    }

    void take(const std::string& word) {
        if (pending_ != nullptr) {
            if (pending_->check_lname("bus"))
                bus_ = word;
            pending_ = nullptr;
        } else if (begins_with(word, "-")) {
            const CLI::Option* found = option(word);
            pending_ = found != nullptr && takes_value(*found) ? found : nullptr;
        } else if (command_ == nullptr) {
            command_ = command_of(app_, word);
        } else {
            ++operands_;
        }
    }

    const CLI::App& app_;
    const CLI::App* command_ = nullptr;
    const CLI::Option* pending_ = nullptr;
    std::size_t operands_ = 0;
    std::string bus_ = "system";
};

Candidates commands(const CLI::App& app) {
    Candidates result;
    for (const CLI::App* command : commands_of(app))
        result.emplace(command->get_name(), command->get_description());
    return result;
}

void add_options(const CLI::App& app, Candidates& candidates) {
    for (const CLI::Option* option : app.get_options())
        for (const std::string& name : option->get_lnames())
            candidates.emplace("--" + name, option->get_description());
}

Candidates rules(Client& client) {
    Candidates result;
    for (const RuleReport& rule : client.rules())
        result.emplace(rule.name, rule.state);
    return result;
}

Candidates units(Client& client) {
    Candidates result;
    const auto add = [&result](const std::string& cgroup) {
        if (const std::string unit = log::unit_of(cgroup); !unit.empty())
            result.emplace(unit, "");
    };
    for (const RuleReport& rule : client.rules())
        for (const std::string& cgroup : rule.selected_cgroups)
            add(cgroup);
    for (const ConnectionReport& connection : client.connections(false).connections) {
        add(connection.client.cgroup);
        add(connection.server.cgroup);
    }
    return result;
}

Candidates ports(Client& client) {
    Candidates result;
    for (const ConnectionReport& connection : client.connections(false).connections)
        result.emplace(std::to_string(connection.client.peer_port), connection.rule);
    return result;
}

Candidates ends(Client& client) {
    Candidates result = ports(client);
    for (const ConnectionReport& connection : client.connections(false).connections) {
        const EndReport& end = connection.client;
        result.emplace(endpoint(end.address, end.port), connection.rule);
        result.emplace(endpoint(end.peer_address, end.peer_port), connection.rule);
    }
    return result;
}

Candidates words_of(const std::vector<std::string_view>& words) {
    Candidates result;
    for (const std::string_view word : words)
        result.emplace(word, "");
    return result;
}

Candidates reasons() {
    Candidates result;
    for (int index = 0; index < SA_REASON_COUNT; ++index)
        result.emplace(name_of(static_cast<Reason>(index)), text_of(static_cast<Reason>(index)));
    return result;
}

Candidates live(const std::string& kind, const std::string& bus) {
    using Values = Candidates (*)(Client&);
    static const std::map<std::string, Values> kLive = {
        {"RULE", rules}, {"UNIT", units}, {"PORT", ports}, {"END", ends}};
    const auto found = kLive.find(kind);
    if (found == kLive.end())
        return {};
    try {
        Client client(BusAddress::parse(bus), IfNotRunning::fail);
        return found->second(client);
    } catch (const std::exception&) {
        return {};  // nobody runs who knows
    }
}

Candidates values(const std::string& kind, const std::string& bus) {
    if (kind == "FILE")
        return {{":files", ""}};
    if (kind == "DIRECTORY")
        return {{":directories", ""}};
    if (kind == "BUS")
        return words_of({"system", "session"});
    if (kind == "STATE")
        return words_of(kStates);
    if (kind == "EVENT")
        return words_of(kEvents);
    if (kind == "KEY")
        return words_of(kSortKeys);
    if (kind == "REASON")
        return reasons();
    return live(kind, bus);
}

std::string text_of(const Candidates& candidates, const std::string& prefix,
                    const std::string& before) {
    std::string result;
    for (const auto& [word, description] : candidates)
        if (begins_with(word, ":") || begins_with(word, prefix))
            result += (begins_with(word, ":") ? "" : before) + one_line(word) +
                      (description.empty() ? "" : "\t" + one_line(description)) + "\n";
    return result;
}

}  // namespace

std::string completions(const CLI::App& app, const std::vector<std::string>& words) {
    const Written written(app, words);
    const std::string last = words.empty() ? "" : words.back();
    if (const CLI::Option* option = written.pending())
        return text_of(values(option->get_type_name(), written.bus()), last, "");
    if (const std::size_t equals = last.find('=');
        begins_with(last, "--") && equals != std::string::npos) {
        const CLI::Option* option = written.option(last.substr(0, equals));
        return option == nullptr ? ""
                                 : text_of(values(option->get_type_name(), written.bus()),
                                           last.substr(equals + 1), last.substr(0, equals + 1));
    }
    Candidates candidates;
    if (begins_with(last, "-")) {
        add_options(app, candidates);
        if (written.command() != nullptr)
            add_options(*written.command(), candidates);
    } else if (written.command() == nullptr) {
        candidates = commands(app);
    } else if (const CLI::Option* operand = written.operand()) {
        candidates = values(operand->get_name(true), written.bus());
    }
    return text_of(candidates, last, "");
}

}  // namespace sockaccel::ctl
