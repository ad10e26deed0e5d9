// SPDX-License-Identifier: GPL-2.0-or-later
// Tests that run at the same time, in several processes, and those that may not: they change what
// all of the host's connections depend on.
#pragma once

namespace sockaccel::test {

// From now on each test waits while such a one runs.
void take_turns();

// To be called in a test: until its end no test of another process runs.
void be_alone();

}  // namespace sockaccel::test
