// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel_verdict.hpp"

#include <algorithm>
#include <array>

namespace sockaccel {
namespace {

constexpr const char* kNothing = "nothing is accelerated";

struct CheckInfo {
    Check check;
    const char* name;
    const char* if_wrong;  // the consequence, beside that of a hazard
    const char* if_right;
    bool is_required;
    std::optional<Hazard> hazard;
};

constexpr std::array<CheckInfo, kCheckCount> kChecks{{
    {Check::types, "types", kNothing, "", true, {}},
    {Check::table, "table", kNothing, "", true, {}},
    {Check::order, "order", kNothing, "", true, {}},
    {Check::accounting, "accounting", kNothing, "", true, {}},
    {Check::fionread_redirected, "fionread-redirected", "", "", false, Hazard::fionread},
    {Check::fionread_plain, "fionread-plain", "", "", false, Hazard::fionread},
    {Check::fionread_both, "fionread-both", "", "", false, Hazard::fionread},
    {Check::end_of_file, "end-of-file", kNothing, "", true, {}},
    {Check::half_close, "half-close", kNothing, "", true, {}},
    {Check::removal, "removal", kNothing, "", true, {}},
    {Check::blocking,
     "blocking",
     "blocking sockets stay in TCP; a rule that tolerates \"blocking\" makes them see this",
     "blocking sockets stay in TCP; a rule that tolerates \"blocking\" does not harm them so",
     false,
     {}},
    {Check::splice, "splice", "", "", false, Hazard::splice},
    {Check::waitall, "waitall", "", "", false, Hazard::waitall},
    {Check::fentry,
     "fentry",
     "the use of FIONREAD, splice(2) and MSG_WAITALL cannot be watched",
     "",
     false,
     {}},
}};

const CheckInfo& info_of(Check check) {
    return kChecks[static_cast<std::size_t>(check)];
}

std::string named(Hazard hazard, const std::string& fionread_class) {
    switch (hazard) {
        case Hazard::fionread:
            return "FIONREAD (" + fionread_class + ")";
        case Hazard::splice:
            return "splice(2)";
        case Hazard::waitall:
            return "MSG_WAITALL";
        case Hazard::blocking:
        case Hazard::stall:
            break;  // no check is for these
    }
    return std::string(to_string(hazard));
}

// The kernels' three kinds, by what they count: kernel releases and their fixes do not tell.
std::string fionread_class(bool redirected, bool plain, bool both) {
    if (redirected && plain && both)
        return "class C: right";
    if (!redirected && plain)
        return "class A: redirected bytes are not counted";
    if (redirected && !plain)
        return "class B: bytes by TCP are not counted";
    return "of no known class";
}

}  // namespace

std::string_view to_string(Check check) {
    return info_of(check).name;
}

std::string_view to_string(KernelVerdict::State state) {
    switch (state) {
        case KernelVerdict::State::untested:
            return "testing";
        case KernelVerdict::State::usable:
            return "usable";
        case KernelVerdict::State::unusable:
            return "unusable";
    }
    return "?";
}

std::string Observation::line() const {
    std::string text = std::string(to_string(check)) + (ok ? "\tright\t" : "\twrong\t") + result;
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text;
}

std::optional<Observation> Observation::parse(std::string_view line) {
    const std::size_t first = line.find('\t');
    if (first == std::string_view::npos)
        return std::nullopt;
    const std::size_t second = line.find('\t', first + 1);
    if (second == std::string_view::npos)
        return std::nullopt;
    const std::string_view name = line.substr(0, first);
    const std::string_view word = line.substr(first + 1, second - first - 1);
    const auto* found = std::find_if(kChecks.begin(), kChecks.end(),
                                     [&](const CheckInfo& info) { return info.name == name; });
    if (found == kChecks.end() || (word != "right" && word != "wrong"))
        return std::nullopt;
    return Observation{found->check, word == "right", std::string(line.substr(second + 1))};
}

KernelVerdict judge(const std::vector<Observation>& observations, const std::string& ending) {
    std::array<Observation, kCheckCount> all;
    bool is_first_missing = true;
    for (const CheckInfo& info : kChecks) {
        const auto found =
            std::find_if(observations.begin(), observations.end(),
                         [&](const Observation& it) { return it.check == info.check; });
        Observation& observation = all[static_cast<std::size_t>(info.check)];
        if (found != observations.end()) {
            observation = *found;
            continue;
        }
        observation = {info.check, false,
                       is_first_missing && !ending.empty() ? "here " + ending : "not tried"};
        is_first_missing = false;
    }
    const auto is_right = [&](Check check) { return all[static_cast<std::size_t>(check)].ok; };
    const std::string its_class =
        fionread_class(is_right(Check::fionread_redirected), is_right(Check::fionread_plain),
                       is_right(Check::fionread_both));

    KernelVerdict verdict;
    verdict.state = KernelVerdict::State::usable;
    verdict.unhonoured.clear();
    verdict.has_fentry = is_right(Check::fentry);
    for (const CheckInfo& info : kChecks) {
        const Observation& seen = all[static_cast<std::size_t>(info.check)];
        Finding finding{info.name, seen.result, seen.ok ? info.if_right : info.if_wrong, seen.ok};
        if (!seen.ok && info.is_required) {
            verdict.state = KernelVerdict::State::unusable;
            verdict.flaw += verdict.flaw.empty() ? "" : "; ";
            verdict.flaw += std::string(info.name) + ": " + seen.result;
        }
        if (!seen.ok && info.hazard) {
            finding.consequence = "a rule has to tolerate \"";
            finding.consequence += to_string(*info.hazard);
            finding.consequence += '"';
            if (info.hazard == Hazard::fionread)
                finding.consequence += " (" + its_class + ")";
            if (verdict.unhonoured.empty() || verdict.unhonoured.back().hazard != *info.hazard)
                verdict.unhonoured.push_back({*info.hazard, named(*info.hazard, its_class)});
        }
        verdict.findings.push_back(std::move(finding));
    }
    return verdict;
}

}  // namespace sockaccel
