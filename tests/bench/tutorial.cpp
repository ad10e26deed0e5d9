// SPDX-License-Identifier: GPL-2.0-or-later
#include "tutorial.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>

#include "fd.hpp"
#include "tutorial.skel.h"

namespace sockaccel::bench {

struct Tutorial::Programs {
    struct Destroy {
        void operator()(tutorial_bpf* loaded) const { tutorial_bpf__destroy(loaded); }
        void operator()(bpf_link* attached) const { bpf_link__destroy(attached); }
    };
    std::unique_ptr<tutorial_bpf, Destroy> skeleton;
    std::unique_ptr<bpf_link, Destroy> link;
};

Tutorial::Tutorial(const test::TestCgroup& cgroup) : programs_(std::make_unique<Programs>()) {
    Programs& programs = *programs_;
    programs.skeleton.reset(tutorial_bpf__open_and_load());
    if (!programs.skeleton)
        check(-1, "load the tutorial's programs");
    check(bpf_prog_attach(bpf_program__fd(programs.skeleton->progs.tutorial_redirect),
                          bpf_map__fd(programs.skeleton->maps.tutorial_sockets), BPF_SK_MSG_VERDICT,
                          0),
          "attach the tutorial's sk_msg program");
    const Fd directory(check(::open(cgroup.directory().c_str(), O_RDONLY | O_CLOEXEC),
                             "open cgroup " + cgroup.path()));
    programs.link.reset(
        bpf_program__attach_cgroup(programs.skeleton->progs.tutorial_enter, directory.get()));
    if (!programs.link)
        check(-1, "attach the tutorial's sock_ops program");
}

Tutorial::~Tutorial() = default;

}  // namespace sockaccel::bench
