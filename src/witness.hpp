// SPDX-License-Identifier: GPL-2.0-or-later
// The witness of bpf/witness.bpf.c: loaded and attached while it is needed, and not longer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

struct bpf_object;

namespace sockaccel {

class Witness {
  public:
    // `main`: the loaded object whose maps it shares. It has to outlive the witness.
    explicit Witness(bpf_object& main);
    ~Witness();

    // Does this kernel let it load and attach? Asked once, by doing it.
    [[nodiscard]] bool can_watch();

    // What to watch for from now on, bits of enum sa_tolerate; 0: nothing stays loaded. Does
    // nothing where it cannot watch.
    void watch(std::uint32_t hazards);
    [[nodiscard]] std::uint32_t watched() const { return watched_; }

  private:
    struct Programs;

    [[nodiscard]] std::unique_ptr<Programs> load(std::uint32_t hazards) const;

    bpf_object& main_;
    std::optional<bool> can_watch_;
    std::unique_ptr<Programs> programs_;
    std::uint32_t watched_ = 0;
};

}  // namespace sockaccel
