// SPDX-License-Identifier: GPL-2.0-or-later
// Connections from one network namespace to another.
#include "kernel_test.hpp"

namespace sockaccel::test {
namespace {

class AcrossNetns : public KernelTest {};

TEST_F(AcrossNetns, TwoContainersOnABridgeAreRedirectedByteExact) {
    start_daemon(usual_policy("networks = [\"10.99.0.0/24\"]"));
    const BridgedContainers containers;
    std::vector<TcpPair> pairs = Listener({.client = Place(client_, containers.first),
                                           .server = Place(server_, containers.second),
                                           .address = containers.second_address})
                                     .connect(5);
    warm_up(pairs);
    const Counts before = counters();
    constexpr std::uint64_t kBytes = 4 << 20;
    const Habits habits{.write = {1, 100000}, .read = {1, 100000}, .pause_percent = 10};
    exchange_bytes(pairs,
                   {.to_server = kBytes, .to_client = kBytes, .client = habits, .server = habits});
    EXPECT_GE(counters().at("redirected_bytes") - before.at("redirected_bytes"), 5 * kBytes)
        << "of " << 10 * kBytes;
}

}  // namespace
}  // namespace sockaccel::test
