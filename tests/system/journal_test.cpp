// SPDX-License-Identifier: GPL-2.0-or-later
// What the service writes to the journal, for people and for programs.
#include <sstream>

#include "log.hpp"
#include "system_test.hpp"

namespace sockaccel::test {
namespace {

class Journal : public SystemTest {
  protected:
    // The entries with this MESSAGE_ID.
    std::vector<nlohmann::json> entries(std::string_view id) const {
        std::istringstream lines(journal({"--output=json"}));
        std::vector<nlohmann::json> result;
        for (std::string line; std::getline(lines, line);) {
            nlohmann::json entry = nlohmann::json::parse(line);
            if (entry.value("MESSAGE_ID", "") == id)
                result.push_back(std::move(entry));
        }
        return result;
    }

    void await(std::string_view id) const {
        ASSERT_TRUE(wait_until([&] { return !entries(id).empty(); })) << journal();
    }
};

TEST_F(Journal, OneLineTellsTheStartWithEachRulesState) {
    start_unit("client.service");
    write_policy(rule("pair", {"system.slice/client.service"}) +
                 rule("later", {"system.slice/later.service"}));
    systemctl({"start", kService});
    await(log::id::kStarted);
    const auto started = entries(log::id::kStarted);
    ASSERT_EQ(started.size(), 1U);
    const auto message = started.front().at("MESSAGE").get<std::string>();
    EXPECT_NE(message.find("started: later waiting (no cgroup"), std::string::npos) << message;
    EXPECT_NE(message.find("), pair active"), std::string::npos) << message;
    EXPECT_EQ(started.front().at("PRIORITY"), "5");
    EXPECT_EQ(started.front().at("SYSLOG_IDENTIFIER"), "sockacceld");
}

TEST_F(Journal, ARuleThatIsRefusedIsNamedInAField) {
    write_policy("[[rule]]\nname = \"strict\"\ncgroups = [\"system.slice\"]\n");
    systemctl({"start", kService});
    ASSERT_TRUE(wait_until([&] { return !entries(log::id::kStarted).empty(); })) << journal();
    const auto refused = entries(log::id::kRuleRefused);
    if (ask("rules").at("rules").at(0).at("state") != "refused")
        GTEST_SKIP() << "the witness loads on this kernel, so no rule is refused";
    ASSERT_EQ(refused.size(), 1U) << journal();
    EXPECT_EQ(refused.front().at("SOCKACCEL_RULE"), "strict");
    const std::string explained = journal({"--catalog", "--output=short"});
    EXPECT_NE(explained.find("Subject: A rule of sockaccel may not run"), std::string::npos)
        << explained;
    EXPECT_NE(explained.find("Rule strict accelerates nothing"), std::string::npos) << explained;
}

// A reader that does not read what was redirected to it.
TEST_F(Journal, AConnectionThatRemainsIsTracedToItsUnit) {
    start_unit("client.service");
    start_unit("server.service");
    write_policy(rule("pair", {"system.slice/client.service", "system.slice/server.service"}));
    systemctl({"start", kService});
    TcpPair pair =
        connect_pair({.client = place_of("client.service"), .server = place_of("server.service")});
    warm_up(pair);
    pair.client.send(1000);
    systemctl({"stop", kService});
    const auto remains = entries(log::id::kConnectionRemains);
    ASSERT_EQ(remains.size(), 1U) << journal();
    EXPECT_EQ(remains.front().at("SOCKACCEL_RULE"), "pair");
    EXPECT_EQ(remains.front().at("SOCKACCEL_CGROUP"), "system.slice/server.service");
    EXPECT_EQ(remains.front().at("SOCKACCEL_UNIT"), "server.service");
    read_all(pair);
}

}  // namespace
}  // namespace sockaccel::test
