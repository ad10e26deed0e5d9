// SPDX-License-Identifier: GPL-2.0-or-later
#include "legacy_file.hpp"

#include <sys/mman.h>

#include <stdexcept>
#include <string>

namespace sockaccel {
namespace {

// Far more than 64 rules of a policy of 1 MiB take; what is not written takes no memory.
constexpr std::size_t kMostBytes = 16UL << 20;

struct Header {
    std::uint32_t generation, length;
};

off_t place_of(std::uint32_t generation) {
    return static_cast<off_t>((generation & 1) * (sizeof(Header) + kMostBytes));
}

void write_at(int fd, off_t at, const void* data, std::size_t size) {
    const ssize_t written = ::pwrite(fd, data, size, at);
    if (written < 0)
        throw std::system_error(errno, std::generic_category(), "write what the next daemon needs");
    if (static_cast<std::size_t>(written) != size)
        throw std::runtime_error("no memory for what the next daemon needs");
}

bool read_at(int fd, off_t at, void* data, std::size_t size) {
    return ::pread(fd, data, size, at) == static_cast<ssize_t>(size);
}

}  // namespace

Fd LegacyFile::make() {
    return Fd(check(::memfd_create("sockaccel-legacy", MFD_CLOEXEC),
                    "make the file for what the next daemon needs"));
}

void LegacyFile::write(std::uint32_t generation, const Legacy& legacy) const {
    const std::string text = legacy.text();
    if (text.size() > kMostBytes)
        throw std::runtime_error(
            "what the next daemon needs is too much: " + std::to_string(text.size()) + " bytes");
    const off_t at = place_of(generation);
    const Header header{generation, static_cast<std::uint32_t>(text.size())};
    write_at(fd_, at + static_cast<off_t>(sizeof header), text.data(), text.size());
    write_at(fd_, at, &header, sizeof header);
}

Legacy LegacyFile::read(std::uint32_t generation) const {
    Header header{};
    const off_t at = place_of(generation);
    if (!read_at(fd_, at, &header, sizeof header) || header.generation != generation ||
        header.length > kMostBytes)
        throw std::runtime_error("the daemon before left nothing of generation " +
                                 std::to_string(generation));
    std::string text(header.length, '\0');
    if (!read_at(fd_, at + static_cast<off_t>(sizeof header), text.data(), text.size()))
        throw std::runtime_error("what the daemon before left is cut off");
    return Legacy::parse(text);
}

}  // namespace sockaccel
