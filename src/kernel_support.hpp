// SPDX-License-Identifier: GPL-2.0-or-later
// What the datapath needs from the kernel, and which of it is missing here.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace sockaccel {

// This kernel, or this process's rights, do not suffice. what() lists everything that is missing, a
// line each.
class Unsupported : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// Asks the kernel, never its version number: BTF, capabilities, map and program types, helpers.
// Empty: all there.
[[nodiscard]] std::vector<std::string> missing_kernel_support();

// Of the kernel itself or of a module. Throws std::system_error if that cannot be asked.
[[nodiscard]] bool kernel_has_function(std::string_view name);

// "6.1.0-18-amd64"
[[nodiscard]] std::string kernel_release();

}  // namespace sockaccel
