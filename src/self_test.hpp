// SPDX-License-Identifier: GPL-2.0-or-later
// Runs the measuring of the kernel in a process of its own, so that a kernel on which it hangs or
// crashes is a finding, and the event loop goes on meanwhile.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "event_loop.hpp"
#include "kernel_verdict.hpp"

namespace sockaccel {

class SelfTest {
  public:
    // Runs in the child, which has no descriptor of the daemon's; tells each observation at once.
    using Measure = std::function<void(const std::function<void(const Observation&)>& tell)>;

    // More than it takes on an emulated machine under load; a D-Bus caller waits 25 seconds.
    static constexpr std::chrono::seconds kPatience{20};
    // A kernel that fails may only have been short of memory: it is tested again, ever more rarely.
    static constexpr std::chrono::minutes kRetest{1}, kMostRetest{60};

    // `done` is called from the loop, once for each test that was started, here or by itself.
    SelfTest(EventLoop& loop, Measure measure,
             std::function<void(const KernelVerdict&, std::chrono::nanoseconds took)> done,
             std::chrono::milliseconds patience = kPatience,
             std::chrono::milliseconds retest = kRetest);
    ~SelfTest();  // ends a test that runs

    // Nothing, while one runs. A test that cannot be started is done at once: unusable.
    void start();
    [[nodiscard]] bool runs() const { return child_ != nullptr; }

  private:
    struct Child;
    void finish();
    void time_out();
    void conclude(const KernelVerdict& verdict, std::chrono::nanoseconds took);

    EventLoop& loop_;
    Measure measure_;
    std::function<void(const KernelVerdict&, std::chrono::nanoseconds)> done_;
    std::chrono::milliseconds patience_, retest_, next_retest_;
    std::unique_ptr<Child> child_;
    Source deferred_;
    Timer deadline_, again_;
};

}  // namespace sockaccel
