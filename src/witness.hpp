// SPDX-License-Identifier: GPL-2.0-or-later
// The witness of bpf/witness.bpf.c: loaded and attached while it is needed, and not longer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fd_store.hpp"

struct bpf_object;

namespace sockaccel {

class Witness {
  public:
    // `main`: the loaded object whose maps it shares. What is attached is in `store`, also what the
    // daemon before left there, until the first watch(). Both have to outlive the witness.
    Witness(bpf_object& main, FdStore& store);

    // Does this kernel let it load and attach? Asked once, by doing it.
    [[nodiscard]] bool can_watch();

    // What to watch for from now on, bits of enum sa_tolerate; 0: nothing stays loaded. Does
    // nothing where it cannot watch.
    void watch(std::uint32_t hazards);
    [[nodiscard]] std::uint32_t watched() const { return watched_.value_or(0); }

  private:
    using Links = std::vector<std::pair<std::string, Fd>>;  // by program

    [[nodiscard]] Links attach(std::uint32_t hazards) const;

    bpf_object& main_;
    FdStore& store_;
    std::optional<bool> can_watch_;
    std::optional<std::uint32_t> watched_;
};

}  // namespace sockaccel
