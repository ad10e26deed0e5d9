// SPDX-License-Identifier: GPL-2.0-or-later
// Log lines: to the journal, with fields, when that is where standard error goes; else to standard
// error, without them. Whoever makes the daemon say much is cut short: the next line tells of it.
#pragma once

#include <string>
#include <string_view>

namespace sockaccel::log {

// MESSAGE_ID of systemd/sockaccel.catalog, which explains each of them to the administrator.
namespace id {
inline constexpr std::string_view kStarted = "0b9a9054cd414266b60516f04d8c15c8";
inline constexpr std::string_view kRuleRefused = "3d32a52edbff4d079b44fb14a03f9aa3";
inline constexpr std::string_view kPolicyRefused = "7ea2123b231f4f63a0cd3b112014d2f7";
inline constexpr std::string_view kKernelUnusable = "664dc5b3e674474f89d098af9334b0c3";
inline constexpr std::string_view kConnectionRemains = "71e0d62077c4431e87e66b4339afd8c2";
inline constexpr std::string_view kForeignProgram = "fe48c78b56d648e2863be74555c60a61";
}  // namespace id

// What a line is about, for programs; "": nothing of the kind.
struct Fields {
    std::string_view id = {};  // MESSAGE_ID
    std::string rule = {};     // SOCKACCEL_RULE
    std::string cgroup = {};   // SOCKACCEL_CGROUP, a path; SOCKACCEL_UNIT is made from it
    std::string reason = {};   // SOCKACCEL_REASON
};

void error(const std::string& message, const Fields& fields = {});
void warning(const std::string& message, const Fields& fields = {});
void notice(const std::string& message, const Fields& fields = {});
void info(const std::string& message, const Fields& fields = {});

// The systemd unit that a cgroup belongs to, by its path: the innermost directory that is named as
// a unit is; "" if none is.
[[nodiscard]] std::string unit_of(std::string_view cgroup);

}  // namespace sockaccel::log
