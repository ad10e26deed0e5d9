// SPDX-License-Identifier: GPL-2.0-or-later
// What the daemon before left: the names of its descriptors, the rules in force, what is paused.
// The first byte says which.
#include <unistd.h>

#include <chrono>
#include <stdexcept>

#include "claim.hpp"
#include "fd_store.hpp"
#include "kernel_verdict.hpp"
#include "legacy_file.hpp"
#include "paused.hpp"

namespace sockaccel::fuzz {
namespace {

void check_name(std::string_view text) {
    const auto stored = StoredName::parse(text);
    claim(!stored || StoredName::parse(stored->text()) == stored, "a descriptor's name", text);
    claim(!stored || !stored->name.empty(), "each has a name", text);
}

void check_legacy(std::string_view text) {
    try {
        const Legacy legacy = Legacy::parse(text);
        claim(Legacy::parse(legacy.text()) == legacy, "what the daemon before left", text);
        // Else the tables could not be made of it.
        static_cast<void>(tables_of(legacy.rules));
        for (const PlannedRule& planned : legacy.rules)
            claim(std::chrono::nanoseconds(planned.rule.prove).count() >= 0, "a time to prove");
    } catch (const std::runtime_error& error) {
        claim(error.what()[0] != '\0', "who refuses says why");
    }
}

// With the header that tells generation and length.
void check_legacy_file(std::string_view bytes) {
    const Fd fd = LegacyFile::make();
    check(static_cast<int>(::write(fd.get(), bytes.data(), bytes.size())), "write it");
    try {
        static_cast<void>(LegacyFile(fd.get()).read(0));
    } catch (const std::runtime_error& error) {
        claim(error.what()[0] != '\0', "who refuses says why");
    }
}

void check_paused(std::string_view text) {
    try {
        const Paused paused = Paused::parse(text);
        claim(Paused::parse(paused.text()) == paused, "what is paused", text);
    } catch (const std::invalid_argument& error) {
        claim_can_be_told(error.what(), 200);
    }
}

// A line of the self-test, which a child of the daemon writes.
void check_observation(std::string_view text) {
    text = text.substr(0, text.find('\n'));
    const auto seen = Observation::parse(text);
    claim(!seen || Observation::parse(seen->line()) == seen, "what the self-test has seen", text);
}

}  // namespace
}  // namespace sockaccel::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sockaccel::fuzz;
    if (size == 0)
        return 0;
    const std::string_view text = text_of(data + 1, size - 1);
    switch (data[0]) {
        case 'n':
            check_name(text);
            break;
        case 'l':
            check_legacy(text);
            break;
        case 'f':
            check_legacy_file(text);
            break;
        case 'p':
            check_paused(text);
            break;
        case 's':
            check_observation(text);
            break;
        default:
            break;
    }
    return 0;
}
