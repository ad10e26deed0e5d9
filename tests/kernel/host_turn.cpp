// SPDX-License-Identifier: GPL-2.0-or-later
#include "host_turn.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include "fd.hpp"

namespace sockaccel::test {
namespace {

constexpr const char* kFile = "/run/sockaccel-kernel-test.lock";

class HostTurn : public ::testing::EmptyTestEventListener {
  public:
    HostTurn() : file_(check(::open(kFile, O_RDWR | O_CREAT | O_CLOEXEC, 0600), "open a lock")) {}

    void lock(int how) { check(::flock(file_.get(), how), "lock"); }

  private:
    void OnTestStart(const ::testing::TestInfo& /*test*/) override { lock(LOCK_SH); }
    void OnTestEnd(const ::testing::TestInfo& /*test*/) override { lock(LOCK_UN); }

    Fd file_;
};

HostTurn* turn = nullptr;  // GoogleTest owns it

}  // namespace

void take_turns() {
    turn = new HostTurn;
    ::testing::UnitTest::GetInstance()->listeners().Append(turn);
}

void be_alone() {
    turn->lock(LOCK_EX);
}

}  // namespace sockaccel::test
