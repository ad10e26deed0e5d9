// SPDX-License-Identifier: GPL-2.0-or-later
// Descriptors that outlive this process: the service manager keeps a copy of each, over a restart,
// a crash and an upgrade, and passes them to the next daemon (FDSTORE=1, see sd_notify(3)). Without
// a service manager, or without a store, they go with the process.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fd.hpp"

namespace sockaccel {

// "sockaccel.2.map.pairs": what a descriptor is, and by which ABI. This form is the same in every
// version: it is how one daemon finds what another one left.
struct StoredName {
    unsigned abi = 0;
    std::string name;

    auto operator<=>(const StoredName&) const = default;

    [[nodiscard]] std::string text() const;
    // None: it is not one of ours.
    [[nodiscard]] static std::optional<StoredName> parse(std::string_view text);
};

class FdStore {
  public:
    // Takes what the service manager passes on; descriptors with other names are left alone.
    explicit FdStore(unsigned abi);

    // -1 if there is none of this name (and ABI). Stays the store's.
    [[nodiscard]] int get(const std::string& name) const;
    // In the place of another one of this name, if there is one.
    void put(const std::string& name, Fd fd);
    // Closes it, too.
    void remove(const std::string& name);
    [[nodiscard]] std::vector<std::string> names() const;  // of this ABI
    [[nodiscard]] std::size_t size() const { return kept_.size(); }

    // Was anything passed on that cannot be told apart, or is of another ABI?
    [[nodiscard]] bool is_mixed() const;
    // What has this name, of each ABI.
    [[nodiscard]] std::vector<int> all(const std::string& name) const;
    void clear();

  private:
    void forget(const StoredName& name) const;

    unsigned abi_;
    std::multimap<StoredName, Fd> kept_;
};

}  // namespace sockaccel
