// SPDX-License-Identifier: GPL-2.0-or-later
// Each scenario gives the same on an enrolled pair as on plain TCP, but for the differences that
// sockaccel(7) tells.
#include <algorithm>
#include <fstream>
#include <memory>
#include <sstream>

#include "kernel_test.hpp"
#include "scenarios.hpp"

namespace sockaccel::test {
namespace {

// One daemon for the whole suite, with a plain and an enrolled pair for each scenario: to enrol
// takes more than a second.
class Stage : public KernelTest {
  public:
    explicit Stage(const std::string& tolerated) {
        start_daemon(rule("test", {covered_.path()}, {}, tolerated));
        // Each with a port of its own: what the witness sees in one holds for all of its port.
        for (std::size_t count = 0; count < scenarios().size(); count++) {
            plain_.push_back(connect_pair({.client = Place(other_), .server = Place(other_)}));
            enrolled_.push_back(connect_pair(covered_route()));
        }
        warm_up(enrolled_, slowness() * std::chrono::seconds(20));
    }
    ~Stage() override {
        plain_.clear();
        enrolled_.clear();
        EXPECT_EQ(stop_daemon(), 0) << daemon_->output();
    }

    [[nodiscard]] TcpPair& plain(std::size_t scenario) { return plain_.at(scenario); }
    [[nodiscard]] TcpPair& enrolled(std::size_t scenario) { return enrolled_.at(scenario); }
    using KernelTest::counters;
    using KernelTest::look;

  private:
    void TestBody() override {}

    std::vector<TcpPair> plain_, enrolled_;
};

class Conformance : public ::testing::TestWithParam<std::size_t> {
  protected:
    static void SetUpTestSuite() { stage_ = std::make_unique<Stage>(""); }
    static void TearDownTestSuite() { stage_.reset(); }

    static void run(const Scenario& scenario, Scenario::Redirects redirects,
                    const std::optional<Difference>& difference);

    static inline std::unique_ptr<Stage> stage_;
};

// The same on pairs whose ends have entered at connect, as those of blocking programs do.
class ConformanceAtConnect : public Conformance {
  protected:
    static void SetUpTestSuite() { stage_ = std::make_unique<Stage>("blocking"); }
};

std::string text_of(const Transcript& transcript) {
    std::string text;
    for (const std::string& line : transcript)
        text += "    " + line + "\n";
    return text;
}

// As a reader sees it, roughly: without macros, in one line.
std::string manual() {
    std::ifstream page(SOCKACCEL_7);
    std::string all, line;
    while (std::getline(page, line)) {
        std::istringstream words(line);
        std::string word;
        if (!line.empty() && line[0] == '.')
            words >> word;  // the macro
        while (words >> word)
            all += word + " ";
    }
    return all;
}

void Conformance::run(const Scenario& scenario, Scenario::Redirects redirects,
                      const std::optional<Difference>& expected) {
    TcpPair& enrolled = stage_->enrolled(GetParam());
    ASSERT_EQ(stage_->look(enrolled).state, "enrolled") << stage_->look(enrolled).text();

    Wire plain(stage_->plain(GetParam()));
    scenario.run(plain);
    const Counts before = stage_->counters();
    Wire accelerated(enrolled);
    scenario.run(accelerated);
    const Counts after = stage_->counters();

    const auto redirected = after.at("redirected_bytes") - before.at("redirected_bytes");
    if (redirects == Scenario::Redirects::all) {
        EXPECT_EQ(redirected, accelerated.sent);
    } else if (redirects == Scenario::Redirects::some) {
        EXPECT_GT(redirected, 0U);
    } else if (redirects == Scenario::Redirects::none) {
        EXPECT_EQ(redirected, 0U);
    }

    if (!expected) {
        EXPECT_EQ(accelerated.transcript, plain.transcript)
            << "plain:\n"
            << text_of(plain.transcript) << "accelerated:\n"
            << text_of(accelerated.transcript);
        return;
    }
    const Difference& difference = *expected;
    EXPECT_NE(manual().find(difference.sentence), std::string::npos)
        << "sockaccel(7) does not say: " << difference.sentence;
    for (const Transcript& one : difference.accelerated)
        EXPECT_NE(one, plain.transcript) << "this is no difference";
    const bool is_told = std::find(difference.accelerated.begin(), difference.accelerated.end(),
                                   accelerated.transcript) != difference.accelerated.end();
    EXPECT_TRUE(is_told ||
                (difference.some_kernels_do_as_plain && accelerated.transcript == plain.transcript))
        << "plain:\n"
        << text_of(plain.transcript) << "accelerated:\n"
        << text_of(accelerated.transcript) << "but said to be:\n"
        << text_of(difference.accelerated.front());
}

TEST_P(Conformance, IsAsOnPlainTcp) {
    const Scenario& scenario = scenarios()[GetParam()];
    run(scenario, scenario.redirects, scenario.difference);
}

TEST_P(ConformanceAtConnect, IsAsOnPlainTcp) {
    const Scenario& scenario = scenarios()[GetParam()];
    if (scenario.tolerated)
        run(scenario, scenario.tolerated->redirects, scenario.tolerated->difference);
    else
        run(scenario, scenario.redirects, scenario.difference);
}

std::string name_of(const ::testing::TestParamInfo<std::size_t>& test) {
    return scenarios()[test.param].name;
}

INSTANTIATE_TEST_SUITE_P(, Conformance, ::testing::Range(std::size_t{0}, scenarios().size()),
                         name_of);
INSTANTIATE_TEST_SUITE_P(, ConformanceAtConnect,
                         ::testing::Range(std::size_t{0}, scenarios().size()), name_of);

}  // namespace
}  // namespace sockaccel::test
