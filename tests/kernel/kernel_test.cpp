// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel_test.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <set>
#include <stdexcept>
#include <thread>

namespace sockaccel::test {

namespace {

constexpr auto kBetweenTurns = std::chrono::milliseconds(5);
constexpr auto kBetweenLooks = std::chrono::milliseconds(50);

template <typename Value>
Value get(const Dict& dict, const std::string& key) {
    const auto found = dict.find(key);
    if (found == dict.end())
        throw std::runtime_error("the daemon's answer has no " + key);
    return found->second.get<Value>();
}

SeenEnd end_of(const Dict& dict, const std::string& prefix) {
    const auto number = [&](const char* key) { return get<std::uint64_t>(dict, prefix + key); };
    return {.cookie = number("cookie"),
            .queued_bytes = number("queued_bytes"),
            .redirected_messages = number("redirected_messages"),
            .redirected_bytes = number("redirected_bytes"),
            .tcp_messages = number("tcp_messages"),
            .tcp_bytes = number("tcp_bytes"),
            .reasons = get<Counts>(dict, prefix + "reasons")};
}

Seen seen_of(const Dict& dict) {
    return {.rule = get<std::string>(dict, "rule"),
            .state = get<std::string>(dict, "state"),
            .reason = get<std::string>(dict, "reason"),
            .besides = get<std::string>(dict, "besides"),
            .client = end_of(dict, "client_"),
            .server = end_of(dict, "server_")};
}

std::string text_of(const SeenEnd& end) {
    std::string text = fmt::format("{} bytes in {} messages redirected, {} in {} by TCP, {} queued",
                                   end.redirected_bytes, end.redirected_messages, end.tcp_bytes,
                                   end.tcp_messages, end.queued_bytes);
    for (const auto& reason : end.reasons)
        text += fmt::format(", {} {}", reason.first, reason.second);
    return text;
}

}  // namespace

std::string Seen::text() const {
    return fmt::format("{} by rule {}, reason {}; client: {}; server: {}", state, rule, reason,
                       text_of(client), text_of(server));
}

KernelTest::KernelTest()
    : covered_(cgroup_, "covered"),
      client_(covered_, "client"),
      server_(covered_, "server"),
      other_(cgroup_, "other") {}

void KernelTest::TearDown() {
    if (daemon_ && daemon_->process().runs()) {
        EXPECT_EQ(stop_daemon(), 0);
    }
    if (daemon_ && HasFailure())
        std::fprintf(stderr, "sockacceld wrote:\n%s", daemon_->output().c_str());
}

std::string KernelTest::usual_policy(const std::string& more) const {
    return rule("test", {covered_.path()}, more);
}

void KernelTest::start_daemon(const std::string& policy,
                              const std::vector<std::string>& arguments) {
    daemon_.emplace(policy, arguments, PrivateBus::Kind::open,
                    service_manager_ ? &*service_manager_ : nullptr);
}

void KernelTest::reload(const std::string& policy) {
    daemon_->write_policy(policy);
    daemon_->manager().Reload();
}

int KernelTest::stop_daemon() {
    return daemon_->stop();
}

void KernelTest::kill_daemon() {
    daemon_->process().signal(SIGKILL);
    if (!daemon_->process().wait())
        throw std::runtime_error("the daemon survives SIGKILL");
}

std::vector<Seen> KernelTest::connections() {
    std::vector<Seen> all;
    for (const Dict& dict : daemon_->connections())
        all.push_back(seen_of(dict));
    return all;
}

std::optional<Seen> KernelTest::find(const TcpPair& pair) {
    const std::uint64_t client = pair.client.cookie(), server = pair.server.cookie();
    for (const Seen& seen : connections())
        if (seen.client.cookie == client || seen.server.cookie == server)
            return seen;
    return {};
}

Seen KernelTest::look(const TcpPair& pair) {
    const auto seen = find(pair);
    if (!seen)
        throw std::runtime_error("the daemon does not know this connection: " + pair.client.text());
    return *seen;
}

Counts KernelTest::counters(const std::string& rule) {
    return daemon_->rule(rule)->Counters();
}

Counts KernelTest::status() {
    Counts numbers;
    for (const auto& [key, value] : daemon_->status()) {
        const std::string type = value.peekValueType();
        if (type == "t")
            numbers[key] = value.get<std::uint64_t>();
        else if (type == "u")
            numbers[key] = value.get<std::uint32_t>();
    }
    return numbers;
}

std::string KernelTest::state_of(const std::string& rule) {
    return daemon_->rule(rule)->State();
}

void KernelTest::subscribe() {
    daemon_->manager().Subscribe();
}

std::vector<SeenEvent> KernelTest::events() {
    daemon_->take_signals();
    std::vector<SeenEvent> seen;
    for (const auto& [kind, details] : daemon_->manager().events)
        seen.push_back({.kind = kind,
                        .rule = get<std::string>(details, "rule"),
                        .reason = get<std::string>(details, "reason"),
                        .client_cookie = get<std::uint64_t>(details, "client_cookie")});
    return seen;
}

void KernelTest::warm_up(TcpPair& pair, Timeout timeout) {
    warm_up(std::span(&pair, 1), timeout);
}

void KernelTest::warm_up(std::span<TcpPair> pairs, Timeout timeout) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    std::set<std::uint64_t> cookies;
    for (const TcpPair& pair : pairs)
        cookies.insert(pair.client.cookie());
    auto next_look = std::chrono::steady_clock::now();
    for (;;) {
        for (TcpPair& pair : pairs)
            converse(pair, {});
        std::this_thread::sleep_for(kBetweenTurns);
        const auto now = std::chrono::steady_clock::now();
        if (now < next_look)
            continue;
        const auto all = connections();
        const auto enrolled = std::count_if(all.begin(), all.end(), [&](const Seen& seen) {
            return seen.state == "enrolled" && cookies.count(seen.client.cookie) > 0;
        });
        if (static_cast<std::size_t>(enrolled) == pairs.size())
            return;
        if (now > deadline) {
            std::string text;
            for (const Seen& seen : all)
                text += "\n  " + seen.text();
            throw std::runtime_error(fmt::format("{} of {} connections are enrolled, of {}:{}",
                                                 enrolled, pairs.size(), all.size(), text));
        }
        next_look = std::chrono::steady_clock::now() + kBetweenLooks;
    }
}

Route KernelTest::covered_route() const {
    return {.client = Place(client_), .server = Place(server_)};
}

void KernelTest::expect_plain(TcpPair& pair) {
    read_all(pair);
    ASSERT_EQ(pair.client.send(10), 10U);
    pollfd polled{pair.server.fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&polled, 1, 5000 * slowness()), 1);
    EXPECT_EQ(pair.server.readable_bytes(), 10U);
    read_all(pair);
}

void KernelTest::expect_untouched(TcpPair& pair) {
    const auto seen = find(pair);
    EXPECT_FALSE(seen) << seen->text();
    expect_plain(pair);
}

}  // namespace sockaccel::test
