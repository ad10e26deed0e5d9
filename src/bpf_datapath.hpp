// SPDX-License-Identifier: GPL-2.0-or-later
// The real datapath: the BPF programs of bpf/, loaded and driven. Only this file, witness and
// kernel_support know libbpf. Nothing is pinned: what outlives this object is in the store of
// descriptors.
#pragma once

#include <filesystem>
#include <memory>

#include "datapath.hpp"
#include "fd_store.hpp"

namespace sockaccel {

class BpfDatapath final : public Datapath {
  public:
    // Loads the programs. If `store` has what a daemon of this ABI left, and that is whole, they
    // take over its maps and links: connections go on. Else what is there is taken out first, for
    // at most `patience`; nothing is attached, and the tables are sized by `limits.connections`
    // once and for all. The store has to outlive this. `cgroup_root` is where the cgroup2 file
    // system is mounted. Throws Unsupported (kernel_support.hpp).
    BpfDatapath(const Limits& limits, std::filesystem::path cgroup_root, FdStore& store,
                std::chrono::milliseconds patience);
    ~BpfDatapath() override;

    [[nodiscard]] std::optional<Inheritance> inheritance() override;
    void set_tables(const Tables& tables, const Limits& limits,
                    const KernelVerdict& verdict) override;
    std::vector<std::string> set_membership(const Membership& membership) override;
    void drain(RuleMask rules, Reason reason) override;
    void pause(RuleMask rules) override;
    [[nodiscard]] bool witness_watches() override;
    void adopt() override;
    PassResult pass(Pass kind) override;
    [[nodiscard]] int event_fd() const override;
    bool take_events(const std::function<void(const ConnectionEvent&)>& sink) override;
    void want_events(bool wanted) override;
    [[nodiscard]] Listing connections(Which which, std::uint32_t most,
                                      std::optional<std::uint32_t> viewer) override;
    [[nodiscard]] Census census() override;
    [[nodiscard]] RuleCounters counters(RuleId rule) override;
    [[nodiscard]] Totals totals() override;
    [[nodiscard]] Conversations conversations() override;
    [[nodiscard]] std::vector<std::string> foreign(const PathOfCgroup& path_of) override;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sockaccel
