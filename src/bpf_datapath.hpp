// SPDX-License-Identifier: GPL-2.0-or-later
// The real datapath: the BPF programs of bpf/, loaded and driven. Only this file, witness and
// kernel_support know libbpf. Nothing is pinned: everything goes with this object, or with the
// process.
#pragma once

#include <filesystem>
#include <memory>

#include "datapath.hpp"

namespace sockaccel {

class BpfDatapath final : public Datapath {
  public:
    // Loads the programs; attaches nothing yet. The tables are sized by `limits.connections` once
    // and for all. `cgroup_root` is where the cgroup2 file system is mounted. Throws Unsupported
    // (kernel_support.hpp).
    BpfDatapath(const Limits& limits, std::filesystem::path cgroup_root);
    ~BpfDatapath() override;

    void set_tables(const Tables& tables, const Limits& limits) override;
    std::vector<std::string> set_membership(const Membership& membership) override;
    void drain(RuleMask rules, Reason reason) override;
    void pause(RuleMask rules) override;
    void set_drops_above_buffer(bool drops) override;
    [[nodiscard]] bool witness_watches() override;
    PassResult pass() override;
    [[nodiscard]] int event_fd() const override;
    bool take_events(const std::function<void(const ConnectionEvent&)>& sink) override;
    void want_events(bool wanted) override;
    [[nodiscard]] std::vector<Connection> connections() override;
    [[nodiscard]] RuleCounters counters(RuleId rule) override;
    [[nodiscard]] Totals totals() override;
    [[nodiscard]] std::vector<std::string> foreign(const PathOfCgroup& path_of) override;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sockaccel
