// SPDX-License-Identifier: GPL-2.0-or-later
// What callers on the bus give: any sequence of Hold, Release, Pause, Resume and Reload with any
// arguments, on the real engine. Each is refused and changes nothing, or does what it says.
//
// An input is lines: "%METHOD [CALLER]", and below it the argument, up to the next such line. For
// Reload that is what is in the policy's file.
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "claim.hpp"
#include "engine.hpp"
#include "fake_datapath.hpp"
#include "holds.hpp"
#include "temporary_directory.hpp"

namespace sockaccel::fuzz {
namespace {

constexpr const char* kFile = R"(
[[rule]]
name = "redis"
cgroups = ["a"]
tolerate = ["fionread", "splice", "waitall"]
[[rule]]
name = "web"
cgroups = ["b/**"]
action = "observe"
)";

constexpr std::size_t kMaxErrorBytes = 64UL << 10;
constexpr std::size_t kMaxCalls = 50;

struct Call {
    std::string_view method, caller, argument;
};

std::string_view take_line(std::string_view& text) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    return line;
}

std::optional<Call> take_call(std::string_view& text) {
    if (text.empty())
        return {};
    std::string_view head = take_line(text);
    if (head.starts_with('%'))
        head.remove_prefix(1);
    const std::size_t blank = std::min(head.find(' '), head.size());
    const std::size_t end = text.starts_with('%') ? 0 : text.find("\n%");
    const std::string_view argument = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end == 0 ? 0 : end + 1);
    return Call{head.substr(0, blank), head.substr(std::min(blank + 1, head.size())), argument};
}

// One for all inputs: the kernel takes its time to end an inotify instance.
struct Host {
    Host() {
        for (const char* cgroup : {"a", "a/x", "b", "b/y"})
            root.make(cgroup);
    }
    TemporaryDirectory root;
    EventLoop loop;
    CgroupTree cgroups{root.path()};
};

Host& the_host() {
    static Host host;
    return host;
}

// As main.cpp has it, without what is logged.
class Service {
  public:
    Service() {
        engine_.take_verdict(judge({}, ""));
        engine_.apply(file_);
    }

    void call(const Call& it) {
        const Policy policy = engine_.policy(), file = file_;
        const Paused paused = engine_.paused();
        const Holds holds = holds_;
        try {
            perform(it);
        } catch (const PolicyError& error) {
            refused(error.what());
        } catch (const NoSuchRule& error) {
            refused(error.what());
        }
        if (is_refused_) {
            claim(engine_.policy() == policy && file_ == file && engine_.paused() == paused,
                  "what is refused changes nothing");
            holds_ = holds;
        }
        is_refused_ = false;
        check();
    }

    // Then only the file's rules are left.
    void release_all() {
        for (const std::string& caller : std::exchange(callers_, {}))
            call({"Release", caller, ""});
        claim(engine_.policy() == file_, "held rules go with their holders");
    }

  private:
    void perform(const Call& it) {
        const std::string caller(it.caller), argument(it.argument);
        if (it.method == "Hold") {
            Holds wanted = holds_;
            const std::vector<std::string> names = wanted.add(caller, argument);
            engine_.apply(wanted.added_to(file_));
            holds_ = std::move(wanted);
            callers_.insert(caller);
            for (const std::string& name : names)
                claim(holds_.holder_of(name) == caller, "a held rule has its holder", name);
        } else if (it.method == "Release") {
            holds_.release(caller);
            engine_.apply(holds_.added_to(file_));
        } else if (it.method == "Reload") {
            Policy fresh = parse_policy(argument, "f");
            engine_.apply(holds_.added_to(fresh));
            file_ = std::move(fresh);
        } else if (it.method == "Pause" || it.method == "Resume") {
            Paused paused = engine_.paused();
            if (it.method == "Pause")
                paused.pause(argument, names());
            else
                paused.resume(argument, names());
            engine_.pause(paused);
            claim(paused.has(argument) == (it.method == "Pause"), "it is paused, or is not");
        }
    }

    void refused(std::string_view why) {
        is_refused_ = true;
        claim(why.size() <= kMaxErrorBytes, "errors are bounded");
        const std::string valid = valid_utf8(why);
        for (std::string_view rest = valid; !rest.empty(); rest.remove_prefix(utf8_length(rest)))
            claim(utf8_length(rest) > 0, "errors can be sent");
    }

    [[nodiscard]] std::vector<std::string> names() const {
        std::vector<std::string> names;
        for (const RuleStatus& status : engine_.rules())
            names.push_back(status.rule.name);
        return names;
    }

    // What the kernel knows is what the bus shows.
    void check() const {
        std::map<std::string, RuleId> ids;
        RuleMask used = 0;
        for (const PlannedRule& planned : datapath_.tables.rules) {
            claim((used & mask_of(planned.id)) == 0, "no two rules have one id");
            used |= mask_of(planned.id);
            ids[planned.rule.name] = planned.id;
        }
        const Paused& paused = engine_.paused();
        claim(Paused::parse(paused.text()) == paused, "a restart finds what is paused");
        for (const RuleStatus& status : engine_.rules()) {
            claim(status.id.has_value() == (status.state != RuleState::refused),
                  "a rule has an id unless it is refused", status.rule.name);
            if (status.id)
                claim(ids.at(status.rule.name) == *status.id, "the kernel knows the rule",
                      status.rule.name);
        }
        std::set<std::string> all;
        for (const Rule& rule : engine_.policy().rules)
            claim(all.insert(rule.name).second, "no two rules have one name", rule.name);
    }

    Host& host_ = the_host();
    FakeDatapath datapath_;
    Engine engine_{host_.loop, datapath_, host_.cgroups};
    Policy file_ = parse_policy(kFile, "f");
    Holds holds_;
    std::set<std::string> callers_;
    bool is_refused_ = false;
};

}  // namespace
}  // namespace sockaccel::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sockaccel::fuzz;
    std::string_view text = text_of(data, size);
    Service service;
    for (std::size_t count = 0; count < kMaxCalls; ++count) {
        const std::optional<Call> call = take_call(text);
        if (!call)
            break;
        service.call(*call);
    }
    service.release_all();
    return 0;
}
