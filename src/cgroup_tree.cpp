// SPDX-License-Identifier: GPL-2.0-or-later
// inotify only gives hints here. Each event names a directory that is then looked at anew, and what
// is found there counts: so it does not matter how late an event comes, or how many of them tell
// the same.
#include "cgroup_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "fd.hpp"

namespace sockaccel {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kWatched =
    IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR | IN_DONT_FOLLOW;
constexpr int kUnwatched = -1;

std::string below(const std::string& parent, std::string_view name) {
    return parent.empty() ? std::string(name) : parent + "/" + std::string(name);
}

// A directory may vanish between any two calls: then there is nothing to see, and no error.
bool is_gone(int error) {
    return error == ENOENT || error == ENOTDIR || error == ENODEV;
}

[[noreturn]] void fail(int error, const std::string& act) {
    throw std::system_error(error, std::generic_category(), act);
}

// The inode number of the directory at `path`; none if there is no directory.
std::optional<std::uint64_t> directory_id(const fs::path& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) < 0) {
        if (is_gone(errno))
            return std::nullopt;
        fail(errno, "stat " + path.string());
    }
    if (!S_ISDIR(status.st_mode))
        return std::nullopt;
    return status.st_ino;
}

// The names of the directories in `path`.
std::vector<std::string> subdirectories(const fs::path& path) {
    struct Close {
        void operator()(DIR* directory) const { ::closedir(directory); }
    };
    const std::unique_ptr<DIR, Close> directory(::opendir(path.c_str()));
    if (!directory) {
        if (is_gone(errno))
            return {};
        fail(errno, "read " + path.string());
    }
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(directory.get())) {
        const std::string_view name = entry->d_name;
        const bool may_be_directory = entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN;
        if (may_be_directory && name != "." && name != "..")
            names.emplace_back(name);
        errno = 0;
    }
    if (errno != 0 && !is_gone(errno))
        fail(errno, "read " + path.string());
    return names;
}

// What one read of the inotify queue told.
struct Hints {
    bool overflow = false;
    std::vector<std::pair<int, std::string>> removed;  // watch, name
    std::vector<std::pair<int, std::string>> added;
    std::vector<int> ended;  // watches
};

Hints read_hints(int inotify) {
    Hints hints;
    alignas(inotify_event) std::array<char, 64 * (sizeof(inotify_event) + NAME_MAX + 1)> buffer;
    for (;;) {
        const ssize_t size = ::read(inotify, buffer.data(), buffer.size());
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && errno == EAGAIN)
            return hints;
        if (size < 0)
            fail(errno, "read inotify events");
        for (std::size_t at = 0; at < static_cast<std::size_t>(size);) {
            inotify_event event{};
            std::memcpy(&event, buffer.data() + at, sizeof(event));
            const char* name = event.len ? buffer.data() + at + sizeof(event) : "";
            at += sizeof(event) + event.len;
            if (event.mask & IN_Q_OVERFLOW)
                hints.overflow = true;
            else if (event.mask & IN_IGNORED)
                hints.ended.push_back(event.wd);
            else if (!(event.mask & IN_ISDIR))
                continue;
            else if (event.mask & (IN_DELETE | IN_MOVED_FROM))
                hints.removed.emplace_back(event.wd, name);
            else
                hints.added.emplace_back(event.wd, name);
        }
    }
}

}  // namespace

struct CgroupTree::State {
    // A directory that is meant, or below which one may be.
    struct Directory {
        std::uint64_t id = 0;
        int watch = kUnwatched;
        bool is_selected = false;
    };
    using Directories = std::map<std::string, Directory>;

    explicit State(const fs::path& root_path) : root(fs::canonical(root_path)) {}

    [[nodiscard]] fs::path absolute(const std::string& path) const {
        return path.empty() ? root : root / path;
    }

    // Takes `path` and what is below it in, unless that is known already.
    void look_at(const std::string& path) {
        const auto id = directory_id(absolute(path));
        const auto known = directories.find(path);
        if (known != directories.end() && id == known->second.id)
            return;
        forget(path);
        if (!id)
            return;

        const bool selects = is_meant(path);
        const bool watches = may_be_meant_below(path);
        if (!selects && !watches)
            return;
        directories[path] = {*id, kUnwatched, selects};
        if (watches)
            watch(path);
    }

    void watch(const std::string& path) {
        // Watched before it is read: a child is seen by one or the other.
        const int watch = add_watch(path);
        if (watch == kUnwatched)
            return;
        directories[path].watch = watch;
        path_of_watch[watch] = path;
        for (const std::string& name : subdirectories(absolute(path)))
            look_at(below(path, name));
    }

    [[nodiscard]] bool is_meant(const std::string& path) const {
        return meant.paths.contains(path) ||
               std::any_of(meant.globs.begin(), meant.globs.end(),
                           [&](const auto& glob) { return glob.matches(path); });
    }

    [[nodiscard]] bool may_be_meant_below(const std::string& path) const {
        const std::string prefix = path.empty() ? "" : path + "/";
        const auto next =
            path.empty() ? meant.paths.upper_bound(path) : meant.paths.lower_bound(prefix);
        return (next != meant.paths.end() && next->starts_with(prefix)) ||
               std::any_of(meant.globs.begin(), meant.globs.end(),
                           [&](const auto& glob) { return glob.may_match_below(path); });
    }

    // After a change of what is meant that concerns `path`: makes what is known of it, and of the
    // directories above it, fit.
    void look_again_at(const std::string& path) {
        for (std::size_t end = 0; end != std::string::npos;) {
            fit(path.substr(0, end));
            end = end == path.size() ? std::string::npos
                                     : std::min(path.find('/', end + 1), path.size());
        }
    }

    void fit(const std::string& path) {
        const auto known = directories.find(path);
        if (known == directories.end())
            return look_at(path);
        known->second.is_selected = is_meant(path);
        const bool watches = may_be_meant_below(path);
        if (!watches && !known->second.is_selected)
            return forget(path);
        if (watches && known->second.watch == kUnwatched)
            watch(path);
    }

    // kUnwatched if it vanished.
    int add_watch(const std::string& path) {
        const fs::path directory = absolute(path);
        const int watch = ::inotify_add_watch(inotify.get(), directory.c_str(), kWatched);
        if (watch >= 0)
            return watch;
        const int error = errno;
        if (is_gone(error))
            return kUnwatched;
        if (error == ENOSPC)
            fail(error, "watch " + directory.string() +
                            " (the limit is /proc/sys/fs/inotify/max_user_watches)");
        fail(error, "watch " + directory.string());
    }

    // cgroupfs keeps the watch of a directory that is gone, so it is taken away here in any case.
    void drop(const Directory& directory) {
        if (directory.watch == kUnwatched)
            return;
        path_of_watch.erase(directory.watch);
        ::inotify_rm_watch(inotify.get(), directory.watch);  // EINVAL: the kernel did it already
    }

    // `path` and everything below it.
    void forget(const std::string& path) {
        if (path.empty()) {
            for (const auto& it : directories)
                drop(it.second);
            directories.clear();
            return;
        }
        if (const auto self = directories.find(path); self != directories.end()) {
            drop(self->second);
            directories.erase(self);
        }
        const auto first = directories.lower_bound(path + "/");
        const auto last = directories.lower_bound(path + "0");  // '0' is the character after '/'
        for (auto it = first; it != last; ++it)
            drop(it->second);
        directories.erase(first, last);
    }

    void look_at_everything() {
        is_complete = false;
        forget("");
        look_at("");
        is_complete = true;
    }

    // Of what is meant.
    void take_in_change(const CgroupSelection& before) {
        if (!is_complete || before.globs != meant.globs)
            return look_at_everything();
        std::set<std::string> changed;
        std::set_symmetric_difference(before.paths.begin(), before.paths.end(), meant.paths.begin(),
                                      meant.paths.end(), std::inserter(changed, changed.end()));
        is_complete = false;
        for (const std::string& path : changed)
            look_again_at(path);
        is_complete = true;
    }

    void take_in(const Hints& hints) {
        // A removed directory's inode number may be in use again, by one that has no watch yet:
        // what was removed is forgotten before anything is looked at. Watches are turned into paths
        // before that.
        std::set<std::string> removed, added;
        const auto note = [&](int watch, std::string_view name, std::set<std::string>& paths) {
            if (const auto found = path_of_watch.find(watch); found != path_of_watch.end())
                paths.insert(name.empty() ? found->second : below(found->second, name));
        };
        for (const auto& [watch, name] : hints.removed)
            note(watch, name, removed);
        for (const auto& [watch, name] : hints.added)
            note(watch, name, added);
        for (const int watch : hints.ended)
            note(watch, "", removed);
        for (const std::string& path : removed)
            forget(path);
        added.merge(removed);
        for (const std::string& path : added)
            look_at(path);
    }

    // True if the answer is another one than before.
    bool collect() {
        std::vector<Cgroup> found;
        for (const auto& it : directories)
            if (it.second.is_selected)
                found.push_back({it.first, it.second.id});
        if (found == selected)
            return false;
        selected = std::move(found);
        return true;
    }

    // Every directory's id, from a walk over the whole tree.
    void walk() {
        walked.clear();
        std::vector<std::string> waiting{""};
        while (!waiting.empty()) {
            const std::string path = std::move(waiting.back());
            waiting.pop_back();
            if (const auto id = directory_id(absolute(path)))
                walked[*id] = path;
            for (const std::string& name : subdirectories(absolute(path)))
                waiting.push_back(below(path, name));
        }
    }

    fs::path root;
    Fd inotify;
    CgroupSelection meant;
    Directories directories;
    std::unordered_map<int, std::string> path_of_watch;
    std::vector<Cgroup> selected;
    bool is_complete = false;  // false: the last look ended early, by an exception
    std::unordered_map<std::uint64_t, std::string> walked;  // "" if the last walk did not find it
};

CgroupTree::CgroupTree(const fs::path& root) : state_(std::make_unique<State>(root)) {
    if (!directory_id(state_->root))
        fail(ENOTDIR, "open the cgroup root " + state_->root.string());
    state_->inotify = Fd(check(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC), "start inotify"));
}

CgroupTree::~CgroupTree() = default;

void CgroupTree::select(CgroupSelection selection) {
    std::swap(state_->meant, selection);
    try {
        state_->take_in_change(selection);
    } catch (...) {
        state_->meant = std::move(selection);
        state_->look_at_everything();
        throw;
    }
    state_->collect();
}

const std::vector<Cgroup>& CgroupTree::selected() const {
    return state_->selected;
}

int CgroupTree::fd() const {
    return state_->inotify.get();
}

bool CgroupTree::refresh() {
    const Hints hints = read_hints(state_->inotify.get());
    state_->walked.clear();
    if (hints.overflow || !state_->is_complete) {
        state_->look_at_everything();
    } else {
        state_->is_complete = false;
        state_->take_in(hints);
        state_->is_complete = true;
    }
    return state_->collect();
}

const fs::path& CgroupTree::root() const {
    return state_->root;
}

std::string CgroupTree::path_of(std::uint64_t id) const {
    for (const Cgroup& cgroup : state_->selected)
        if (cgroup.id == id)
            return cgroup.path;
    const auto is_still_there = [&](const std::string& path) {
        return directory_id(state_->absolute(path)) == id;
    };
    auto found = state_->walked.find(id);
    if (found != state_->walked.end() && (found->second.empty() || is_still_there(found->second)))
        return found->second;
    state_->walk();
    return state_->walked[id];
}

// --- mountinfo
// -------------------------------------------------------------------------------------

namespace {

struct Mount {
    std::string root, point, type;
};

// proc_pid_mountinfo(5) writes blanks, newlines and backslashes as three octal digits.
std::string unescape(std::string_view text) {
    const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) &&
            is_octal(text[i + 2]) && is_octal(text[i + 3])) {
            plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                       (text[i + 3] - '0'));
            i += 3;
        } else {
            plain += text[i];
        }
    }
    return plain;
}

// "36 35 98:0 /root /point options [optional fields] - type source options"
std::optional<Mount> parse_mount(const std::string& line) {
    std::istringstream words(line);
    std::string word, root, point, type;
    words >> word >> word >> word >> root >> point >> word;
    while (words >> word && word != "-") {
    }
    if (!(words >> type))
        return std::nullopt;
    return Mount{unescape(root), unescape(point), type};
}

}  // namespace

fs::path find_cgroup2_root(const fs::path& mountinfo) {
    std::ifstream file(mountinfo);
    if (!file)
        throw std::runtime_error("can't read " + mountinfo.string() +
                                 ", which says where cgroup2 is mounted");
    std::optional<Mount> found;
    for (std::string line; std::getline(file, line);) {
        const auto mount = parse_mount(line);
        if (!mount || mount->type != "cgroup2")
            continue;
        if (!found || (found->root != "/" && mount->root == "/"))
            found = mount;
    }
    if (!found)
        throw std::runtime_error("no cgroup2 file system is mounted, says " + mountinfo.string() +
                                 "; systemd mounts one with systemd.unified_cgroup_hierarchy=1");
    return found->point;
}

}  // namespace sockaccel
