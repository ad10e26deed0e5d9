// SPDX-License-Identifier: GPL-2.0-or-later
// Names of cgroups and units, which anybody may give to his own, under a rule's globs: the first
// line is the glob, the second the name.
#include <stdexcept>

#include "cgroup_glob.hpp"
#include "claim.hpp"
#include "unit_pattern.hpp"

namespace sockaccel::fuzz {
namespace {

void check_cgroup(std::string_view text, std::string_view path) {
    const CgroupGlob glob = CgroupGlob::parse(text);
    claim(CgroupGlob::parse(glob.text()) == glob, "a glob is what it is written as", text);
    const bool is_match = glob.matches(path);
    if (const auto only = glob.only_path()) {
        claim(glob.matches(*only), "a path matches itself", *only);
        claim(!is_match || path == *only, "a path matches nothing else", path);
    }
    // Else it would not be watched.
    for (std::size_t slash = path.rfind('/'); is_match && slash != std::string_view::npos;
         slash = slash == 0 ? std::string_view::npos : path.rfind('/', slash - 1))
        claim(glob.may_match_below(path.substr(0, slash)), "what is above may match below", path);
    claim(!is_match || path.empty() || glob.may_match_below(""), "so may the root", path);
}

// As the kernel has them.
bool is_path(std::string_view text) {
    return text.find('\0') == std::string_view::npos && !text.starts_with('/') &&
           !text.ends_with('/') && text.find("//") == std::string_view::npos;
}

void check_unit(std::string_view text, const std::string& unit) {
    const UnitPattern pattern = UnitPattern::parse(text);
    claim(UnitPattern::parse(pattern.text()) == pattern, "a pattern is what it is written as");
    const bool is_match = pattern.matches(unit);
    claim(pattern.is_glob() || is_match == (unit == pattern.pattern()),
          "a name matches itself alone", unit);
    if (!pattern.is_glob()) {
        const std::string cgroup = expected_cgroup(pattern.text());
        claim(cgroup.empty() || CgroupGlob::parse(cgroup).text() == cgroup,
              "a unit's cgroup is a path", cgroup);
    }
}

template <typename Check>
void check_accepted(Check check_it) {
    try {
        check_it();
    } catch (const std::invalid_argument& error) {
        claim_can_be_told(error.what(), 1024);
    }
}

}  // namespace
}  // namespace sockaccel::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sockaccel::fuzz;
    const std::string_view text = text_of(data, size);
    const std::string_view glob = text.substr(0, text.find('\n'));
    const std::string_view name = text.substr(std::min(glob.size() + 1, text.size()));
    if (is_path(name))
        check_accepted([&] { check_cgroup(glob, name); });
    check_accepted([&] { check_unit(glob, std::string(name)); });
    return 0;
}
