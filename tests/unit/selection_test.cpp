// SPDX-License-Identifier: GPL-2.0-or-later
#include "selection.hpp"

#include <gtest/gtest.h>

namespace sockaccel::ctl {
namespace {

ConnectionReport connection(const std::string& rule, const std::string& unit, std::uint16_t port) {
    ConnectionReport result;
    result.rule = rule;
    result.state = "paired";
    result.reason = "blocking";
    result.server.unit = unit;
    result.client.peer_port = result.server.port = port;
    return result;
}

ConnectionsReport three() {
    return {{connection("redis", "redis.service", 6379), connection("web", "php@1.service", 80),
             connection("web", "nginx.service", 8080)},
            0,
            0,
            0};
}

std::vector<std::uint16_t> ports_of(const ConnectionsReport& report) {
    std::vector<std::uint16_t> result;
    for (const ConnectionReport& it : report.connections)
        result.push_back(it.server.port);
    return result;
}

std::vector<std::uint16_t> selected(const Selection& selection) {
    ConnectionsReport report = three();
    select(report, selection);
    EXPECT_EQ(report.connections.size() + report.filtered, 3u);
    return ports_of(report);
}

using Ports = std::vector<std::uint16_t>;

TEST(Selection, WithoutAnythingIsEverything) {
    EXPECT_EQ(selected({}), (Ports{6379, 80, 8080}));
}

TEST(Selection, OneOfEachKindHasToFit) {
    Selection selection;
    selection.rules = {"web", "gone"};
    EXPECT_EQ(selected(selection), (Ports{80, 8080}));
    selection.ports = {80, 6379};
    EXPECT_EQ(selected(selection), (Ports{80}));
    selection.states = {"enrolled"};
    EXPECT_EQ(selected(selection), Ports{});
}

TEST(Selection, UnitsAreWrittenAsForSystemctl) {
    Selection selection;
    selection.units = {"redis"};
    EXPECT_EQ(selected(selection), (Ports{6379}));
    selection.units = {"php@*.service", "nginx.service"};
    EXPECT_EQ(selected(selection), (Ports{80, 8080}));
    selection.units = {"ph"};
    EXPECT_EQ(selected(selection), Ports{});
}

TEST(Selection, OfEvents) {
    EventReport event;
    event.event = "left";
    event.rule = "web";
    event.reason = "closed";
    event.server_port = 80;
    Selection selection;
    selection.events = {"left"};
    selection.ports = {80};
    EXPECT_TRUE(selection.wants(event));
    selection.reasons = {"queue"};
    EXPECT_FALSE(selection.wants(event));
}

TEST(Selection, ASlipOfThePenIsRecognized) {
    const auto message = [](const std::string& value) -> std::string {
        try {
            require_known("state", {value}, kStates);
        } catch (const BadChoice& error) {
            return error.what();
        }
        return "";
    };
    EXPECT_EQ(message("paired"), "");
    EXPECT_EQ(message("pared"), "there is no state \"pared\": did you mean \"paired\"?");
    EXPECT_EQ(message("x"),
              "there is no state \"x\": it is one of unpaired, paired, opening, enrolled, "
              "draining");
}

TEST(Selection, SortsTheMostFirst) {
    ConnectionsReport report = three();
    report.connections[1].client.redirected_bytes = 5;
    report.connections[2].server.tcp_bytes = 9;
    sort(report, "bytes");
    EXPECT_EQ(ports_of(report), (Ports{8080, 80, 6379}));
    sort(report, "port");
    EXPECT_EQ(ports_of(report), (Ports{80, 6379, 8080}));
    sort(report, "unit");
    EXPECT_EQ(ports_of(report), (Ports{8080, 80, 6379}));
}

}  // namespace
}  // namespace sockaccel::ctl
