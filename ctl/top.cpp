// SPDX-License-Identifier: GPL-2.0-or-later
#include <CLI/CLI.hpp>

#include <chrono>
#include <optional>

#include "commands.hpp"
#include "rates.hpp"
#include "screen.hpp"
#include "selection.hpp"

namespace sockaccel::ctl {
namespace {

constexpr double kLeastDelay = 0.1, kLongestDelay = 3600;

struct Options {
    double delay = 1;
    std::uint64_t count = 0;  // 0: until it is ended
    std::vector<std::string> rules;
};

// Rates of the rules that are asked for, between two looks.
class Look {
  public:
    Look(const Common& common, const Options& options)
        : client_(connect(common)), options_(options) {
        require_rules(client_, options.rules);
        before_ = take();
    }

    [[nodiscard]] RatesReport next() {
        Snapshot now = take();
        RatesReport report = rates(before_, now);
        before_ = std::move(now);
        return report;
    }

  private:
    Snapshot take() {
        Snapshot snapshot{std::chrono::steady_clock::now(), client_.status()};
        if (!options_.rules.empty())
            std::erase_if(snapshot.status.rules, [this](const RuleReport& rule) {
                return std::find(options_.rules.begin(), options_.rules.end(), rule.name) ==
                       options_.rules.end();
            });
        return snapshot;
    }

    Client client_;
    const Options& options_;
    Snapshot before_;
};

int top(const Common& common, const Options& options) {
    if (options.delay < kLeastDelay || options.delay > kLongestDelay)
        throw std::runtime_error("--delay is in seconds, 0.1 to 3600");
    Look look(common, options);
    const auto delay = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::duration<double>(options.delay));
    Screen screen(!common.is_json && lines_of_stdout() > 0);
    std::optional<RatesReport> last;
    for (std::uint64_t shown = 0; options.count == 0 || shown < options.count;) {
        const Screen::Event event = screen.wait(delay);
        if (event == Screen::Event::end)
            break;
        if (event == Screen::Event::time) {
            last = look.next();
            ++shown;
        }
        if (!last)
            continue;
        if (common.is_json)
            print(rates_json(*last));
        else if (screen.is_terminal())
            screen.draw(rates_screen(*last, view_of_stdout()));
        else
            print(rates_lines(*last));
    }
    return EXIT_SUCCESS;
}

Run declare(CLI::App& app, const Common& common) {
    const auto options = std::make_shared<Options>();
    app.add_option("-d,--delay", options->delay, "seconds between two looks")
        ->type_name("SECONDS")
        ->capture_default_str();
    app.add_option("-n,--count", options->count, "end after so many looks")->type_name("COUNT");
    app.add_option("--rule", options->rules, "only of this rule")
        ->type_name("RULE")
        ->allow_extra_args(false);
    return [&common, options] { return top(common, *options); };
}

constexpr const char* kExamples =
    "top\tuntil q or Ctrl-C\n"
    "top -n 3 -d 10 --rule redis\tthree times ten seconds of one rule\n"
    "top --json | jq .rules\tone document a look\n";

}  // namespace

const Command top_command{"top", "live rates of each rule", kExamples, declare};

}  // namespace sockaccel::ctl
