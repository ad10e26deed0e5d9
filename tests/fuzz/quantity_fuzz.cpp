// SPDX-License-Identifier: GPL-2.0-or-later
// Sizes, durations, ports and networks as people write them: what is accepted is written so that it
// is read as the same.
#include <stdexcept>

#include "claim.hpp"
#include "network.hpp"
#include "port_set.hpp"
#include "quantity.hpp"

namespace sockaccel::fuzz {
namespace {

template <typename Check>
void check_accepted(Check check_it) {
    try {
        check_it();
    } catch (const std::invalid_argument& error) {
        claim(error.what()[0] != '\0', "who refuses says why");
    }
}

void check_bytes(std::string_view text) {
    const std::uint64_t bytes = parse_bytes(text);
    const std::string written = format_bytes(bytes);
    if (written.find('.') == std::string::npos)  // else it is rounded
        claim(parse_bytes(written) == bytes, "a size", written);
}

void check_duration(std::string_view text) {
    const auto duration = parse_duration(text);
    const std::string written = format_duration(duration);
    claim(parse_duration(written) == duration, "a duration", written);
}

void check_ports(std::string_view text) {
    const PortRange range = PortRange::parse(text);
    claim(range.first > 0 && range.first <= range.last, "a range has a port", text);
    claim(PortRange::parse(range.text()) == range, "a range", range.text());
}

void check_network(std::string_view text) {
    const Network network = Network::parse(text);
    claim(network.contains(network.address()) && network.contains(network), "it holds itself",
          text);
    claim(Network::parse(network.text()) == network, "a network", network.text());
}

}  // namespace
}  // namespace sockaccel::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sockaccel::fuzz;
    const std::string_view text = text_of(data, size);
    for (const auto check : {check_bytes, check_duration, check_ports, check_network})
        check_accepted([&] { check(text); });
    return 0;
}
