// SPDX-License-Identifier: GPL-2.0-or-later
#include "network.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <system_error>

#include <fmt/format.h>

namespace sockaccel {
namespace {

constexpr std::size_t kMappedBytes = 12;  // of ::ffff:0:0/96, in front of the IPv4 address
constexpr unsigned kMappedBits = 96;
constexpr unsigned kAllBits = 128;

Address mask(const Address& address, unsigned prefix) {
    Address result;
    for (std::size_t i = 0; i < prefix / 8; ++i)
        result.bytes[i] = address.bytes[i];
    if (const unsigned rest = prefix % 8; rest != 0)
        result.bytes[prefix / 8] =
            static_cast<std::uint8_t>(address.bytes[prefix / 8] & (0xff00U >> rest));
    return result;
}

unsigned parse_prefix(std::string_view text, unsigned max) {
    unsigned prefix = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), prefix);
    if (error != std::errc() || end != text.data() + text.size() || prefix > max)
        throw std::invalid_argument(
            fmt::format("the prefix length must be a number from 0 to {}", max));
    return prefix;
}

std::string network_text(const Address& address, unsigned prefix) {
    return fmt::format("{}/{}", address.text(), address.is_ipv4() ? prefix - kMappedBits : prefix);
}

}  // namespace

bool Address::is_ipv4() const {
    const auto zeros = std::count(bytes.begin(), bytes.begin() + 10, std::uint8_t{0});
    return zeros == 10 && bytes[10] == 0xff && bytes[11] == 0xff;
}

std::string Address::text() const {
    std::array<char, INET6_ADDRSTRLEN> buffer{};
    if (is_ipv4())
        ::inet_ntop(AF_INET, bytes.data() + kMappedBytes, buffer.data(), buffer.size());
    else
        ::inet_ntop(AF_INET6, bytes.data(), buffer.data(), buffer.size());
    return buffer.data();
}

std::optional<Address> Address::parse(std::string_view text) {
    if (text.find('\0') != std::string_view::npos)
        return std::nullopt;
    const std::string terminated(text);
    Address address;
    if (::inet_pton(AF_INET6, terminated.c_str(), address.bytes.data()) == 1)
        return address;
    address = {};
    address.bytes[10] = address.bytes[11] = 0xff;
    if (::inet_pton(AF_INET, terminated.c_str(), address.bytes.data() + kMappedBytes) == 1)
        return address;
    return std::nullopt;
}

Network Network::parse(std::string_view text) {
    const std::size_t slash = text.find('/');
    const std::optional<Address> address = Address::parse(text.substr(0, slash));
    if (!address)
        throw std::invalid_argument("not an IP address or network: write 10.0.0.0/8 or ::1/128");
    if (slash == std::string_view::npos)
        return Network(*address, kAllBits);

    const bool is_dotted = text.substr(0, slash).find(':') == std::string_view::npos;
    const std::string_view length = text.substr(slash + 1);
    const unsigned prefix = is_dotted ? parse_prefix(length, kAllBits - kMappedBits) + kMappedBits
                                      : parse_prefix(length, kAllBits);
    if (address->is_ipv4() && prefix < kMappedBits)
        throw std::invalid_argument(
            "the prefix length of a v4-mapped network must be a number from 96 to 128");
    const Address masked = mask(*address, prefix);
    if (masked != *address)
        throw std::invalid_argument(
            fmt::format("host bits are set: did you mean {}?", network_text(masked, prefix)));
    return Network(masked, prefix);
}

bool Network::contains(const Address& address) const {
    // An IPv6 prefix such as ::/0 holds the v4-mapped bits too, but does not mean them.
    return address.is_ipv4() == address_.is_ipv4() && mask(address, prefix_) == address_;
}

bool Network::contains(const Network& other) const {
    return prefix_ <= other.prefix_ && contains(other.address_);
}

std::string Network::text() const {
    return network_text(address_, prefix_);
}

}  // namespace sockaccel
