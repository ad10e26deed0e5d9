// SPDX-License-Identifier: GPL-2.0-or-later
// From the text of a policy file to a Policy. The only file that knows TOML.
//
// A section of the schema is a table of keys, each with the function that reads its value. These do
// not stop at a mistake but note it with its place and leave the default, so that one look at the
// message mends the whole file.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <compare>
#include <cstddef>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include <fmt/format.h>

// toml++ 3.3 asserts where it should report: "[`" would end the process. Without the assertion its
// own error follows, but only in a header-only build: the shared library has the assertion compiled
// in.
#undef TOML_SHARED_LIB
#undef TOML_HEADER_ONLY
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ASSERT(condition) static_cast<void>(0)
#include <toml++/toml.h>

#include "fd.hpp"
#include "policy.hpp"
#include "quantity.hpp"

namespace sockaccel {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMaxFileBytes = 1 << 20;
constexpr std::size_t kMaxMistakes = 100;      // told one by one
constexpr std::size_t kMaxMessageBytes = 400;  // of one mistake
constexpr std::size_t kMaxQuotedBytes = 64;    // of a piece of the file
constexpr std::size_t kMaxDots = 1000;         // outside strings and comments

constexpr std::size_t kMaxRules = 64;
constexpr std::size_t kMaxNameBytes = 63;
constexpr std::int64_t kMinConnections = 1;
constexpr std::int64_t kMaxConnections = 1 << 20;
constexpr std::uint64_t kMinMemoryBytes = 1ULL << 20;
constexpr std::uint64_t kMaxMemoryBytes = 1ULL << 40;
constexpr std::uint64_t kMinQueueBytes = 64ULL << 10;
constexpr std::uint64_t kMaxQueueBytes = 64ULL << 20;
constexpr milliseconds kMaxProve = std::chrono::hours(30 * 24);

// The words that a rule may use, and those of them that are accepted today.
constexpr std::array kActions = {Action::accelerate, Action::observe, Action::bypass};
constexpr std::array kHazards = {Hazard::fionread, Hazard::splice, Hazard::waitall,
                                 Hazard::blocking, Hazard::stall};

constexpr bool is_supported(Action action) {
    return action != Action::observe;
}
constexpr bool is_supported(Hazard hazard) {
    return hazard != Hazard::blocking;
}

constexpr std::string_view hint_instead_of(Action) {
    return "use \"accelerate\", or \"bypass\" to leave connections alone";
}
constexpr std::string_view hint_instead_of(Hazard) {
    return "leave it out, connections of blocking readers then stay on TCP";
}

// ---- Mistakes and the words they are told in

struct Position {
    std::size_t line = 0, column = 0;  // from 1; columns are characters

    auto operator<=>(const Position&) const = default;
};

Position position_of(const toml::source_region& source) {
    return {source.begin.line, source.begin.column};
}

bool continues_character(char byte) {
    return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

// At most `max` bytes of `text`, never half a character.
std::string shortened(std::string_view text, std::size_t max) {
    if (text.size() <= max)
        return std::string(text);
    while (max > 0 && continues_character(text[max]))
        --max;
    return std::string(text.substr(0, max)) + "...";
}

// For one line of a terminal or the journal: the file may hold anything.
std::string printable(std::string_view text) {
    std::string result;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f)
            result += fmt::format("\\x{:02x}", byte);
        else
            result += c;
    }
    return result;
}

std::string located(const std::string& file, Position where, std::string_view message) {
    return fmt::format("{}:{}:{}: {}", file, where.line, where.column,
                       shortened(printable(message), kMaxMessageBytes));
}

class Mistakes {
  public:
    explicit Mistakes(std::string file) : file_(std::move(file)) {}

    void add(Position where, std::string message) { list_.emplace(where, std::move(message)); }
    void add(const toml::source_region& where, std::string message) {
        add(position_of(where), std::move(message));
    }

    [[nodiscard]] const std::string& file() const { return file_; }

    // In the order of the file.
    void throw_if_any() const {
        if (list_.empty())
            return;
        std::string text;
        std::size_t told = 0;
        for (const auto& [where, message] : list_) {
            if (told == kMaxMistakes)
                break;
            text += (told == 0 ? "" : "\n") + located(file_, where, message);
            ++told;
        }
        if (told < list_.size())
            text += fmt::format("\n{}: and {} more mistakes", file_, list_.size() - told);
        throw PolicyError(text);
    }

  private:
    std::string file_;
    std::multimap<Position, std::string> list_;  // those of one place in the order they were added
};

std::string quoted(std::string_view text) {
    return fmt::format("\"{}\"", shortened(text, kMaxQuotedBytes));
}

// As it stands in the file, for values that fit in a message; else empty.
std::string literal(const toml::node& node) {
    if (const auto* string = node.as_string())
        return quoted(string->get());
    if (const auto* integer = node.as_integer())
        return fmt::format("{}", integer->get());
    if (const auto* number = node.as_floating_point())
        return fmt::format("{}", number->get());
    if (const auto* boolean = node.as_boolean())
        return boolean->get() ? "true" : "false";
    return {};
}

std::string_view type_name(const toml::node& node) {
    switch (node.type()) {
        case toml::node_type::table:
            return "a table";
        case toml::node_type::array:
            return "an array";
        case toml::node_type::string:
            return "the string";
        case toml::node_type::integer:
            return "the integer";
        case toml::node_type::floating_point:
            return "the float";
        case toml::node_type::boolean:
            return "the boolean";
        case toml::node_type::date:
            return "a date";
        case toml::node_type::time:
            return "a time";
        case toml::node_type::date_time:
            return "a date and time";
        case toml::node_type::none:
            break;
    }
    return "nothing";
}

std::string described(const toml::node& node) {
    const std::string value = literal(node);
    return std::string(type_name(node)) + (value.empty() ? "" : " " + value);
}

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// How many letters are missing, too many, wrong or swapped with their neighbour, whatever their
// case.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<std::size_t>> distance(a.size() + 1,
                                                   std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i)
        for (std::size_t j = 0; j <= b.size(); ++j) {
            if (i == 0 || j == 0) {
                distance[i][j] = i + j;
                continue;
            }
            const bool is_same = lower(a[i - 1]) == lower(b[j - 1]);
            distance[i][j] = std::min({distance[i - 1][j] + 1, distance[i][j - 1] + 1,
                                       distance[i - 1][j - 1] + (is_same ? 0 : 1)});
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1]))
                distance[i][j] = std::min(distance[i][j], distance[i - 2][j - 2] + 1);
        }
    return distance[a.size()][b.size()];
}

// The one of `words` that `text` was probably meant to be.
std::optional<std::string_view> likely_meant(std::string_view text,
                                             const std::vector<std::string_view>& words) {
    std::optional<std::string_view> best;
    std::size_t best_distance = std::numeric_limits<std::size_t>::max();
    for (const std::string_view word : words) {
        if (text.size() > 2 * word.size())
            continue;
        const std::size_t distance = edit_distance(text, word);
        if (distance <= std::max<std::size_t>(1, word.size() / 3) && distance < best_distance) {
            best = word;
            best_distance = distance;
        }
    }
    return best;
}

// "`a`, `b` and `c`"
std::string enumerated(const std::vector<std::string_view>& words, char quote,
                       std::string_view conjunction) {
    std::string text;
    for (std::size_t i = 0; i < words.size(); ++i)
        text += fmt::format("{}{}{}{}",
                            i == 0                  ? ""
                            : i + 1 == words.size() ? fmt::format(" {} ", conjunction)
                                                    : ", ",
                            quote, words[i], quote);
    return text;
}

// ---- Reading single values

// A value of the file under its key.
struct Value {
    std::string_view key;
    const toml::node& node;
    Mistakes& mistakes;

    void refuse(std::string message) const { mistakes.add(node.source(), std::move(message)); }
    void refuse_type(std::string_view expected, const std::string& hint = "") const {
        refuse(fmt::format("`{}` must be {}, not {}{}", key, expected, described(node),
                           hint.empty() ? "" : ": " + hint));
    }
    [[nodiscard]] Value with(const toml::node& element) const { return {key, element, mistakes}; }
};

template <typename T, typename Format>
bool is_within(const Value& value, T number, T min, T max, Format format) {
    if (number < min)
        value.refuse(fmt::format("{} {} is below {}", value.key, literal(value.node), format(min)));
    else if (number > max)
        value.refuse(fmt::format("{} {} is above {}", value.key, literal(value.node), format(max)));
    return min <= number && number <= max;
}

template <typename Integer>
void read_integer(const Value& value, std::int64_t min, std::int64_t max, Integer& result) {
    const auto* integer = value.node.as_integer();
    if (integer == nullptr)
        return value.refuse_type("an integer");
    if (is_within(value, integer->get(), min, max, [](std::int64_t n) { return n; }))
        result = static_cast<Integer>(integer->get());
}

// What `parse` makes of the string; a mistake, which calls it a `noun`, if it throws.
template <typename Parse>
auto parsed(const Value& value, std::string_view noun, const std::string& text, Parse parse)
    -> std::optional<decltype(parse(text))> {
    try {
        return parse(text);
    } catch (const std::invalid_argument& error) {
        value.refuse(fmt::format("{} {}: {}", noun, quoted(text), error.what()));
        return std::nullopt;
    }
}

void read_bytes(const Value& value, std::uint64_t min, std::uint64_t max, std::uint64_t& result) {
    std::optional<std::uint64_t> bytes;
    if (const auto* integer = value.node.as_integer())
        bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, integer->get()));
    else if (const auto* string = value.node.as_string())
        bytes = parsed(value, value.key, string->get(), parse_bytes);
    else
        value.refuse_type("a size such as \"1MiB\", or a number of bytes");
    if (bytes && is_within(value, *bytes, min, max, format_bytes))
        result = *bytes;
}

void read_duration(const Value& value, milliseconds max, milliseconds& result) {
    if (const auto* integer = value.node.as_integer())
        return value.refuse_type("a duration such as \"5min\"",
                                 integer->get() < 0
                                     ? "it must not be negative"
                                     : fmt::format("did you mean \"{}s\"?", integer->get()));
    const auto* string = value.node.as_string();
    if (string == nullptr)
        return value.refuse_type("a duration such as \"5min\"");
    const auto duration = parsed(value, value.key, string->get(), parse_duration);
    if (duration && is_within(value, *duration, milliseconds::zero(), max, format_duration))
        result = *duration;
}

// The value that `text` is the word for, if it is one that is supported.
template <typename Word, std::size_t n>
std::optional<Word> read_word(const Value& value, const std::array<Word, n>& words) {
    const std::string& text = value.node.as_string()->get();
    std::vector<std::string_view> allowed;
    for (const Word word : words) {
        if (is_supported(word))
            allowed.push_back(to_string(word));
        if (text != to_string(word))
            continue;
        if (is_supported(word))
            return word;
        value.refuse(fmt::format("{} {} is not yet supported: {}", value.key, quoted(text),
                                 hint_instead_of(word)));
        return std::nullopt;
    }
    const std::optional<std::string_view> meant = likely_meant(text, allowed);
    value.refuse(fmt::format("{} {} is unknown: {}{}", value.key, quoted(text),
                             meant ? fmt::format("did you mean \"{}\"? Allowed: ", *meant) : "use ",
                             enumerated(allowed, '"', "or")));
    return std::nullopt;
}

// Calls `read` with each element that is a string, and with each integer if `takes_integers`.
template <typename Read>
void read_list(const Value& value, std::string_view noun, Read read, bool takes_integers = false) {
    const auto* array = value.node.as_array();
    if (array == nullptr) {
        const bool is_element =
            value.node.is_string() || (takes_integers && value.node.is_integer());
        return value.refuse_type(
            fmt::format("an array of {}", noun),
            is_element ? fmt::format("write {} = [{}]", value.key, literal(value.node)) : "");
    }
    for (const toml::node& element : *array) {
        if (element.is_string() || (takes_integers && element.is_integer()))
            read(value.with(element));
        else
            value.with(element).refuse_type(
                fmt::format("an array of {}{}",
                            takes_integers ? "integers or strings with " : "strings with ", noun));
    }
}

// ---- The schema

template <typename Target>
struct Key {
    std::string_view name;
    void (*read)(const Value& value, Target& target);
};

void read_connections(const Value& value, Limits& limits) {
    read_integer(value, kMinConnections, kMaxConnections, limits.connections);
}

void read_memory(const Value& value, Limits& limits) {
    read_bytes(value, kMinMemoryBytes, kMaxMemoryBytes, limits.memory_bytes);
}

constexpr std::array<Key<Limits>, 2> kLimitsKeys = {{
    {"connections", read_connections},
    {"memory", read_memory},
}};

void read_name(const Value& value, Rule& rule) {
    const auto* string = value.node.as_string();
    if (string == nullptr)
        return value.refuse_type("a string");
    const std::string& name = string->get();
    if (name.empty())
        return value.refuse("name \"\" is empty");
    if (name.size() > kMaxNameBytes)
        return value.refuse(
            fmt::format("name {} is longer than {} characters", quoted(name), kMaxNameBytes));
    const auto is_allowed = [](char c) {
        return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '.' || c == '-';
    };
    if (!std::all_of(name.begin(), name.end(), is_allowed))
        return value.refuse(fmt::format(
            "name {} has a character that is not allowed: use letters, digits, '_', '.' and '-'",
            quoted(name)));
    rule.name = name;
}

// A glob for the cgroup in which the service manager usually puts the unit.
std::string cgroup_of_unit(std::string_view unit) {
    const std::string name = unit.find('.') == std::string_view::npos
                                 ? fmt::format("{}.service", unit)
                                 : std::string(unit);
    if (name.ends_with(".slice"))
        return name;
    // Instances of a template have a slice of their own.
    const bool is_instance = name.find('@') != std::string::npos;
    return fmt::format("system.slice/{}{}", is_instance ? "*/" : "", name);
}

void read_units(const Value& value, Rule&) {
    bool is_told = false;
    read_list(value, "units", [&is_told](const Value& unit) {
        if (std::exchange(is_told, true))
            return;
        const std::string& name = unit.node.as_string()->get();
        unit.refuse(fmt::format(
            "unit {}: `units` is not yet supported: name the unit's cgroup in `cgroups`, e.g. {}",
            quoted(name), quoted(cgroup_of_unit(name.empty() ? "redis-server" : name))));
    });
}

void read_cgroups(const Value& value, Rule& rule) {
    read_list(value, "cgroups", [&rule](const Value& element) {
        if (auto glob =
                parsed(element, "cgroup", element.node.as_string()->get(), CgroupGlob::parse))
            rule.cgroups.push_back(std::move(*glob));
    });
}

void read_port(const Value& element, PortSet& ports) {
    const auto* string = element.node.as_string();
    const std::string text = string != nullptr ? string->get() : literal(element.node);
    if (string == nullptr && text.starts_with('-'))
        return element.refuse(fmt::format("port {} is below 1", text));
    try {
        ports.add(PortRange::parse(text));
    } catch (const std::invalid_argument& error) {
        element.refuse(error.what());
    }
}

void read_ports(const Value& value, Rule& rule) {
    constexpr bool kTakesIntegers = true;
    read_list(
        value, "ports", [&rule](const Value& element) { read_port(element, rule.ports); },
        kTakesIntegers);
}

void read_networks(const Value& value, Rule& rule) {
    rule.networks.clear();
    if (value.node.is_array() && value.node.as_array()->empty())
        return value.refuse("`networks` is empty: leave it out for the loopback networks");
    read_list(value, "networks", [&rule](const Value& element) {
        if (const auto network =
                parsed(element, "network", element.node.as_string()->get(), Network::parse))
            rule.networks.push_back(*network);
    });
}

void read_action(const Value& value, Rule& rule) {
    if (!value.node.is_string())
        return value.refuse_type("a string");
    if (const std::optional<Action> action = read_word(value, kActions))
        rule.action = *action;
}

void read_priority(const Value& value, Rule& rule) {
    read_integer(value, std::numeric_limits<std::int32_t>::min(),
                 std::numeric_limits<std::int32_t>::max(), rule.priority);
}

void read_queue(const Value& value, Rule& rule) {
    read_bytes(value, kMinQueueBytes, kMaxQueueBytes, rule.queue_bytes);
}

void read_prove(const Value& value, Rule& rule) {
    read_duration(value, kMaxProve, rule.prove);
}

void read_tolerate(const Value& value, Rule& rule) {
    read_list(value, "hazards", [&rule](const Value& element) {
        if (const std::optional<Hazard> hazard = read_word(element, kHazards))
            rule.tolerate.insert(*hazard);
    });
}

constexpr std::array<Key<Rule>, 10> kRuleKeys = {{
    {"name", read_name},
    {"units", read_units},
    {"cgroups", read_cgroups},
    {"ports", read_ports},
    {"networks", read_networks},
    {"action", read_action},
    {"priority", read_priority},
    {"queue", read_queue},
    {"prove", read_prove},
    {"tolerate", read_tolerate},
}};

// ---- Reading sections

template <typename Target>
std::vector<std::string_view> names_of(std::span<const Key<Target>> keys) {
    std::vector<std::string_view> names;
    for (const Key<Target>& key : keys)
        names.push_back(key.name);
    return names;
}

template <typename Target>
void read_section(const toml::table& table, std::string_view title,
                  std::span<const Key<Target>> keys, Target& target, Mistakes& mistakes) {
    for (auto&& [key, node] : table) {
        const std::string_view name = key.str();
        const auto known = std::find_if(
            keys.begin(), keys.end(), [wanted = name](const auto& k) { return k.name == wanted; });
        if (known != keys.end()) {
            known->read({known->name, node, mistakes}, target);
            continue;
        }
        const std::vector<std::string_view> names = names_of(keys);
        const std::optional<std::string_view> meant = likely_meant(name, names);
        mistakes.add(key.source(),
                     fmt::format("unknown key `{}` {}: {}", shortened(name, kMaxQuotedBytes), title,
                                 meant ? fmt::format("did you mean `{}`?", *meant)
                                       : "known are " + enumerated(names, '`', "and")));
    }
}

bool is_absent_or_empty(const toml::table& table, std::string_view key) {
    const toml::node* node = table.get(key);
    return node == nullptr || (node->is_array() && node->as_array()->empty());
}

Rule read_rule(const toml::table& table, Mistakes& mistakes) {
    Rule rule;
    rule.networks = {Network::parse("127.0.0.0/8"), Network::parse("::1/128")};
    read_section<Rule>(table, "in [[rule]]", kRuleKeys, rule, mistakes);
    if (!table.contains("name"))
        mistakes.add(table.source(), "a rule has no name: add e.g. name = \"redis\"");
    if (is_absent_or_empty(table, "units") && is_absent_or_empty(table, "cgroups"))
        mistakes.add(table.source(),
                     "a rule selects no cgroup: add e.g. cgroups = "
                     "[\"system.slice/redis-server.service\"]");
    return rule;
}

void read_limits(const Value& value, Policy& policy) {
    if (const toml::table* table = value.node.as_table())
        return read_section<Limits>(*table, "in [limits]", kLimitsKeys, policy.limits,
                                    value.mistakes);
    value.refuse_type("a table", value.node.is_array() ? "write [limits], not [[limits]]" : "");
}

void read_rules(const Value& value, Policy& policy) {
    const toml::array* array = value.node.as_array();
    if (array == nullptr)
        return value.refuse_type("an array of tables",
                                 value.node.is_table() ? "write [[rule]], not [rule]" : "");
    if (array->size() > kMaxRules)
        value.with(*array->get(kMaxRules))
            .refuse(fmt::format("there are {} rules: at most {} are possible", array->size(),
                                kMaxRules));
    std::map<std::string, Position> places;  // by name
    for (const toml::node& element : *array) {
        const toml::table* table = element.as_table();
        if (table == nullptr) {
            value.with(element).refuse_type("an array of tables");
            continue;
        }
        Rule rule = read_rule(*table, value.mistakes);
        if (!rule.name.empty()) {
            const toml::node& name = *table->get("name");
            const auto [first, is_new] = places.emplace(rule.name, position_of(name.source()));
            if (!is_new)
                value.with(name).refuse(
                    fmt::format("name {} is taken: the first rule of this name is at {}:{}:{}",
                                quoted(rule.name), value.mistakes.file(), first->second.line,
                                first->second.column));
        }
        policy.rules.push_back(std::move(rule));
    }
}

constexpr std::array<Key<Policy>, 2> kPolicyKeys = {{
    {"limits", read_limits},
    {"rule", read_rules},
}};

// ---- The whole file

// toml++ bounds the nesting of values but not that of dotted keys, and destroys tables recursively:
// a key of some ten thousand parts would overflow the stack. So dots outside strings and comments
// are counted before it sees the text; a policy has hardly any.
class DotCounter {
  public:
    explicit DotCounter(std::string_view text) : text_(text) {}

    // The offset of the dot that is one too many.
    [[nodiscard]] std::optional<std::size_t> find_excess(std::size_t max) {
        std::size_t dots = 0;
        while (at_ < text_.size()) {
            const char c = text_[at_];
            if (c == '#')
                at_ = std::min(text_.find('\n', at_), text_.size());
            else if (c == '"' || c == '\'')
                skip_string(c);
            else if (c == '.' && ++dots > max)
                return at_;
            else
                ++at_;
        }
        return std::nullopt;
    }

  private:
    void skip_string(char quote) {
        const std::string fence(3, quote);
        const bool is_multi_line = text_.substr(at_).starts_with(fence);
        at_ += is_multi_line ? 3 : 1;
        while (at_ < text_.size()) {
            if (text_[at_] == '\\' && quote == '"') {
                at_ += 2;
            } else if (is_multi_line && text_.substr(at_).starts_with(fence)) {
                at_ += 3;
                // The closing fence is the last three of up to five quotes.
                for (int extra = 0; extra < 2 && text_.substr(at_).starts_with(quote); ++extra)
                    ++at_;
                return;
            } else if (!is_multi_line && (text_[at_] == quote || text_[at_] == '\n')) {
                ++at_;
                return;
            } else {
                ++at_;
            }
        }
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

Position position_at(std::string_view text, std::size_t offset) {
    Position position{1, 1};
    for (const char c : text.substr(0, offset)) {
        if (c == '\n')
            position = {position.line + 1, 1};
        else if (!continues_character(c))
            ++position.column;
    }
    return position;
}

toml::table parse_toml(std::string_view text, const std::string& file) {
    if (const auto excess = DotCounter(text).find_excess(kMaxDots))
        throw PolicyError(located(
            file, position_at(text, *excess),
            fmt::format("more than {} dots in keys and numbers: a policy needs none", kMaxDots)));
    try {
        return toml::parse(text, std::string_view(file));
    } catch (const toml::parse_error& error) {
        throw PolicyError(located(file, position_of(error.source()), error.description()));
    }
}

[[noreturn]] void refuse_file(const std::string& file, std::string_view cause,
                              std::string_view hint) {
    throw PolicyError(fmt::format("{}: {}{}{}", file, cause, hint.empty() ? "" : ": ", hint));
}

std::string_view hint_for(int error) {
    switch (error) {
        case ENOENT:
            return "create it, or name another file";
        case EACCES:
        case EPERM:
            return "it must be readable for the user that runs sockaccel";
        default:
            return "";
    }
}

[[noreturn]] void refuse_unreadable(const std::string& file, std::string_view act) {
    const int error = errno;
    refuse_file(file, fmt::format("{}: {}", act, std::generic_category().message(error)),
                hint_for(error));
}

Fd open_trusted(const std::string& file) {
    // O_NONBLOCK: opening a FIFO would wait for a writer.
    Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    struct stat status {};
    if (!fd)
        refuse_unreadable(file, "cannot open");
    if (::fstat(fd.get(), &status) != 0)
        refuse_unreadable(file, "cannot look at");
    if (!S_ISREG(status.st_mode))
        refuse_file(file, "not a regular file", "a policy is a file of TOML text");
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        refuse_file(file,
                    fmt::format("writable by group or others (mode {:04o})",
                                status.st_mode & static_cast<mode_t>(07777)),
                    fmt::format("run chmod go-w {}", file));
    return fd;
}

std::string read_text(const std::string& file) {
    const Fd fd = open_trusted(file);
    std::string text(kMaxFileBytes + 1, '\0');
    std::size_t length = 0;
    while (length < text.size()) {
        const ssize_t got = ::read(fd.get(), text.data() + length, text.size() - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            refuse_unreadable(file, "cannot read");
        if (got == 0)
            break;
        length += static_cast<std::size_t>(got);
    }
    if (length > kMaxFileBytes)
        refuse_file(file, fmt::format("larger than {}", format_bytes(kMaxFileBytes)),
                    "name cgroups by globs, ports by ranges, networks by shorter prefixes");
    text.resize(length);
    return text;
}

}  // namespace

Policy parse_policy(std::string_view text, const std::string& file) {
    const toml::table root = parse_toml(text, file);
    Policy policy;
    Mistakes mistakes(file);
    read_section<Policy>(root, "at the top level", kPolicyKeys, policy, mistakes);
    mistakes.throw_if_any();
    std::sort(policy.rules.begin(), policy.rules.end(), [](const Rule& a, const Rule& b) {
        return a.priority != b.priority ? a.priority > b.priority : a.name < b.name;
    });
    return policy;
}

Policy read_policy(const std::string& file) {
    return parse_policy(read_text(file), file);
}

}  // namespace sockaccel
