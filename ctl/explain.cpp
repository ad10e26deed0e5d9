// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the daemon lists is told by its reason. The rest is looked up in the kernel's list of
// sockets, which everybody may read, and compared with the rules, which are free to read, too: so
// nothing is told here that the caller could not see.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "commands.hpp"
#include "explanation.hpp"
#include "identify.hpp"
#include "likely_meant.hpp"
#include "log.hpp"
#include "sockets.hpp"

namespace sockaccel::ctl {
namespace {

struct Options {
    std::vector<std::string> ends;
    int pid = 0;
    bool sees_all = false;
};

// What is asked for: a port, two ends in either order, or a process.
struct Question {
    std::optional<std::uint16_t> port;
    std::optional<Endpoint> source, destination;
    std::set<std::uint64_t> inodes;

    [[nodiscard]] bool asks_for(const Endpoint& a, const Endpoint& b) const {
        if (port)
            return a.port == *port || b.port == *port;
        return (a == source && b == destination) || (b == source && a == destination);
    }
};

std::optional<std::uint16_t> port_of(const std::string& text) {
    std::uint16_t port = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, port);
    return error == std::errc{} && stop == end && port > 0 ? std::optional(port) : std::nullopt;
}

Question question_of(const Options& options) {
    Question question;
    if (options.pid != 0 && options.ends.empty()) {
        const auto inodes = inodes_of(options.pid);
        question.inodes = {inodes.begin(), inodes.end()};
    } else if (options.pid == 0 && options.ends.size() == 1 && port_of(options.ends[0])) {
        question.port = port_of(options.ends[0]);
    } else if (options.pid == 0 && options.ends.size() == 2) {
        question.source = Endpoint::parse(options.ends[0]);
        question.destination = Endpoint::parse(options.ends[1]);
    } else {
        throw std::runtime_error(
            "explain what? SRC DST (127.0.0.1:40000 127.0.0.1:6379), PORT, or --pid PID");
    }
    return question;
}

Endpoint local_of(const Socket& socket) {
    return {socket.local, socket.local_port};
}
Endpoint remote_of(const Socket& socket) {
    return {socket.remote, socket.remote_port};
}
bool are_peers(const Socket& a, const Socket& b) {
    return local_of(a) == remote_of(b) && remote_of(a) == local_of(b);
}

class Sockets {
  public:
    Sockets() : all_(tcp_sockets(true)), holders_(ctl::holders()) {}

    [[nodiscard]] const std::vector<Socket>& all() const { return all_; }

    [[nodiscard]] const Socket* peer_of(const Socket& socket) const {
        const auto found = std::find_if(all_.begin(), all_.end(), [&](const Socket& other) {
            return other.cookie != socket.cookie && are_peers(socket, other);
        });
        return found == all_.end() ? nullptr : &*found;
    }

    // By who listens; else the lower port is the better known one.
    [[nodiscard]] bool is_server(const Socket& socket) const {
        const bool here = has_listener(local_of(socket)), there = has_listener(remote_of(socket));
        return here != there ? here : socket.local_port < socket.remote_port;
    }

    [[nodiscard]] EndReport report(const Endpoint& end, const Endpoint& other,
                                   const Socket* socket) const {
        EndReport report;
        report.address = end.address.text();
        report.port = end.port;
        report.peer_address = other.address.text();
        report.peer_port = other.port;
        if (socket == nullptr)
            return report;
        report.cookie = socket->cookie;
        report.uid = socket->uid;
        report.cgroup = cgroup_path(socket->cgroup);
        report.unit = log::unit_of(report.cgroup);
        if (const auto holder = holders_.find(socket->inode); holder != holders_.end()) {
            report.pid = holder->second.pid;
            report.process = holder->second.name;
        }
        return report;
    }

  private:
    [[nodiscard]] bool has_listener(const Endpoint& end) const {
        static const Address kAny4 = *Address::parse("0.0.0.0"), kAny6 = *Address::parse("::");
        return std::any_of(all_.begin(), all_.end(), [&](const Socket& socket) {
            return socket.is_listening && socket.local_port == end.port &&
                   (socket.local == end.address || socket.local == kAny4 || socket.local == kAny6);
        });
    }

    std::vector<Socket> all_;
    std::map<std::uint64_t, Process> holders_;
};

// One that the daemon does not list.
Explanation explain(const Sockets& sockets, const Socket& socket,
                    const std::vector<RuleReport>& rules) {
    const Socket* peer = sockets.peer_of(socket);
    const bool is_server = sockets.is_server(socket);
    const Endpoint local = local_of(socket), remote = remote_of(socket);
    const Endpoint& client = is_server ? remote : local;
    const Endpoint& server = is_server ? local : remote;
    Explanation result;
    ConnectionReport& connection = result.connection;
    connection.client = sockets.report(client, server, is_server ? peer : &socket);
    connection.server = sockets.report(server, client, is_server ? &socket : peer);

    PlainConnection plain{client, server, {}, {}};
    if (!is_server || peer != nullptr)
        plain.client_cgroup = connection.client.cgroup;
    if (is_server || peer != nullptr)
        plain.server_cgroup = connection.server.cgroup;
    result.verdicts = judge(plain, rules);
    result.advice = conclusion(result.verdicts, socket.data_segments);
    return result;
}

std::vector<Explanation> answer(const Question& question, const ConnectionsReport& covered,
                                const std::vector<RuleReport>& rules) {
    const Sockets sockets;
    std::set<std::uint64_t> wanted;  // cookies
    for (const Socket& socket : sockets.all())
        if (question.inodes.contains(socket.inode) && socket.inode != 0)
            wanted.insert(socket.cookie);

    std::vector<Explanation> result;
    std::set<std::uint64_t> told;  // cookies
    for (const ConnectionReport& connection : covered.connections) {
        told.insert({connection.client.cookie, connection.server.cookie});
        const auto is_meant = [&](const EndReport& end) {
            const auto address = Address::parse(end.address);
            const auto peer = Address::parse(end.peer_address);
            return wanted.contains(end.cookie) ||
                   (address && peer &&
                    question.asks_for({*address, end.port}, {*peer, end.peer_port}));
        };
        if (is_meant(connection.client) || is_meant(connection.server))
            result.push_back(ctl::explain(connection, rules));
    }
    for (const Socket& socket : sockets.all()) {
        const bool is_meant = wanted.contains(socket.cookie) ||
                              question.asks_for(local_of(socket), remote_of(socket));
        if (!socket.is_established || !is_meant || !told.insert(socket.cookie).second)
            continue;
        if (const Socket* peer = sockets.peer_of(socket))
            told.insert(peer->cookie);
        result.push_back(explain(sockets, socket, rules));
        Explanation& last = result.back();
        // One that is covered, or left out of the list, would look like this, too.
        last.is_private = covered.hidden > 0 && socket.uid != getuid();
        if (last.is_private || covered.omitted > 0) {
            last.verdicts.clear();
            last.advice = last.is_private ? "Run it as root, or with --all."
                                          : "There are too many connections to list them all.";
        }
    }
    return result;
}

int explain(const Common& common, const Options& options) {
    const Question question = question_of(options);
    Client client = connect(common);
    ConnectionsReport covered = client.connections(options.sees_all);
    if (options.sees_all && covered.hidden > 0)
        throw_others_are_hidden();
    identify(covered);
    const std::vector<Explanation> answers = answer(question, covered, client.rules());
    if (answers.empty() && !common.is_json)
        throw std::runtime_error(
            "there is no such TCP connection on this host, or none that you may see");
    show(common, common.is_json ? explanations_json(answers)
                                : explanations_text(answers, view_of_stdout()));
    return answers.empty() ? EXIT_FAILURE : EXIT_SUCCESS;
}

Run declare(CLI::App& app, const Common& common) {
    const auto options = std::make_shared<Options>();
    app.add_option("END", options->ends, "ADDRESS:PORT ADDRESS:PORT in either order, or a port")
        ->expected(0, 2);
    app.add_option("--pid", options->pid, "the connections of this process")->type_name("PID");
    app.add_flag("--all", options->sees_all, kAllHelp);
    return [&common, options] { return explain(common, *options); };
}

constexpr const char* kExamples =
    "explain 6379\tevery connection with this port\n"
    "explain 127.0.0.1:40000 127.0.0.1:6379\tone connection\n"
    "explain --pid $(pidof redis-server)\tall of a process\n";

}  // namespace

const Command explain_command{"explain",
                              "why a connection is accelerated or not, and what would change it",
                              kExamples, declare};

}  // namespace sockaccel::ctl
