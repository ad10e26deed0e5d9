// SPDX-License-Identifier: GPL-2.0-or-later
#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "policy_source.hpp"
#include "render.hpp"

namespace sockaccel::ctl {
namespace {

struct Options {
    std::string root = "/";
    std::string file;  // "": the whole search path
};

int check_policy(const Common& common, const Options& options) {
    const PolicySource source =
        options.file.empty() ? PolicySource::tree(options.root) : PolicySource::file(options.file);
    const EffectivePolicy effective = source.read();
    for (const std::string& doubt : effective.doubts)
        std::fprintf(stderr, "warning: sockacceld would refuse it: %s\n", doubt.c_str());
    print(common.is_json ? policy_json(source.text(), effective)
                         : policy_text(source.text(), effective));
    return EXIT_SUCCESS;
}

Run declare(CLI::App& app, const Common& common) {
    const auto options = std::make_shared<Options>();
    app.add_option("FILE", options->file, "this file alone; none: the whole policy");
    app.add_option("--root", options->root, kRootHelp)
        ->type_name("DIRECTORY")
        ->capture_default_str();
    return [&common, options] { return check_policy(common, *options); };
}

}  // namespace

const Command check_command{"check", "say what the policy means, or what is wrong with it; offline",
                            "", declare};

}  // namespace sockaccel::ctl
