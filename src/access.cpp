// SPDX-License-Identifier: GPL-2.0-or-later
#include "access.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <numeric>
#include <utility>

#include "bus_names.hpp"
#include "log.hpp"
#include "raw_message.hpp"
#include "sdbus_compat.hpp"

namespace sockaccel {
namespace {

// Callers that flood the daemon are refused beyond these.
constexpr std::size_t kMaxLookups = 1024;
constexpr std::size_t kMaxQuestions = 64;  // dbus-daemon lets one client wait for 128 answers
constexpr std::size_t kMaxQuestionsOfOne = 8;

// For people who look for their password.
constexpr std::chrono::minutes kPatience{3};

// Of polkit's interface.
using Subject = sdbus::Struct<std::string, std::map<std::string, sdbus::Variant>>;
using Answer = sdbus::Struct<bool, bool, std::map<std::string, std::string>>;
constexpr std::uint32_t kMayAsk = 1;

std::string id_of(Access::Action action) {
    return std::string(kBusName) + (action == Access::Action::inspect ? ".inspect" : ".manage");
}

// Root, and who could do as much to the daemon by a signal or a debugger.
bool is_trusted(uid_t uid) {
    return uid == 0 || uid == ::geteuid();
}

Access::Verdict denied(Access::Verdict verdict, std::string why,
                       const char* error = "org.freedesktop.DBus.Error.AccessDenied") {
    verdict.is_allowed = false;
    verdict.error = error;
    verdict.why = std::move(why);
    return verdict;
}

Access::Verdict busy(Access::Verdict verdict) {
    return denied(std::move(verdict), "too many callers wait to be allowed something: try again",
                  "org.freedesktop.DBus.Error.LimitsExceeded");
}

// There are C frames around us.
void pass_on(const Access::Then& then, const Access::Verdict& verdict) {
    try {
        then(verdict);
    } catch (const std::exception& error) {
        log::error(std::string("answer a caller on the bus: ") + error.what());
    }
}

Access::Verdict judge(Access::Verdict verdict, const Answer& answer, bool may_be_asked,
                      const std::string& action) {
    const bool is_allowed = std::get<0>(answer), would_ask = std::get<1>(answer);
    if (is_allowed) {
        verdict.is_allowed = true;
        return verdict;
    }
    if (std::get<2>(answer).contains("polkit.dismissed"))
        return denied(std::move(verdict), action +
                                              " was not authorized: the question for a "
                                              "password was dismissed");
    if (would_ask && !may_be_asked)
        return denied(std::move(verdict),
                      action +
                          " needs an administrator's password: call it as root, or so that it "
                          "may ask, as busctl --allow-interactive-authorization=true does",
                      "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired");
    if (would_ask)
        return denied(std::move(verdict),
                      action +
                          " needs an administrator's password, and there is nothing to ask for "
                          "it: run it as root, or start a polkit agent, such as pkttyagent(1)");
    // Of actions that would be kept, polkit says so when it has asked.
    if (std::get<2>(answer).contains("polkit.retains_authorization_after_challenge"))
        return denied(std::move(verdict),
                      action + " was not authorized: the password was not the administrator's");
    const std::string uid = std::to_string(verdict.uid);
    return denied(std::move(verdict), "polkit does not allow " + action + " for uid " + uid +
                                          ": run it as root, or see polkit(8) for how to allow it");
}

}  // namespace

Access::Caller Access::Caller::of(const sdbus::Message& call) {
    return {call.getSender(),
            sd_bus_message_get_allow_interactive_authorization(RawMessage::of(call)) > 0};
}

Access::Access(sdbus::IConnection& connection)
    : bus_(sdbus::createProxy(connection, BusName("org.freedesktop.DBus"),
                              sdbus::ObjectPath("/org/freedesktop/DBus"))),
      polkit_(sdbus::createProxy(connection, BusName("org.freedesktop.PolicyKit1"),
                                 sdbus::ObjectPath("/org/freedesktop/PolicyKit1/Authority"))) {}

void Access::ask(const Caller& caller, Action action, Then then) {
    if (lookups_ >= kMaxLookups)
        return pass_on(then, busy({}));
    ++lookups_;
    const auto learn = [this, caller, action, then = std::move(then)](ReplyError error,
                                                                      std::uint32_t uid) {
        --lookups_;
        if (error)  // it is gone, most likely
            return pass_on(then, denied({}, "who " + caller.name + " is, the bus does not say: " +
                                                error->getMessage()));
        if (is_trusted(uid))
            return pass_on(then, {uid, true, {}, {}});
        ask_polkit(caller, action, {uid, false, {}, {}}, then);
    };
    bus_->callMethodAsync("GetConnectionUnixUser")
        .onInterface("org.freedesktop.DBus")
        .withArguments(caller.name)
        .uponReplyInvoke(learn);
}

void Access::ask_polkit([[maybe_unused]] const Caller& caller, Action action, Verdict verdict,
                        Then then) {
    if constexpr (!SOCKACCEL_POLKIT)
        return pass_on(then, denied(std::move(verdict),
                                    "only root may do it: sockaccel was built without polkit"));
    const std::size_t all =
        std::accumulate(questions_.begin(), questions_.end(), std::size_t{0},
                        [](std::size_t sum, const auto& of_user) { return sum + of_user.second; });
    if (all >= kMaxQuestions || questions_[verdict.uid] >= kMaxQuestionsOfOne)
        return pass_on(then, busy(std::move(verdict)));
    ++questions_[verdict.uid];
    const auto take = [this, action, may_be_asked = caller.may_be_asked, verdict,
                       then = std::move(then)](ReplyError error, const Answer& answer) {
        if (--questions_[verdict.uid] == 0)
            questions_.erase(verdict.uid);
        if (error)
            return pass_on(then, denied(verdict,
                                        "only root may do it, as polkit is not there to "
                                        "ask: " +
                                            error->getMessage()));
        pass_on(then, judge(verdict, answer, may_be_asked, id_of(action)));
    };
    polkit_->callMethodAsync("CheckAuthorization")
        .onInterface("org.freedesktop.PolicyKit1.Authority")
        .withTimeout(kPatience)
        .withArguments(Subject{"system-bus-name", {{"name", sdbus::Variant(caller.name)}}},
                       id_of(action), std::map<std::string, std::string>{},
                       caller.may_be_asked ? kMayAsk : 0U, std::string{})
        .uponReplyInvoke(take);
}

}  // namespace sockaccel
