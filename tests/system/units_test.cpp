// SPDX-License-Identifier: GPL-2.0-or-later
// `units` of the policy with the real systemd: what is covered, and what is followed.
#include <poll.h>
#include <sys/socket.h>

#include "cgroup_tree.hpp"
#include "loopback.hpp"
#include "system_test.hpp"

namespace sockaccel::test {
namespace {

using Names = std::vector<std::string>;

constexpr const char* kSleep = "[Service]\nExecStart=/bin/sleep infinity\n";

// A connection of `client`'s cgroup to a port of this host, as any program may have it.
Fd connect_from(const std::string& client, std::uint16_t port) {
    Fd socket = place_of(client).socket(AF_INET);
    const sockaddr_in address = loopback(port);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
        errno != EINPROGRESS)
        check(-1, "connect");
    pollfd wanted{socket.get(), POLLOUT, 0};
    check(::poll(&wanted, 1, 10000), "wait for a connection");
    int error = 0;
    socklen_t size = sizeof error;
    check(::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size), "look at a connection");
    if (error != 0)
        throw std::system_error(error, std::generic_category(),
                                "connect to port " + std::to_string(port));
    return socket;
}

class Units : public SystemTest {
  protected:
    static std::string rule_for(const std::string& name, const Names& units) {
        std::string list;
        for (const std::string& unit : units)
            list += (list.empty() ? "\"" : ", \"") + unit + "\"";
        // "stall": Debian's redis has a user namespace of its own.
        return "[[rule]]\nname = \"" + name + "\"\nunits = [" + list +
               "]\nprove = \"0s\"\n"
               "tolerate = [\"fionread\", \"splice\", \"waitall\", \"stall\"]\n";
    }

    void start_service(const std::string& policy) {
        write_policy(policy);
        systemctl({"start", kService});
    }

    static nlohmann::json seen(const std::string& name) {
        const nlohmann::json answer = ask("rules");
        for (const nlohmann::json& one : answer.at("rules"))
            if (one.at("name") == name)
                return one;
        throw std::runtime_error("the daemon has no rule " + name);
    }

    // The rule selects these, soon.
    [[nodiscard]] static testing::AssertionResult selects(const std::string& name,
                                                          const Names& cgroups) {
        nlohmann::json last;
        if (wait_until([&] { return (last = seen(name)).at("selected_cgroups") == cgroups; }))
            return testing::AssertionSuccess();
        return testing::AssertionFailure() << last.dump(2);
    }

    // A new connection of the client's to this port is covered.
    [[nodiscard]] static testing::AssertionResult covers(const std::string& name,
                                                         const std::string& client,
                                                         std::uint16_t port) {
        const std::uint64_t before = seen(name).at("paired");
        const Fd connection = connect_from(client, port);
        // It is known when it has carried some segments with data: the begin of a request, for
        // nginx.
        const auto is_paired = [&] {
            check(static_cast<int>(::send(connection.get(), "G", 1, MSG_NOSIGNAL)), "send");
            return seen(name).at("paired") > before;
        };
        if (wait_until(is_paired))
            return testing::AssertionSuccess();
        return testing::AssertionFailure() << seen(name).dump(2);
    }

    static Names with_client(Names cgroups) {
        cgroups.insert(cgroups.begin(), "system.slice/client.service");
        return cgroups;
    }
};

TEST_F(Units, RedisAndNginxAreAcceleratedAndTheirRestartsFollowed) {
    start_unit("client.service");
    start_service(rule_for(
        "web", {"redis-server.service", "nginx.service", "client.service", "bench.service"}));
    systemctl({"start", "redis-server.service", "nginx.service"});
    const auto bench = [] {
        succeed({"systemd-run", "--quiet", "--wait", "--collect", "--unit=bench.service",
                 "redis-benchmark", "-c", "4", "-n", "300000", "-d", "1000", "-t", "set"});
    };
    for (int round = 0; round < 2; ++round) {
        EXPECT_TRUE(selects("web", with_client({"system.slice/nginx.service",
                                                "system.slice/redis-server.service"})));
        EXPECT_TRUE(covers("web", "client.service", 80));
        const std::uint64_t before = redirected_bytes("web");
        bench();
        EXPECT_GT(redirected_bytes("web"), before + 10000000);
        systemctl({"restart", "redis-server.service", "nginx.service"});
    }
    systemctl({"stop", "redis-server.service", "nginx.service"});
    EXPECT_TRUE(selects("web", with_client({})));
}

TEST_F(Units, AreFoundByAliasTemplateGlobSliceAndScope) {
    write_unit("one@.service", kSleep);
    write_unit("two.service", std::string(kSleep) + "[Install]\nAlias=second.service\n");
    write_unit("three.service", std::string(kSleep) + "Slice=some-where.slice\n");
    systemctl({"enable", "--quiet", "two.service"});
    start_service(rule_for("alias", {"second.service"}) + rule_for("template", {"one@.service"}) +
                  rule_for("glob", {"t*.service"}) + rule_for("instance", {"one@a-b.service"}) +
                  rule_for("slice", {"some.slice"}) + rule_for("scope", {"four.scope"}));
    EXPECT_TRUE(wait_until([] { return seen("template").at("state") == "waiting"; }));
    EXPECT_EQ(seen("template").at("why"), "none of its units runs at the moment");
    systemctl({"start", "one@1.service", "one@a-b.service", "two.service", "three.service"});
    succeed({"sh", "-c", "systemd-run --quiet --scope --unit=four sleep 600 &"});
    const std::string one = "system.slice/system-one.slice/one@";
    EXPECT_TRUE(selects("alias", {"system.slice/two.service"}));
    EXPECT_TRUE(selects("template", {one + "1.service", one + "a-b.service"}));
    EXPECT_TRUE(selects("instance", {one + "a-b.service"}));
    EXPECT_TRUE(
        selects("glob", {"some.slice/some-where.slice/three.service", "system.slice/two.service"}));
    EXPECT_TRUE(selects("slice", {"some.slice"}));
    EXPECT_TRUE(selects("scope", {"system.slice/four.scope"}));
    systemctl(
        {"stop", "one@1.service", "one@a-b.service", "two.service", "three.service", "four.scope"});
    systemctl({"disable", "--quiet", "two.service"});
    EXPECT_TRUE(selects("template", {}));
    EXPECT_TRUE(selects("glob", {}));
}

TEST_F(Units, ASocketActivatedServiceIsCoveredFromItsFirstConnection) {
    write_unit("echo.socket", "[Socket]\nListenStream=127.0.0.1:7007\n");
    write_unit("echo.service",
               "[Service]\nExecStart=/usr/bin/python3 -c \"import asyncio, socket\\n"
               "async def echo(reader, writer):\\n"
               "    while data := await reader.read(65536): writer.write(data)\\n"
               "async def main():\\n"
               "    server = await asyncio.start_server(echo, sock=socket.socket(fileno=3))\\n"
               "    await server.serve_forever()\\n"
               "asyncio.run(main())\"\n");
    start_unit("client.service");
    start_service(rule_for("echo", {"echo.service", "client.service"}));
    systemctl({"start", "echo.socket"});
    EXPECT_TRUE(selects("echo", with_client({"system.slice/echo.socket"})));
    EXPECT_EQ(property("echo.service", "ActiveState"), "inactive");
    EXPECT_TRUE(covers("echo", "client.service", 7007));
    EXPECT_TRUE(wait_until([] { return property("echo.service", "ActiveState") == "active"; }));
    EXPECT_TRUE(
        selects("echo", with_client({"system.slice/echo.service", "system.slice/echo.socket"})));
    EXPECT_TRUE(covers("echo", "client.service", 7007));
    systemctl({"stop", "echo.socket", "echo.service"});
}

TEST_F(Units, ALinkGoesWithItsUnit) {
    start_unit("client.service");
    start_service(rule_for("r", {"client.service", "late.service"}));
    EXPECT_TRUE(selects("r", with_client({})));
    const auto links = [] { return BpfObjects::held_by(main_pid()).links.size(); };
    const std::size_t before = links();
    start_unit("late.service");  // systemd has never heard of it
    EXPECT_TRUE(selects("r", with_client({"system.slice/late.service"})));
    EXPECT_TRUE(wait_until([&] { return links() == before + 1; }));
    TcpPair pair =
        connect_pair({.client = place_of("client.service"), .server = place_of("late.service")});
    warm_up(pair);
    systemctl({"stop", "late.service"});
    EXPECT_TRUE(selects("r", with_client({})));
    EXPECT_TRUE(wait_until([&] { return links() == before; })) << "though a connection lives on";
    converse(pair, {});
}

TEST_F(Units, AUserManagersUnitsAreBelowItsService) {
    start_unit("client.service");
    start_service(rule_for("user", {"user@65534.service", "client.service"}));
    systemctl({"start", "user@65534.service"});
    const std::string user = "user.slice/user-65534.slice/user@65534.service";
    EXPECT_TRUE(selects("user", with_client({user})));
    TcpPair pair = connect_pair({.client = place_of("client.service"),
                                 .server = Place(find_cgroup2_root() / user / "init.scope")});
    warm_up(pair);
    systemctl({"stop", "user@65534.service"});
}

TEST_F(Units, AReloadOfSystemdMayMoveThem) {
    write_unit("moving.service", kSleep);
    start_service(rule_for("r", {"moving.service", "new.service"}));
    systemctl({"start", "moving.service"});
    EXPECT_TRUE(selects("r", {"system.slice/moving.service"}));
    write_drop_in("moving.service", "[Service]\nSlice=other.slice\n");
    systemctl({"restart", "moving.service"});
    EXPECT_TRUE(selects("r", {"other.slice/moving.service"}));
    write_unit("real.service", std::string(kSleep) + "[Install]\nAlias=new.service\n");
    systemctl({"enable", "--now", "--quiet", "real.service"});
    EXPECT_TRUE(selects("r", {"other.slice/moving.service", "system.slice/real.service"}));
    systemctl({"disable", "--now", "--quiet", "real.service"});
}

TEST_F(Units, AreFollowedThroughARestartOfSystemdAndOfTheBus) {
    write_unit("one@.service", kSleep);
    start_service(rule_for("r", {"one@*.service"}));
    Names expected, running;
    const auto start_one_more = [&] {
        const std::string name = "one@" + std::to_string(expected.size()) + ".service";
        systemctl({"start", name});
        running.push_back(name);
        expected.push_back("system.slice/system-one.slice/" + name);
    };
    start_one_more();
    EXPECT_TRUE(selects("r", expected));
    const pid_t pid = main_pid();
    systemctl({"daemon-reexec"});
    EXPECT_TRUE(selects("r", expected));
    start_one_more();
    EXPECT_TRUE(selects("r", expected));
    EXPECT_EQ(main_pid(), pid);

    systemctl({"restart", "dbus.service"});
    // The daemon is back on the bus, and hears of units again: nothing to report.
    EXPECT_TRUE(wait_until([] { return run_program({"sockaccelctl", "status"}).status == 0; }));
    EXPECT_TRUE(selects("r", expected));
    start_one_more();
    EXPECT_TRUE(selects("r", expected));
    EXPECT_EQ(main_pid(), pid);
    for (const std::string& name : running)
        systemctl({"stop", name});
}

}  // namespace
}  // namespace sockaccel::test
