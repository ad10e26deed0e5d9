// SPDX-License-Identifier: GPL-2.0-or-later
// The installed polkit actions and bus policy, with the real polkit of a real systemd.
#include <pwd.h>

#include "system_test.hpp"

namespace sockaccel::test {
namespace {

class Access : public SystemTest {
  protected:
    static Outcome as_nobody(const Arguments& command) {
        Arguments all = {"sockaccelctl"};
        all.insert(all.end(), command.begin(), command.end());
        return run({.arguments = all, .environment = {}, .user = getpwnam("nobody")->pw_uid});
    }
};

TEST_F(Access, AUserMayLookAndPolkitDecidesOnMore) {
    write_policy(rule("redis", {"redis.slice"}));
    systemctl({"start", kService});
    const Outcome rules = as_nobody({"rules"});
    EXPECT_EQ(rules.status, 0) << rules.error;
    EXPECT_NE(rules.output.find("\nredis "), std::string::npos) << rules.output;
    EXPECT_EQ(as_nobody({"connections"}).status, 0);

    for (const char* command : {"pause", "resume", "reload", "probe"}) {
        const Outcome outcome = as_nobody({command});
        EXPECT_EQ(outcome.status, 1) << command;
        EXPECT_NE(outcome.error.find("org.sockaccel1.manage needs an administrator's password"),
                  std::string::npos)
            << outcome.error;
    }
    EXPECT_EQ(ask("status").at("paused"), nlohmann::json::array());

    write_file("/etc/polkit-1/rules.d/10-sockaccel-test.rules",
               "polkit.addRule(function(action, subject) {\n"
               "    if (subject.user == 'nobody' && action.id == 'org.sockaccel1.manage')\n"
               "        return polkit.Result.YES;\n"
               "});\n");
    EXPECT_TRUE(wait_until([] {
        return as_nobody({"pause", "redis"}).status == 0;
    })) << as_nobody({"pause", "redis"}).error;
    EXPECT_EQ(ask("status").at("paused"), nlohmann::json::array({"redis"}));
}

TEST_F(Access, AReloadTakesDropInsAndFailsIfOthersMayWriteThem) {
    write_policy(rule("redis", {"redis.slice"}));
    systemctl({"start", kService});
    const std::string drop_in = "/etc/sockaccel.d/50-web.toml";
    write_file(drop_in, rule("web", {"web.slice"}));
    systemctl({"reload", kService});
    EXPECT_NE(journal().find("added web\n"), std::string::npos) << journal();
    EXPECT_EQ(ask("rules").at("rules").size(), 2U);

    std::filesystem::permissions(drop_in, std::filesystem::perms::others_write,
                                 std::filesystem::perm_options::add);
    EXPECT_NE(run_program({"systemctl", "reload", kService}).status, 0);
    EXPECT_NE(journal().find(drop_in + ": writable by group or others (mode 0646): run chmod go-w"),
              std::string::npos)
        << journal();
    EXPECT_EQ(ask("rules").at("rules").size(), 2U) << "the old policy stays in force";
}

}  // namespace
}  // namespace sockaccel::test
