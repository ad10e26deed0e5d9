// SPDX-License-Identifier: GPL-2.0-or-later
// The deleter of a C library's objects: std::unique_ptr<bpf_link, Destroy<bpf_link__destroy>>.
#pragma once

namespace sockaccel {

template <auto destroy>
struct Destroy {
    template <typename T>
    void operator()(T* object) const {
        destroy(object);
    }
};

}  // namespace sockaccel
