// SPDX-License-Identifier: GPL-2.0-or-later
#include "programs.hpp"

#include <algorithm>
#include <chrono>

#include "slowness.hpp"
#include "wait_until.hpp"

namespace sockaccel::test {

std::string output_of(const Process& process) {
    return process.standard_output() + process.standard_error();
}

void Programs::wait_for_enrolled(std::size_t count, const Process& program) {
    ASSERT_TRUE(wait_until([this, count] {
        const auto all = connections();
        return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [](const Seen& seen) {
                   return seen.state == "enrolled";
               })) >= count;
    })) << connections_text()
        << output_of(program);
}

std::string Programs::connections_text() {
    std::string text;
    for (const Seen& seen : connections())
        text += seen.text() + "\n";
    return text;
}

std::vector<std::string> Programs::python(const std::vector<std::string>& arguments) {
    std::vector<std::string> all = {"/usr/bin/python3", PROGRAMS_PY};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return all;
}

void Programs::await_ports(const std::vector<std::string>& ports) {
    std::vector<std::string> arguments = {"await"};
    arguments.insert(arguments.end(), ports.begin(), ports.end());
    const Outcome outcome =
        run(client_place_.command(python(arguments)), slowness() * std::chrono::seconds(30));
    ASSERT_EQ(outcome.status, 0) << outcome.error;
}

void Programs::expect_right(const Command& client, std::uint64_t least,
                            const std::vector<const Process*>& servers) {
    const std::uint64_t before = counters().at("redirected_bytes");
    Process process(client);
    const auto status = process.wait(slowness() * std::chrono::seconds(40));
    std::string servers_wrote;
    for (const Process* server : servers)
        servers_wrote += output_of(*server);
    if (!status)
        servers_wrote += "\nconnections:\n" + connections_text();
    EXPECT_TRUE(status && *status == 0)
        << (status ? "" : "the client does not end ") << output_of(process) << "\nservers:\n"
        << servers_wrote;
    EXPECT_GE(counters().at("redirected_bytes") - before, slower(slower(least)))
        << output_of(process) << connections_text();
}

}  // namespace sockaccel::test
