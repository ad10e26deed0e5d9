// SPDX-License-Identifier: GPL-2.0-or-later
// `sockaccelctl run` where systemd runs: the command has a scope.
#include <string>

#include "system_test.hpp"

namespace sockaccel::test {
namespace {

// Says in which cgroup it is; a client and a server in it talk for four seconds.
constexpr const char* kTalk = R"(
import asyncio, sys, time
print(open("/proc/self/cgroup").read().split("0::")[1].strip(), flush=True)
async def answer(reader, writer):
    while line := await reader.readline():
        writer.write(line)
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    end = time.monotonic() + 4
    while time.monotonic() < end:
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        await asyncio.sleep(0.01)
asyncio.run(main())
sys.exit(7)
)";

class Run : public SystemTest {};

TEST_F(Run, ACommandIsAcceleratedInAScopeOfItsOwn) {
    systemctl({"start", kService});
    const Outcome outcome = run_program({"sockaccelctl", "run", "--tolerate",
                                         "fionread,splice,waitall", "--", "python3", "-c", kTalk});
    EXPECT_EQ(outcome.status, 7) << outcome.error;
    EXPECT_NE(outcome.output.find(".scope\n"), std::string::npos) << outcome.output;
    EXPECT_NE(outcome.error.find("1 of 1 connections were accelerated"), std::string::npos)
        << outcome.error;

    EXPECT_EQ(ask("rules")["rules"].size(), 0U);
    EXPECT_EQ(succeed({"systemctl", "list-units", "--all", "--plain", "--no-legend", "--type=scope",
                       "sockaccel*"}),
              "");
}

}  // namespace
}  // namespace sockaccel::test
