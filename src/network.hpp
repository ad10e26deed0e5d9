// SPDX-License-Identifier: GPL-2.0-or-later
// IP addresses and networks. IPv4 is kept as v4-mapped IPv6, as the BPF programs compare it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sockaccel {

struct Address {
    std::array<std::uint8_t, 16> bytes{};  // network byte order; IPv4 as ::ffff:a.b.c.d

    auto operator<=>(const Address&) const = default;

    [[nodiscard]] bool is_ipv4() const;
    [[nodiscard]] std::string text() const;  // "127.0.0.1", "::1"
    [[nodiscard]] static std::optional<Address> parse(std::string_view text);
};

// An address prefix with its host bits zero. An IPv6 network never contains an IPv4 address: "::/0"
// is all of IPv6, "0.0.0.0/0" all of IPv4; "::ffff:10.0.0.0/104" is read as "10.0.0.0/8".
class Network {
  public:
    // "10.0.0.0/8", "::1/128", or a bare address. Throws std::invalid_argument with a message that
    // says what is wrong ("host bits are set: did you mean 10.0.0.0/8?").
    [[nodiscard]] static Network parse(std::string_view text);

    [[nodiscard]] const Address& address() const { return address_; }
    [[nodiscard]] unsigned mapped_prefix() const { return prefix_; }  // of the 128 bits
    [[nodiscard]] bool contains(const Address& address) const;
    [[nodiscard]] bool contains(const Network& other) const;
    [[nodiscard]] std::string text() const;

    auto operator<=>(const Network&) const = default;

  private:
    Network(const Address& address, unsigned prefix) : address_(address), prefix_(prefix) {}

    Address address_;
    unsigned prefix_;
};

}  // namespace sockaccel
