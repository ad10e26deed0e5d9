// SPDX-License-Identifier: GPL-2.0-or-later
#include "fd_store.hpp"

#include <systemd/sd-daemon.h>

#include <charconv>
#include <cstdlib>
#include <cstring>

#include "log.hpp"

namespace sockaccel {
namespace {

constexpr std::string_view kPrefix = "sockaccel.";

void free_names(char** names) {
    if (names == nullptr)
        return;
    for (char** name = names; *name != nullptr; ++name)
        std::free(*name);
    std::free(static_cast<void*>(names));
}

}  // namespace

std::string StoredName::text() const {
    return std::string(kPrefix) + std::to_string(abi) + "." + name;
}

std::optional<StoredName> StoredName::parse(std::string_view text) {
    if (!text.starts_with(kPrefix))
        return {};
    text.remove_prefix(kPrefix.size());
    StoredName stored;
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, stored.abi);
    if (error != std::errc{} || at == end || *at != '.' || at + 1 == end)
        return {};
    stored.name.assign(at + 1, end);
    return stored;
}

FdStore::FdStore(unsigned abi) : abi_(abi) {
    char** names = nullptr;
    const int count = check_negative(sd_listen_fds_with_names(0, &names),
                                     "take the descriptors that the service manager keeps");
    for (int i = 0; i < count; ++i)
        if (const auto stored = StoredName::parse(names[i]))
            kept_.emplace(*stored, Fd(SD_LISTEN_FDS_START + i));
    free_names(names);
}

int FdStore::get(const std::string& name) const {
    const auto found = kept_.find({abi_, name});
    return found == kept_.end() ? -1 : found->second.get();
}

void FdStore::put(const std::string& name, Fd fd) {
    remove(name);
    const StoredName stored{abi_, name};
    // Without FDPOLL=0 a map, which polls as an error, would be dropped at once.
    const std::string message = "FDSTORE=1\nFDPOLL=0\nFDNAME=" + stored.text();
    const int one = fd.get();
    if (const int error = sd_pid_notify_with_fds(0, 0, message.c_str(), &one, 1); error < 0)
        log::warning("the service manager does not keep " + stored.text() + ": " +
                     std::strerror(-error));
    kept_.emplace(stored, std::move(fd));
}

void FdStore::remove(const std::string& name) {
    const StoredName stored{abi_, name};
    if (kept_.erase(stored) > 0)
        forget(stored);
}

std::vector<std::string> FdStore::names() const {
    std::vector<std::string> names;
    for (const auto& [stored, fd] : kept_)
        if (stored.abi == abi_)
            names.push_back(stored.name);
    return names;
}

bool FdStore::is_mixed() const {
    const StoredName* before = nullptr;
    for (const auto& [stored, fd] : kept_) {
        if (stored.abi != abi_ || (before != nullptr && *before == stored))
            return true;
        before = &stored;
    }
    return false;
}

std::vector<int> FdStore::all(const std::string& name) const {
    std::vector<int> fds;
    for (const auto& [stored, fd] : kept_)
        if (stored.name == name)
            fds.push_back(fd.get());
    return fds;
}

void FdStore::clear() {
    while (!kept_.empty()) {
        const StoredName stored = kept_.begin()->first;
        kept_.erase(stored);
        forget(stored);
    }
}

// All that have the name. If the service manager cannot be told, it keeps them until the unit
// stops: nothing that could be done about it here.
void FdStore::forget(const StoredName& name) const {
    sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name.text().c_str());
}

}  // namespace sockaccel
