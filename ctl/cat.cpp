// SPDX-License-Identifier: GPL-2.0-or-later
#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "policy_source.hpp"
#include "policy_toml.hpp"
#include "render.hpp"

namespace sockaccel::ctl {
namespace {

Run declare(CLI::App& app, const Common& common) {
    const auto root = std::make_shared<std::string>("/");
    app.add_option("--root", *root, kRootHelp)->type_name("DIRECTORY")->capture_default_str();
    return [&common, root] {
        const PolicySource source = PolicySource::tree(*root);
        const EffectivePolicy effective = source.read();
        print(common.is_json ? policy_json(source.text(), effective) : policy_toml(effective));
        return EXIT_SUCCESS;
    };
}

}  // namespace

const Command cat_command{"cat", "the whole policy as one file, and where it comes from; offline",
                          "", declare};

}  // namespace sockaccel::ctl
