// SPDX-License-Identifier: GPL-2.0-or-later
// The header Accept: case, blanks and parameters that it does not know do not matter.
#include <algorithm>
#include <cctype>

#include "claim.hpp"
#include "exposition.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sockaccel;
    const std::string accept(fuzz::text_of(data, size));
    const TextFormat format = wanted_format(accept);
    std::string upper = accept, spaced = " ";
    for (char& c : upper)
        c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    for (const char c : accept)
        spaced += c == ',' || c == ';' ? std::string(" \t") + c + " " : std::string(1, c);
    fuzz::claim(wanted_format(upper) == format, "case does not matter", accept);
    fuzz::claim(wanted_format(spaced) == format, "blanks do not matter", accept);
    fuzz::claim(wanted_format(accept + ", a/b;x=y") == format || accept.empty(),
                "types that it does not have do not matter", accept);
    return 0;
}
