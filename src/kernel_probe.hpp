// SPDX-License-Identifier: GPL-2.0-or-later
// Measures what redirect does on this kernel, with private connections over loopback and programs
// of its own. Beside bpf_datapath and kernel_support the only file that knows libbpf.
#pragma once

#include <functional>

#include "kernel_verdict.hpp"

namespace sockaccel {

// Makes every check in turn and tells each as soon as it is made. Every wait is bounded. For a
// process of its own: it sets timers and signal handlers. Nothing is thrown.
void probe_kernel(const std::function<void(const Observation&)>& tell);

}  // namespace sockaccel
