// SPDX-License-Identifier: GPL-2.0-or-later
// What the tests of real programs stand on. Each has a network namespace of its own: the ports are
// free.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernel_test.hpp"
#include "netns.hpp"
#include "place.hpp"
#include "process.hpp"
#include "temporary_directory.hpp"

namespace sockaccel::test {

inline constexpr std::uint64_t kKiB = 1024, kMiB = kKiB * kKiB;

[[nodiscard]] std::string output_of(const Process& process);

class Programs : public KernelTest {
  protected:
    Programs() { start_daemon(usual_policy()); }

    void wait_for_enrolled(std::size_t count, const Process& program);
    [[nodiscard]] std::string connections_text();

    // Of files for the programs.
    [[nodiscard]] std::string path(const std::string& name) const {
        return directory_.path() / name;
    }
    void write(const std::string& name, const std::string& text) const {
        static_cast<void>(directory_.write(name, text));
    }

    // How long a client works, as text.
    [[nodiscard]] static std::string seconds(int count) {
        return std::to_string(count * slowness());
    }

    // How many bytes of these a slower machine gets through.
    [[nodiscard]] static std::uint64_t slower(std::uint64_t bytes) {
        return bytes / static_cast<std::uint64_t>(slowness());
    }

    // programs.py with these arguments.
    [[nodiscard]] static std::vector<std::string> python(const std::vector<std::string>& arguments);
    void await_ports(const std::vector<std::string>& ports);

    // `client` compares all it gets, and ends with an error if something is wrong. `least`: bytes
    // that have to be redirected.
    void expect_right(const Command& client, std::uint64_t least,
                      const std::vector<const Process*>& servers);
    // The same with a client of programs.py.
    void expect_right(const std::vector<std::string>& client, std::uint64_t least,
                      const std::vector<const Process*>& servers) {
        expect_right(client_place_.command(python(client)), least, servers);
    }

    const Netns netns_;
    const Place client_place_{client_, netns_}, server_place_{server_, netns_};
    const TemporaryDirectory directory_;
};

}  // namespace sockaccel::test
