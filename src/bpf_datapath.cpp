// SPDX-License-Identifier: GPL-2.0-or-later
#include "bpf_datapath.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <set>
#include <stdexcept>
#include <string_view>

#include "destroy.hpp"
#include "event_loop.hpp"
#include "fd.hpp"
#include "kernel_support.hpp"
#include "legacy_file.hpp"
#include "log.hpp"
#include "predecessor.hpp"
#include "sockaccel.h"
#include "sockaccel.skel.h"
#include "sockaccel_copying.skel.h"
#include "witness.hpp"

namespace sockaccel {
namespace {

// Also connections that are not enrolled have a place there, and least recently used ones give way.
constexpr std::uint32_t kLeastHalves = 16384;

// A program of others on each of many cgroups is named this often.
constexpr std::size_t kMostForeignBelow = 64;

using Skeleton = std::unique_ptr<sockaccel_bpf, Destroy<sockaccel_bpf__destroy>>;
using Link = std::unique_ptr<bpf_link, Destroy<bpf_link__destroy>>;
using Ring = std::unique_ptr<ring_buffer, Destroy<ring_buffer__free>>;

// What libbpf last had to say; part of the error if loading fails.
std::string libbpf_messages;

int keep_message(libbpf_print_level level, const char* format, va_list arguments) {
    if (level != LIBBPF_WARN)
        return 0;
    std::array<char, 4096> line{};
    const int length = std::vsnprintf(line.data(), line.size(), format, arguments);
    constexpr std::size_t kMostKept = 16384;
    libbpf_messages += line.data();
    if (libbpf_messages.size() > kMostKept)
        libbpf_messages.erase(0, libbpf_messages.size() - kMostKept);
    return length;
}

// --- the object and what it takes over
// ------------------------------------------------------------------------------

Skeleton open_object() {
    libbpf_set_print(keep_message);
    if (const std::vector<std::string> missing = missing_kernel_support(); !missing.empty()) {
        std::string text = "kernel " + kernel_release() + " lacks what sockaccel needs:";
        for (const std::string& item : missing)
            text += "\n  " + item;
        throw Unsupported(text);
    }
    libbpf_messages.clear();
    Skeleton skeleton(static_cast<sockaccel_bpf*>(std::calloc(1, sizeof(sockaccel_bpf))));
    if (!skeleton || sockaccel_bpf__create_skeleton(skeleton.get()) != 0)
        throw std::bad_alloc();
    if (!kernel_has_function("bpf_rdonly_cast"))
        skeleton->skeleton->data = sockaccel_copying_bpf__elf_bytes(&skeleton->skeleton->data_sz);
    if (bpf_object__open_skeleton(skeleton->skeleton, nullptr) != 0)
        throw Unsupported("cannot open the embedded BPF object: " + libbpf_messages);
    return skeleton;
}

void set_sizes(const sockaccel_bpf& skeleton, std::uint32_t connections) {
    bpf_map__set_max_entries(skeleton.maps.pairs, connections);
    bpf_map__set_max_entries(skeleton.maps.free_slots, connections);
    bpf_map__set_max_entries(skeleton.maps.sockets, 2 * connections);
    bpf_map__set_max_entries(skeleton.maps.halves, std::max(2 * connections, kLeastHalves));
}

void load(sockaccel_bpf& skeleton) {
    if (const int error = sockaccel_bpf__load(&skeleton); error != 0)
        throw Unsupported("kernel " + kernel_release() + " refuses the BPF programs (" +
                          std::strerror(-error) + "):\n" + libbpf_messages);
}

constexpr const char* kLeave = "leave";
constexpr const char* kLegacy = "legacy";
constexpr std::string_view kLinkPrefix = "link.";

std::string link_name(std::uint64_t cgroup) {
    return std::string(kLinkPrefix) + std::to_string(cgroup);
}

// Under which name the store has the map; "": each daemon makes its own.
std::string stored_name(const sockaccel_bpf& skeleton, const bpf_map* map) {
    if (map == skeleton.maps.bss)
        return "map.control";
    if (bpf_map__is_internal(map) || map == skeleton.maps.once || map == skeleton.maps.own_sockets)
        return "";
    return std::string("map.") + bpf_map__name(map);
}

template <typename Act>
void for_each_stored_map(const sockaccel_bpf& skeleton, Act act) {
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, skeleton.obj) {
        if (const std::string name = stored_name(skeleton, map); !name.empty())
            act(map, name);
    }
}

bpf_map_info info_of(int map, const std::string& name) {
    bpf_map_info info{};
    std::uint32_t size = sizeof info;
    check(bpf_obj_get_info_by_fd(map, &info, &size), "look at " + name);
    return info;
}

int stored_fd(const FdStore& store, const std::string& name) {
    const int fd = store.get(name);
    if (fd < 0)
        throw std::runtime_error(name + " is missing");
    return fd;
}

void expect_alike(const bpf_map* map, int stored, const std::string& name) {
    const bpf_map_info info = info_of(stored, name);
    if (info.type != bpf_map__type(map) || info.key_size != bpf_map__key_size(map) ||
        info.value_size != bpf_map__value_size(map) ||
        info.max_entries != bpf_map__max_entries(map) || info.map_flags != bpf_map__map_flags(map))
        throw std::runtime_error(name + " is of another kind or size");
}

// Has each map load() take the one in the store. Throws, and changes nothing that matters to a
// start without them, if they are not all there, and just as they have to be.
Inheritance take_over(const sockaccel_bpf& skeleton, const FdStore& store) {
    if (store.is_mixed())
        throw std::runtime_error("it is of another version");
    set_sizes(skeleton, info_of(stored_fd(store, "map.pairs"), "map.pairs").max_entries);
    for_each_stored_map(skeleton, [&](const bpf_map* map, const std::string& name) {
        expect_alike(map, stored_fd(store, name), name);
    });

    const __u32 only = 0;
    sa_control control{};
    check(bpf_map_lookup_elem(store.get("map.control"), &only, &control), "read map.control");
    static_cast<void>(stored_fd(store, kLeave));
    const LegacyFile legacy(stored_fd(store, kLegacy));
    Inheritance inheritance{legacy.read(control.generation), control.drain_rules,
                            control.paused_rules};
    for_each_stored_map(skeleton, [&](bpf_map* map, const std::string& name) {
        check_negative(bpf_map__reuse_fd(map, store.get(name)), "take over " + name);
    });
    return inheritance;
}

std::optional<Inheritance> inherit(const sockaccel_bpf& skeleton, const FdStore& store) {
    if (store.size() == 0)
        return {};
    try {
        return take_over(skeleton, store);
    } catch (const std::runtime_error& error) {
        log::warning(std::string("what the daemon before left is not carried on, but taken back to "
                                 "plain TCP: ") +
                     error.what());
        return {};
    }
}

template <typename Key, typename Act>
void for_each_key(const bpf_map* map, std::size_t most, Act act) {
    Key key{};
    int error = bpf_map__get_next_key(map, nullptr, &key, sizeof key);
    for (std::size_t seen = 0; error == 0 && seen < most; seen++) {  // it may change meanwhile
        act(key);
        error = bpf_map__get_next_key(map, &key, &key, sizeof key);
    }
}

Fd duplicate(int fd, const std::string& name) {
    return Fd(check(::fcntl(fd, F_DUPFD_CLOEXEC, 0), "duplicate " + name));
}

template <typename T>
Link owned(T* link, const std::string& act) {
    if (link == nullptr)
        throw std::system_error(errno, std::generic_category(), act);
    return Link(link);
}

// What the inventory cannot name: gone in between, or of another BPF token's world.
std::string title(const char* type, std::uint32_t id,
                  const std::map<std::uint32_t, sa_program>& programs) {
    std::string text = std::string(type) + " program " + std::to_string(id);
    const auto found = programs.find(id);
    if (found == programs.end() || found->second.name[0] == '\0')
        return text;
    const char* name = found->second.name;
    return text + " (" + std::string(name, ::strnlen(name, sizeof found->second.name)) + ")";
}

// Ids of the sock_ops programs attached to this very cgroup, or with BPF_F_QUERY_EFFECTIVE of all
// that run for it. None if it is gone.
std::vector<std::uint32_t> sock_ops_on(const std::filesystem::path& cgroup, std::uint32_t flags) {
    const Fd directory(::open(cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    constexpr std::uint32_t kMost = 256;  // the kernel allows 64 a cgroup
    std::vector<std::uint32_t> ids(kMost);
    std::uint32_t count = kMost;
    if (!directory || bpf_prog_query(directory.get(), BPF_CGROUP_SOCK_OPS, flags, nullptr,
                                     ids.data(), &count) != 0)
        return {};
    ids.resize(count);
    return ids;
}

Link iterate(bpf_program* program, const bpf_map* map) {
    bpf_iter_link_info info{};
    info.map.map_fd = static_cast<__u32>(bpf_map__fd(map));
    bpf_iter_attach_opts options{};
    options.sz = sizeof options;
    options.link_info = &info;
    options.link_info_len = sizeof info;
    return owned(bpf_program__attach_iter(program, &options),
                 std::string("attach the iterator ") + bpf_program__name(program) + " to the map " +
                     bpf_map__name(map));
}

// Runs an iterator once over everything; returns what it wrote.
std::string run(const Link& iterator, const std::string& act) {
    const Fd fd(check(bpf_iter_create(bpf_link__fd(iterator.get())), act));
    std::string written;
    std::array<char, 65536> buffer{};
    for (;;) {
        const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
        if (count == 0)
            return written;
        if (count > 0)
            written.append(buffer.data(), static_cast<std::size_t>(count));
        else if (errno != EAGAIN && errno != EINTR)
            throw std::system_error(errno, std::generic_category(), act);
    }
}

sa_network_key network_key(const Network& network, std::uint32_t half) {
    sa_network_key key{};
    key.prefix_length = 8 + network.mapped_prefix();
    key.half = static_cast<__u8>(half);
    std::ranges::copy(network.address().bytes, std::begin(key.address));
    return key;
}

std::uint32_t tolerate_bits(const Rule& rule) {
    std::uint32_t bits = 0;
    for (const Hazard hazard : rule.tolerate) {
        switch (hazard) {
            case Hazard::fionread:
                bits |= SA_TOLERATE_FIONREAD;
                break;
            case Hazard::splice:
                bits |= SA_TOLERATE_SPLICE;
                break;
            case Hazard::waitall:
                bits |= SA_TOLERATE_WAITALL;
                break;
            case Hazard::blocking:
                bits |= SA_TOLERATE_BLOCKING;
                break;
            case Hazard::stall:
                bits |= SA_TOLERATE_STALL;
                break;
        }
    }
    return bits;
}

constexpr std::uint32_t kWatchable =
    SA_TOLERATE_FIONREAD | SA_TOLERATE_SPLICE | SA_TOLERATE_WAITALL;

std::uint32_t action_code(Action action) {
    switch (action) {
        case Action::accelerate:
            return SA_ACCELERATE;
        case Action::observe:
            return SA_OBSERVE;
        case Action::bypass:
            break;
    }
    return SA_BYPASS;
}

Address address_of(const __u8 (&bytes)[16]) {
    Address address;
    std::ranges::copy(bytes, address.bytes.begin());
    return address;
}

Reason reason_of(std::uint32_t code) {
    return code < SA_REASON_COUNT ? static_cast<Reason>(code) : SA_REASON_NONE;
}

std::optional<RuleId> rule_of(std::uint32_t id) {
    return id < SA_MAX_RULES ? std::optional(static_cast<RuleId>(id)) : std::nullopt;
}

ConnectionEnd end_of(const sa_report& report) {
    const sa_end& from = report.end;
    ConnectionEnd end;
    end.cookie = from.claim.cookie;
    end.cgroup = from.claim.cgroup;
    end.netns = from.netns;
    end.uid = from.claim.uid;
    end.local = address_of(from.claim.tuple.local);
    end.remote = address_of(from.claim.tuple.remote);
    end.local_port = from.claim.tuple.local_port;
    end.remote_port = from.claim.tuple.remote_port;
    end.queued_bytes = report.queued_bytes;
    end.sent.redirected_messages = from.redirected_messages;
    end.sent.redirected_bytes = from.redirected_bytes;
    end.sent.tcp_messages = from.tcp_messages;
    end.sent.tcp_bytes = from.tcp_bytes;
    std::ranges::copy(from.reasons, end.sent.reasons.begin());
    return end;
}

Standing standing_of(const sa_tally& client) {
    Standing standing;
    standing.rule = rule_of(client.rule);
    standing.reason = reason_of(client.reason);
    switch (client.pair_state) {
        case SA_FREE:
            if (SA_IS_UNPAIRED(client.reason))
                standing.state = ConnectionState::unpaired;
            break;
        case SA_JOINING:
        case SA_OPENING:
            standing.state = ConnectionState::opening;
            standing.reason = SA_REASON_OPENING;
            break;
        case SA_LIVE:
            standing.state = ConnectionState::enrolled;
            standing.reason = SA_REASON_NONE;
            break;
        case SA_LEAVING:
        case SA_DRAINING:
            standing.state = ConnectionState::draining;
            standing.reason = reason_of(client.pair_reason);
            break;
        case SA_ABANDONED:
            standing.reason = SA_REASON_CLOSED;
            break;
        default:
            break;
    }
    return standing;
}

Connection connection_of(const sa_report& client, const sa_report& server) {
    Connection connection;
    connection.rule = rule_of(client.end.rule);
    connection.age = now() - std::chrono::nanoseconds(client.end.claim.born_ns);
    connection.client = end_of(client);
    connection.server = end_of(server);
    const Standing standing =
        standing_of({client.end.rule, static_cast<__u8>(client.end.reason),
                     static_cast<__u8>(client.pair_state), static_cast<__u8>(client.pair_reason)});
    connection.state = standing.state;
    connection.reason = standing.reason;
    if (standing.reason == SA_REASON_BLOCKING)
        connection.besides = reason_of(client.end.besides);
    if (client.pair_state == SA_FREE && SA_IS_UNPAIRED(server.end.reason))
        connection.state = ConnectionState::unpaired;
    return connection;
}

ConversationSide side_of(const sa_observation_key& key, const sa_observation& seen, sa_role role) {
    ConversationSide side;
    side.cgroup = key.cgroup[role];
    side.bytes = seen.bytes[role];
    side.messages = seen.messages[role];
    side.turns = seen.turns[role];
    std::ranges::copy(seen.sizes[role], side.sizes.begin());
    side.obstacles = seen.obstacles[role];
    side.hazards = seen.hazards[role];
    return side;
}

Conversation conversation_of(const sa_observation_key& key, const sa_observation& seen,
                             Instant time) {
    // What happens while it is read is later than that.
    const auto since = [&](std::uint64_t at_ns) {
        return at_ns == 0 ? Instant{} : std::max(time - Instant(at_ns), Instant{});
    };
    Conversation result;
    result.rule = static_cast<RuleId>(key.rule);
    result.port = static_cast<std::uint16_t>(key.port);
    result.connections = seen.connections;
    result.closed = seen.closed;
    result.brief = seen.brief;
    result.brief_bytes = seen.brief_bytes;
    result.lasted = std::chrono::nanoseconds(seen.lasted_ns);
    result.age = since(seen.first_ns);
    result.idle = since(seen.last_ns);
    result.looks = seen.looks;
    result.eligible = seen.eligible;
    result.client = side_of(key, seen, SA_CLIENT);
    result.server = side_of(key, seen, SA_SERVER);
    return result;
}

ConnectionEvent event_of(const sa_event& from) {
    ConnectionEvent event;
    event.kind = from.type == SA_EVENT_PAIRED     ? EventKind::paired
                 : from.type == SA_EVENT_ENROLLED ? EventKind::enrolled
                                                  : EventKind::left;
    event.rule = rule_of(from.rule);
    event.reason = reason_of(from.reason);
    event.client_cookie = from.cookie[SA_CLIENT];
    event.server_cookie = from.cookie[SA_SERVER];
    event.client_uid = from.client_uid;
    event.server_uid = from.server_uid;
    event.client = address_of(from.client.local);
    event.server = address_of(from.client.remote);
    event.client_port = from.client.local_port;
    event.server_port = from.client.remote_port;
    event.time = std::chrono::nanoseconds(from.time_ns);
    return event;
}

}  // namespace

struct BpfDatapath::State {
    struct Wanted {  // a cgroup that has to have a link
        std::string path;
        Fd directory;
    };

    State(const Limits& limits, std::filesystem::path cgroup_root, FdStore& store,
          std::chrono::milliseconds patience);

    void load_programs(const Limits& limits, std::chrono::milliseconds patience);
    void wake_by(const Ring& ring) const;
    void open_events();
    void close_events_if_unwanted();
    void fill_store();
    void take_over_links();
    void take_over_tables();
    void learn_from_own_socket();
    void write_ports(const std::vector<RuleMask>& masks, std::uint32_t half);
    void write_networks(const std::vector<NetworkEntry>& entries, std::uint32_t half);
    void write_rules();
    void clear_counters(RuleId id);
    void forget_proofs(RuleMask rules);
    void forget_observations(RuleMask rules);
    [[nodiscard]] std::uint32_t hazards_to_watch(const Membership& membership) const;
    void write_cgroups(const std::map<std::uint64_t, RuleMask>& rules_of, std::uint32_t half);
    [[nodiscard]] std::map<std::uint32_t, sa_program> programs_of_others() const;
    [[nodiscard]] std::vector<sa_attachment> attached_below(const std::string& path) const;
    [[nodiscard]] std::map<std::uint64_t, Wanted> open_cgroups(
        const std::vector<std::string>& paths, std::vector<std::string>& failures) const;
    void retire_all_but(const std::map<std::uint64_t, Wanted>& wanted);
    void drop_retired();
    void attach(std::uint64_t id, const Wanted& cgroup, std::vector<std::string>& failures);
    [[nodiscard]] bool is_dead(std::uint64_t id) const;

    [[nodiscard]] sa_control& control() const { return skeleton->bss->control; }
    [[nodiscard]] std::uint32_t live_half() const { return control().generation & 1; }

    std::filesystem::path root;
    FdStore& store;
    Skeleton skeleton;
    std::optional<Inheritance> inheritance;
    Witness witness{*skeleton->obj, store};
    Link adopt, enrol, revisit, tend, list, tally, learn, inventory;
    Ring work, events;
    Fd wake_ups{check(::epoll_create1(EPOLL_CLOEXEC), "wait for rings")};
    bool pass_wanted = false;
    const std::function<void(const ConnectionEvent&)>* sink = nullptr;
    std::optional<std::pair<Legacy, Limits>> staged;  // for the next set_membership()
    std::vector<PlannedRule> rules_in_force;
    std::uint32_t wanted_connections = 0;
    std::array<std::vector<sa_network_key>, 2> networks;  // what each half of the map holds
    std::array<std::set<std::uint64_t>, 2> cgroups;
    std::vector<std::string> wanted_links;
    std::map<std::uint64_t, std::string> foreign_paths;  // of cgroups with programs of others
    // By the cgroup's id; the links themselves are in the store.
    std::set<std::uint64_t> links;
    std::set<std::uint64_t> retired;  // not wanted any more, but pairs that leave may need them
};

BpfDatapath::State::State(const Limits& limits, std::filesystem::path cgroup_root,
                          FdStore& the_store, std::chrono::milliseconds patience)
    : root(std::move(cgroup_root)), store(the_store), skeleton(open_object()) {
    load_programs(limits, patience);
    const auto& maps = skeleton->maps;
    const auto& programs = skeleton->progs;

    const __u32 slot = 0;  // SA_PROGRAM_GATE; for connections that there are it changes in one step
    const int gate = bpf_program__fd(programs.sa_gate);
    check(bpf_map__update_elem(maps.programs, &slot, sizeof slot, &gate, sizeof gate, BPF_ANY),
          "put the gate into its program array");
    check(bpf_prog_attach(bpf_program__fd(programs.sa_stub), bpf_map__fd(maps.sockets),
                          BPF_SK_MSG_VERDICT, 0),
          "attach the stub to the SOCKHASH");

    adopt =
        owned(bpf_program__attach_iter(programs.sa_adopt, nullptr), "attach the iterator sa_adopt");
    enrol = iterate(programs.sa_enrol, maps.candidates);
    revisit = iterate(programs.sa_revisit, maps.ends);
    tend = iterate(programs.sa_tend, maps.once);
    list = iterate(programs.sa_list, maps.ends);
    tally = iterate(programs.sa_count, maps.ends);
    learn = iterate(programs.sa_learn, maps.own_sockets);
    inventory = owned(bpf_program__attach_iter(programs.sa_inventory, nullptr),
                      "attach the iterator sa_inventory");
    learn_from_own_socket();
    if (inheritance) {
        take_over_links();
        take_over_tables();
    } else {
        fill_store();
    }

    work.reset(ring_buffer__new(
        bpf_map__fd(maps.work),
        [](void* self, void*, size_t) {
            static_cast<State*>(self)->pass_wanted = true;
            return 0;
        },
        this, nullptr));
    if (!work)
        throw std::system_error(errno, std::generic_category(), "open the work ring");
    wake_by(work);
}

// When there is something in the ring.
void BpfDatapath::State::wake_by(const Ring& ring) const {
    epoll_event readable{};
    readable.events = EPOLLIN;
    check(::epoll_ctl(wake_ups.get(), EPOLL_CTL_ADD, ring_buffer__epoll_fd(ring.get()), &readable),
          "wait for a ring");
}

// Only while somebody listens: mapped, twice as libbpf does it, it is a sixth of the daemon's
// memory.
void BpfDatapath::State::open_events() {
    events.reset(ring_buffer__new(
        bpf_map__fd(skeleton->maps.events),
        [](void* self, void* data, size_t size) {
            sa_event event{};
            std::memcpy(&event, data, std::min(size, sizeof event));
            if (const auto* wanted = static_cast<State*>(self)->sink)
                (*wanted)(event_of(event));
            return 0;
        },
        this, nullptr));
    if (!events)
        throw std::system_error(errno, std::generic_category(), "open the event ring");
    check_negative(ring_buffer__consume(events.get()), "forget the events of nobody");
    wake_by(events);
}

// Not while it is read: a listener may end itself when it hears of an event.
void BpfDatapath::State::close_events_if_unwanted() {
    if (control().events_wanted == 0 && sink == nullptr)
        events.reset();
}

void BpfDatapath::State::load_programs(const Limits& limits, std::chrono::milliseconds patience) {
    inheritance = inherit(*skeleton, store);
    if (!inheritance) {
        clear_away(store, patience);
        set_sizes(*skeleton, limits.connections);
    }
    load(*skeleton);
    if (inheritance)
        control().events_wanted = 0;  // by whoever listened to the daemon before
    else
        control().max_pairs = limits.connections;
}

// Nothing is attached yet: if this is cut short, there is nothing to be carried on.
void BpfDatapath::State::fill_store() {
    for_each_stored_map(*skeleton, [this](const bpf_map* map, const std::string& name) {
        store.put(name, duplicate(bpf_map__fd(map), name));
    });
    store.put(kLegacy, LegacyFile::make());
    bpf_iter_link_info info{};
    info.map.map_fd = static_cast<__u32>(bpf_map__fd(skeleton->maps.once));
    bpf_link_create_opts options{};
    options.sz = sizeof options;
    options.iter_info = &info;
    options.iter_info_len = sizeof info;
    store.put(kLeave, Fd(check_negative(bpf_link_create(bpf_program__fd(skeleton->progs.sa_leave),
                                                        0, BPF_TRACE_ITER, &options),
                                        "attach the iterator sa_leave")));
}

// Each has the new program in one step, and the store need not hear of it.
void BpfDatapath::State::take_over_links() {
    check_negative(
        bpf_link_update(store.get(kLeave), bpf_program__fd(skeleton->progs.sa_leave), nullptr),
        "take over the iterator sa_leave");
    const int program = bpf_program__fd(skeleton->progs.sa_pair_ends);
    for (const std::string& name : store.names()) {
        if (!name.starts_with(kLinkPrefix))
            continue;
        if (bpf_link_update(store.get(name), program, nullptr) == 0)
            links.insert(std::stoull(name.substr(kLinkPrefix.size())));
        else  // its cgroup is gone
            store.remove(name);
    }
}

void BpfDatapath::State::take_over_tables() {
    rules_in_force = inheritance->legacy.rules;
    for_each_key<sa_network_key>(
        skeleton->maps.networks, std::size_t{2} * SA_MAX_NETWORKS,
        [this](const sa_network_key& key) { networks[key.half & 1].push_back(key); });
    for_each_key<sa_cgroup_key>(
        skeleton->maps.cgroups, std::size_t{2} * SA_MAX_CGROUPS,
        [this](const sa_cgroup_key& key) { cgroups[key.half & 1].insert(key.id); });
}

// An ordinary socket's sk_data_ready is what a socket that the kernel itself reads does not have.
void BpfDatapath::State::learn_from_own_socket() {
    const Fd socket(check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "open a TCP socket"));
    const int key = socket.get();
    const __u32 value = 0;
    check(bpf_map__update_elem(skeleton->maps.own_sockets, &key, sizeof key, &value, sizeof value,
                               BPF_ANY),
          "put an own socket into socket-local storage");
    run(learn, "look at an own socket");
    bpf_test_run_opts options{};
    options.sz = sizeof options;
    check_negative(
        bpf_prog_test_run_opts(bpf_program__fd(skeleton->progs.sa_find_wake_function), &options),
        "look the kernel's wake-up function up");
    if (control().woken_wake_function == 0)
        throw Unsupported(
            "the kernel hides its addresses, and with them how a sleeping reader is "
            "told: "
            "give the service CAP_SYSLOG");
}

// By memory that is shared with the kernel: as calls, 65536 of them take longer than all else of a
// reload.
void BpfDatapath::State::write_ports(const std::vector<RuleMask>& masks, std::uint32_t half) {
    const std::size_t bytes = masks.size() * sizeof(RuleMask);
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                          bpf_map__fd(skeleton->maps.ports), static_cast<off_t>(half * bytes));
    if (memory == MAP_FAILED)
        check(-1, "write the port masks");
    std::memcpy(memory, masks.data(), bytes);
    ::munmap(memory, bytes);
}

void BpfDatapath::State::write_networks(const std::vector<NetworkEntry>& entries,
                                        std::uint32_t half) {
    const bpf_map* map = skeleton->maps.networks;
    for (const sa_network_key& key : networks[half])
        check(bpf_map__delete_elem(map, &key, sizeof key, 0), "forget a network");
    networks[half].clear();
    for (const NetworkEntry& entry : entries) {
        const sa_network_key key = network_key(entry.network, half);
        check(
            bpf_map__update_elem(map, &key, sizeof key, &entry.rules, sizeof entry.rules, BPF_ANY),
            "write the network " + entry.network.text());
        networks[half].push_back(key);
    }
}

void BpfDatapath::State::write_rules() {
    sa_control& to = control();
    RuleMask deciding = 0, bypass = 0, observe = 0, at_connect = 0, fresh = 0;
    // What is said of a rule that goes stays: its pairs are still leaving.
    std::array<sa_rule, SA_MAX_RULES> rules;
    std::ranges::copy(to.rules, rules.begin());
    for (sa_rule& rule : rules)
        rule.active = 0;
    std::size_t rank = 0;
    for (const PlannedRule& planned : staged->first.rules) {
        sa_rule& rule = rules[index_of(planned.id)];
        if (to.rules[index_of(planned.id)].active == 0)
            clear_counters(planned.id);
        const auto before = std::ranges::find(rules_in_force, planned.id, &PlannedRule::id);
        if (before == rules_in_force.end() || !before->rule.matches_like(planned.rule))
            fresh |= mask_of(planned.id);
        rule.active = 1;
        rule.action = action_code(planned.rule.action);
        rule.tolerate = tolerate_bits(planned.rule);
        rule.queue_bytes = planned.rule.queue_bytes;
        rule.prove_ns = static_cast<__u64>(std::chrono::nanoseconds(planned.rule.prove).count());
        to.order[rank++] = static_cast<__u8>(planned.id);
        (planned.rule.action == Action::bypass ? bypass : deciding) |= mask_of(planned.id);
        if (planned.rule.action == Action::observe)
            observe |= mask_of(planned.id);
        if (planned.rule.action == Action::accelerate &&
            (rule.tolerate & SA_TOLERATE_BLOCKING) != 0)
            at_connect |= mask_of(planned.id);
    }
    forget_proofs(fresh);
    forget_observations(fresh | ~observe);
    std::ranges::copy(rules, std::begin(to.rules));
    to.deciding_rules = deciding;
    to.bypass_rules = bypass;
    to.observe_rules = observe;
    to.connect_rules = at_connect;
    to.budget_bytes = staged->second.memory_bytes;
    to.max_pairs = std::min(staged->second.connections, bpf_map__max_entries(skeleton->maps.pairs));
    wanted_connections = staged->second.connections;
}

// For an id that another rule may have had before.
void BpfDatapath::State::clear_counters(RuleId id) {
    const __u32 key = static_cast<__u32>(id);
    const std::vector<sa_counters> zeros(static_cast<std::size_t>(libbpf_num_possible_cpus()));
    check(bpf_map__update_elem(skeleton->maps.counters, &key, sizeof key, zeros.data(),
                               zeros.size() * sizeof(sa_counters), BPF_ANY),
          "clear the counters of rule " + std::to_string(key));
}

// Of ids that another rule may have had before: what was proven and seen was of that one.
void BpfDatapath::State::forget_proofs(RuleMask rules) {
    if (rules == 0)
        return;
    const bpf_map* map = skeleton->maps.proofs;
    std::vector<sa_proof_key> stale;
    for_each_key<sa_proof_key>(map, std::size_t{2} * SA_MAX_PROOFS, [&](const sa_proof_key& key) {
        if (key.rule < SA_MAX_RULES && (rules >> key.rule & 1) != 0)
            stale.push_back(key);
    });
    for (const sa_proof_key& each : stale)
        bpf_map__delete_elem(map, &each, sizeof each, 0);  // it may have given way meanwhile
}

// Nobody is to read them any more, or they were another rule's.
void BpfDatapath::State::forget_observations(RuleMask rules) {
    const bpf_map* map = skeleton->maps.observations;
    std::vector<sa_observation_key> stale;
    for_each_key<sa_observation_key>(
        map, std::size_t{2} * SA_MAX_OBSERVATIONS, [&](const sa_observation_key& key) {
            if (key.rule < SA_MAX_RULES && (rules >> key.rule & 1) != 0)
                stale.push_back(key);
        });
    for (const sa_observation_key& each : stale)
        bpf_map__delete_elem(map, &each, sizeof each, 0);
}

// What the rules that have a cgroup at the moment do not tolerate; one that observes wants to know.
std::uint32_t BpfDatapath::State::hazards_to_watch(const Membership& membership) const {
    RuleMask present = 0;
    for (const auto& [id, rules] : membership.rules_of)
        present |= rules;
    std::uint32_t hazards = 0;
    for (const PlannedRule& planned : staged ? staged->first.rules : rules_in_force)
        if (planned.rule.action != Action::bypass && (present & mask_of(planned.id)) != 0)
            hazards |= (kWatchable & ~tolerate_bits(planned.rule)) | SA_HAZARD_OOB;
    return hazards;
}

void BpfDatapath::State::write_cgroups(const std::map<std::uint64_t, RuleMask>& rules_of,
                                       std::uint32_t half) {
    const bpf_map* map = skeleton->maps.cgroups;
    for (const auto& [id, rules] : rules_of) {
        const sa_cgroup_key key{.id = id, .half = half, .reserved = 0};
        check(bpf_map__update_elem(map, &key, sizeof key, &rules, sizeof rules, BPF_ANY),
              "write the rules of cgroup " + std::to_string(id));
        cgroups[half].insert(id);
    }
    std::erase_if(cgroups[half], [&](std::uint64_t id) {
        if (rules_of.contains(id))
            return false;
        const sa_cgroup_key key{.id = id, .half = half, .reserved = 0};
        check(bpf_map__delete_elem(map, &key, sizeof key, 0),
              "forget cgroup " + std::to_string(id));
        return true;
    });
}

// A path may have become another cgroup since it was last looked at: the id tells.
std::map<std::uint64_t, BpfDatapath::State::Wanted> BpfDatapath::State::open_cgroups(
    const std::vector<std::string>& paths, std::vector<std::string>& failures) const {
    std::map<std::uint64_t, Wanted> cgroups_to_link;
    for (const std::string& path : paths) {
        const std::filesystem::path directory = root / path;
        Fd cgroup(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        struct stat status {};
        if (cgroup) {
            check(::fstat(cgroup.get(), &status), "stat " + directory.string());
            cgroups_to_link[status.st_ino] = {path, std::move(cgroup)};
        } else if (errno != ENOENT) {  // gone meanwhile: the cgroup tree will say so, too
            failures.push_back("cgroup /" + path + ": cannot open it: " + std::strerror(errno));
        }
    }
    return cgroups_to_link;
}

// A leaving pair's reader may have to be woken by the program on its cgroup: see enum sa_meeting.
// Of a cgroup that is gone the kernel has taken it off.
void BpfDatapath::State::retire_all_but(const std::map<std::uint64_t, Wanted>& wanted) {
    std::erase_if(links, [&](std::uint64_t id) {
        if (wanted.contains(id))
            return false;
        if (is_dead(id))
            store.remove(link_name(id));
        else
            retired.insert(id);
        return true;
    });
    std::erase_if(retired, [&](std::uint64_t id) {
        const bool is_gone = is_dead(id);
        if (is_gone)
            store.remove(link_name(id));
        return is_gone;
    });
    if (control().slots_busy == 0)
        drop_retired();
}

bool BpfDatapath::State::is_dead(std::uint64_t id) const {
    bpf_link_info info{};
    __u32 size = sizeof info;
    const int link = store.get(link_name(id));
    return link >= 0 && bpf_obj_get_info_by_fd(link, &info, &size) == 0 &&
           info.cgroup.cgroup_id == 0;
}

void BpfDatapath::State::drop_retired() {
    for (const std::uint64_t id : std::exchange(retired, {}))
        store.remove(link_name(id));
}

void BpfDatapath::State::attach(std::uint64_t id, const Wanted& cgroup,
                                std::vector<std::string>& failures) {
    if (links.contains(id))
        return;
    if (retired.erase(id) == 0) {
        Fd link(bpf_link_create(bpf_program__fd(skeleton->progs.sa_pair_ends),
                                cgroup.directory.get(), BPF_CGROUP_SOCK_OPS, nullptr));
        if (!link) {
            failures.push_back("cgroup /" + cgroup.path +
                               ": cannot attach the sock_ops program: " + std::strerror(errno));
            return;
        }
        store.put(link_name(id), std::move(link));
    }
    links.insert(id);
}

BpfDatapath::BpfDatapath(const Limits& limits, std::filesystem::path cgroup_root, FdStore& store,
                         std::chrono::milliseconds patience)
    : state_(std::make_unique<State>(limits, std::move(cgroup_root), store, patience)) {}

BpfDatapath::~BpfDatapath() = default;

std::optional<Inheritance> BpfDatapath::inheritance() {
    return state_->inheritance;
}

void BpfDatapath::set_tables(const Tables& tables, const Limits& limits,
                             const KernelVerdict& verdict) {
    const std::uint32_t aside = !state_->live_half();
    state_->write_ports(tables.ports, aside);
    state_->write_networks(tables.networks, aside);
    state_->staged = {{tables.rules, verdict}, limits};
}

std::vector<std::string> BpfDatapath::set_membership(const Membership& membership) {
    std::vector<std::string> failures;
    const bool swap = state_->staged.has_value();
    const std::uint32_t half = swap ? !state_->live_half() : state_->live_half();
    const std::uint32_t hazards = state_->hazards_to_watch(membership);
    // Before a socket is covered that nobody watches; less only when none is.
    state_->witness.watch(state_->witness.watched() | hazards);

    const auto wanted = state_->open_cgroups(membership.links, failures);
    state_->write_cgroups(membership.rules_of, half);
    if (swap) {
        LegacyFile(state_->store.get(kLegacy))
            .write(state_->control().generation + 1, state_->staged->first);
        state_->write_rules();
        __atomic_fetch_add(&state_->control().generation, 1, __ATOMIC_SEQ_CST);
        __atomic_store_n(&state_->control().revisit, 1, __ATOMIC_SEQ_CST);
        state_->rules_in_force = std::move(state_->staged->first.rules);
        state_->staged.reset();
    }
    state_->wanted_links = membership.links;
    for (const auto& [id, cgroup] : wanted)
        state_->attach(id, cgroup, failures);
    // Not before: no connection shall open where neither link is.
    state_->retire_all_but(wanted);
    state_->witness.watch(hazards);
    if (state_->wanted_connections > state_->control().max_pairs)
        failures.push_back("limits.connections = " + std::to_string(state_->wanted_connections) +
                           " takes effect when the service has been stopped and is started; until "
                           "then it is " +
                           std::to_string(state_->control().max_pairs));
    return failures;
}

void BpfDatapath::drain(RuleMask rules, Reason reason) {
    state_->control().drain_reason = reason;
    __atomic_store_n(&state_->control().drain_rules, rules, __ATOMIC_SEQ_CST);
}

void BpfDatapath::pause(RuleMask rules) {
    __atomic_store_n(&state_->control().paused_rules, rules, __ATOMIC_SEQ_CST);
}

bool BpfDatapath::witness_watches() {
    return state_->witness.can_watch();
}

void BpfDatapath::adopt() {
    run(state_->adopt, "look at the descriptors that are open");
}

PassResult BpfDatapath::pass(Pass kind) {
    sa_control& control = state_->control();
    __atomic_store_n(&control.work_raised, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&control.expiry_due, 0, __ATOMIC_SEQ_CST);
    control.next_look_ns = 0;
    control.candidates = 0;
    control.leaving = 0;
    if (__atomic_exchange_n(&control.revisit, 0, __ATOMIC_SEQ_CST) != 0)
        run(state_->revisit, "revisit the evicted ends");
    if (kind == Pass::all)
        run(state_->enrol, "look at the candidates");
    const bool pressed = control.pressure != 0;
    run(state_->tend, "look at the pairs");
    if (pressed)
        control.pressure = 0;

    if (control.leaving == 0)
        state_->drop_retired();

    PassResult result;
    if (control.next_look_ns != 0)
        result.next = Instant(control.next_look_ns);
    result.pairs = control.slots_busy;
    result.candidates = control.candidates;
    return result;
}

int BpfDatapath::event_fd() const {
    return state_->wake_ups.get();
}

bool BpfDatapath::take_events(const std::function<void(const ConnectionEvent&)>& sink) {
    state_->sink = &sink;
    state_->pass_wanted = false;
    int taken = ring_buffer__consume(state_->work.get());
    if (taken >= 0 && state_->events)
        taken = ring_buffer__consume(state_->events.get());
    state_->sink = nullptr;
    state_->close_events_if_unwanted();
    check_negative(taken, "read the rings");
    return state_->pass_wanted;
}

void BpfDatapath::want_events(bool wanted) {
    if (wanted && !state_->events)
        state_->open_events();
    state_->control().events_wanted = wanted ? 1 : 0;
    state_->close_events_if_unwanted();
}

// A hundred thousand of them would be a hundred megabytes and more: they are counted first, and of
// too many the kernel shows a share.
Listing BpfDatapath::connections(Which which, std::uint32_t most,
                                 std::optional<std::uint32_t> viewer) {
    constexpr std::uint64_t kAll = 1ULL << 32;
    sa_control& control = state_->control();
    const auto list = [&](std::uint64_t share) {
        control.list_in_table = which == Which::in_table ? 1 : 0;
        control.list_share = share;
        control.list_uid = viewer.value_or(SA_EVERYBODY);
        control.listed = control.list_hidden = 0;
        return run(state_->list, "list the connections");
    };
    list(0);
    const std::uint64_t count = control.listed;
    const std::string bytes = list(count <= most ? kAll : kAll * most / count);
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::array<std::optional<sa_report>, 2>> ends;
    for (std::size_t at = 0; at + sizeof(sa_report) <= bytes.size(); at += sizeof(sa_report)) {
        sa_report report{};
        std::memcpy(&report, bytes.data() + at, sizeof report);
        auto& end =
            ends[{report.end.key.client_isn, report.end.key.server_isn}][report.end.role & 1];
        if (!end || end->end.matched == 0)  // two may claim to be it
            end = report;
    }
    Listing listing;
    listing.hidden = control.list_hidden;
    for (const auto& [key, pair] : ends) {
        if (pair[SA_CLIENT] && pair[SA_SERVER])
            listing.connections.push_back(connection_of(*pair[SA_CLIENT], *pair[SA_SERVER]));
    }
    if (count > most && count > listing.connections.size())
        listing.omitted = static_cast<std::uint32_t>(count - listing.connections.size());
    return listing;
}

Census BpfDatapath::census() {
    const std::string bytes = run(state_->tally, "count the connections");
    Census census;
    for (std::size_t at = 0; at + sizeof(sa_tally) <= bytes.size(); at += sizeof(sa_tally)) {
        sa_tally one{};
        std::memcpy(&one, bytes.data() + at, sizeof one);
        ++census[standing_of(one)];
    }
    return census;
}

RuleCounters BpfDatapath::counters(RuleId rule) {
    const __u32 key = static_cast<__u32>(rule);
    std::vector<sa_counters> by_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
    check(bpf_map__lookup_elem(state_->skeleton->maps.counters, &key, sizeof key, by_cpu.data(),
                               by_cpu.size() * sizeof(sa_counters), 0),
          "read the counters of rule " + std::to_string(key));
    RuleCounters sum;
    for (const sa_counters& one : by_cpu) {
        sum.paired += one.paired;
        sum.enrolled += one.enrolled;
        sum.left += one.left;
        sum.traffic.redirected_messages += one.redirected_messages;
        sum.traffic.redirected_bytes += one.redirected_bytes;
        sum.traffic.tcp_messages += one.tcp_messages;
        sum.traffic.tcp_bytes += one.tcp_bytes;
        for (std::size_t i = 0; i < SA_REASON_COUNT; i++)
            sum.traffic.reasons[i] += one.reasons[i];
    }
    return sum;
}

Conversations BpfDatapath::conversations() {
    const bpf_map* map = state_->skeleton->maps.observations;
    const Instant time = now();
    Conversations result;
    for_each_key<sa_observation_key>(
        map, std::size_t{2} * SA_MAX_OBSERVATIONS, [&](const sa_observation_key& key) {
            sa_observation seen{};
            if (key.rule < SA_MAX_RULES &&
                bpf_map__lookup_elem(map, &key, sizeof key, &seen, sizeof seen, 0) == 0)
                result.all.push_back(conversation_of(key, seen, time));
        });
    result.lost = state_->control().observations_lost;
    return result;
}

Totals BpfDatapath::totals() {
    const sa_control& control = state_->control();
    Totals totals;
    totals.budget_used_bytes = __atomic_load_n(&control.budget_used_bytes, __ATOMIC_RELAXED);
    totals.budget_bytes = control.budget_bytes;
    totals.halves_expired = control.half_expired;
    for (std::size_t limit = 0; limit < SA_LIMIT_COUNT; limit++)
        totals.limit_hits[limit] = __atomic_load_n(&control.limit_hits[limit], __ATOMIC_RELAXED);
    totals.pairs = control.slots_busy;
    totals.max_pairs = control.max_pairs;
    return totals;
}

std::map<std::uint32_t, sa_program> BpfDatapath::State::programs_of_others() const {
    std::set<std::uint32_t> own;
    bpf_program* program = nullptr;
    while ((program = bpf_object__next_program(skeleton->obj, program)) != nullptr) {
        bpf_prog_info info{};
        std::uint32_t size = sizeof info;
        check(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size),
              std::string("ask for the program ") + bpf_program__name(program));
        own.insert(info.id);
    }
    const std::string bytes = run(inventory, "list the host's BPF programs");
    std::map<std::uint32_t, sa_program> others;
    for (std::size_t at = 0; at + sizeof(sa_program) <= bytes.size(); at += sizeof(sa_program)) {
        sa_program one{};
        std::memcpy(&one, bytes.data() + at, sizeof one);
        if (!own.contains(one.id))
            others.emplace(one.id, one);
    }
    return others;
}

// What is attached to this cgroup and to those below it, in one go: they may be many.
std::vector<sa_attachment> BpfDatapath::State::attached_below(const std::string& path) const {
    const Fd cgroup(::open((root / path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!cgroup)
        return {};
    bpf_iter_link_info info{};
    info.cgroup.order = BPF_CGROUP_ITER_DESCENDANTS_PRE;
    info.cgroup.cgroup_fd = static_cast<__u32>(cgroup.get());
    bpf_iter_attach_opts options{};
    options.sz = sizeof options;
    options.link_info = &info;
    options.link_info_len = sizeof info;
    bpf_link* made = bpf_program__attach_iter(skeleton->progs.sa_attached, &options);
    if (made == nullptr && errno == ENOENT)
        return {};  // removed since it was opened
    const Link link = owned(made, "attach the iterator sa_attached to cgroup /" + path);
    const std::string bytes = run(link, "list the programs below cgroup /" + path);
    std::vector<sa_attachment> all(bytes.size() / sizeof(sa_attachment));
    std::memcpy(all.data(), bytes.data(), all.size() * sizeof(sa_attachment));
    return all;
}

std::vector<std::string> BpfDatapath::foreign(const PathOfCgroup& path_of) {
    const auto others = state_->programs_of_others();
    using Place = std::pair<std::string, std::uint32_t>;  // a cgroup, and a program there
    std::set<Place> places;
    std::set<std::uint32_t> placed;
    const auto place = [&](const std::string& cgroup, std::uint32_t id) {
        if (others.contains(id)) {
            places.emplace(cgroup, id);
            placed.insert(id);
        }
    };
    for (const std::string& path : state_->wanted_links)
        for (std::string at = path;; at = std::filesystem::path(at).parent_path()) {
            for (const std::uint32_t id : sock_ops_on(state_->root / at, 0))
                place(at, id);
            if (at.empty())
                break;
        }

    // Those below run first, for some of the same connections.
    std::set<Place> below;
    std::map<std::uint64_t, std::string> paths;
    const bool has_sock_ops = std::ranges::any_of(
        others, [](const auto& one) { return one.second.type == BPF_PROG_TYPE_SOCK_OPS; });
    for (const std::string& path : has_sock_ops ? state_->wanted_links : std::vector<std::string>{})
        for (const auto& [cgroup, id, reserved] : state_->attached_below(path)) {
            if (!others.contains(id) || below.size() > kMostForeignBelow)
                continue;
            const auto known = state_->foreign_paths.find(cgroup);
            paths[cgroup] = known != state_->foreign_paths.end() ? known->second : path_of(cgroup);
            if (const Place here(paths[cgroup], id); !places.contains(here))
                below.insert(here);
        }
    const bool are_all_named = below.size() <= kMostForeignBelow;
    if (!are_all_named)
        below.erase(std::prev(below.end()));
    for (const auto& [cgroup, id] : below)
        place(cgroup, id);
    state_->foreign_paths = std::move(paths);

    std::vector<std::string> lines;
    for (const auto& [cgroup, id] : places)
        lines.push_back(title("sock_ops", id, others) + " on cgroup /" + cgroup);
    if (!are_all_named)
        lines.push_back("sock_ops programs in more than " + std::to_string(kMostForeignBelow) +
                        " places below those cgroups");
    // In a container the topmost cgroup that can be seen may have others above it.
    for (const std::string& path : state_->wanted_links)
        for (const std::uint32_t id : sock_ops_on(state_->root / path, BPF_F_QUERY_EFFECTIVE))
            if (others.contains(id) && placed.insert(id).second)
                lines.push_back(title("sock_ops", id, others) + " on a cgroup above the root");
    // Sockets may keep the stub of a daemon before this one, and the kernel its gate for a moment;
    // so it may the self-test's program, whose name it cuts.
    const auto is_ours = [this](std::string_view name) {
        return name == bpf_program__name(state_->skeleton->progs.sa_stub) ||
               name == bpf_program__name(state_->skeleton->progs.sa_gate) ||
               name == std::string_view("sa_probe_redirect").substr(0, BPF_OBJ_NAME_LEN - 1);
    };
    for (const auto& [id, program] : others)
        if (program.type == BPF_PROG_TYPE_SK_MSG && !is_ours(program.name))
            lines.push_back(title("sk_msg", id, others));
    return lines;
}

}  // namespace sockaccel
