// SPDX-License-Identifier: GPL-2.0-or-later
#define SD_JOURNAL_SUPPRESS_LOCATION  // CODE_FILE and the like would be those of this file
#include "log.hpp"

#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>

namespace sockaccel::log {
namespace {

// So many lines at once, and so many a second later on.
constexpr double kBurst = 1000;
constexpr double kPerSecond = 20;

// systemd names the journal's socket in $JOURNAL_STREAM as "device:inode" (systemd.exec(5));
// standard error may have been redirected since.
bool reads_the_journal() {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat status {};
    if (!stream || ::fstat(STDERR_FILENO, &status) < 0)
        return false;
    return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino) == stream;
}

bool send_to_journal(int priority, const std::string& message, const Fields& fields) {
    std::vector<std::string> lines = {"PRIORITY=" + std::to_string(priority), "MESSAGE=" + message};
    const auto add = [&lines](const char* name, std::string_view value) {
        if (!value.empty())
            lines.push_back(std::string(name) + "=" + std::string(value));
    };
    add("MESSAGE_ID", fields.id);
    add("SOCKACCEL_RULE", fields.rule);
    add("SOCKACCEL_CGROUP", fields.cgroup);
    add("SOCKACCEL_UNIT", unit_of(fields.cgroup));
    add("SOCKACCEL_REASON", fields.reason);
    std::vector<iovec> parts;
    for (std::string& line : lines)
        parts.push_back({line.data(), line.size()});
    return sd_journal_sendv(parts.data(), static_cast<int>(parts.size())) >= 0;
}

void write_to_standard_error(std::string_view message) {
    std::string lines(message);
    lines += '\n';
    // Where standard error does not take it, there is nowhere to say so.
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, lines.data(), lines.size());
}

void put(int priority, const std::string& message, const Fields& fields) {
    if (!reads_the_journal() || !send_to_journal(priority, message, fields))
        write_to_standard_error(message);
}

// A bucket of tokens, one a line.
class Limit {
  public:
    [[nodiscard]] bool allows_one() {
        const auto now = std::chrono::steady_clock::now();
        const std::chrono::duration<double> passed = now - then_;
        tokens_ = std::min(kBurst, tokens_ + passed.count() * kPerSecond);
        then_ = now;
        if (tokens_ < 1) {
            ++left_out_;
            return false;
        }
        tokens_ -= 1;
        return true;
    }

    [[nodiscard]] std::uint64_t take_left_out() { return std::exchange(left_out_, 0); }

  private:
    double tokens_ = kBurst;
    std::uint64_t left_out_ = 0;
    std::chrono::steady_clock::time_point then_ = std::chrono::steady_clock::now();
};

void write_line(int priority, const std::string& message, const Fields& fields) {
    static Limit limit;
    if (!limit.allows_one())
        return;
    if (const std::uint64_t left_out = limit.take_left_out(); left_out > 0)
        put(LOG_WARNING, std::to_string(left_out) + " lines were left out here: too many at once",
            {});
    put(priority, message, fields);
}

}  // namespace

void error(const std::string& message, const Fields& fields) {
    write_line(LOG_ERR, message, fields);
}
void warning(const std::string& message, const Fields& fields) {
    write_line(LOG_WARNING, message, fields);
}
void notice(const std::string& message, const Fields& fields) {
    write_line(LOG_NOTICE, message, fields);
}
void info(const std::string& message, const Fields& fields) {
    write_line(LOG_INFO, message, fields);
}

std::string unit_of(std::string_view cgroup) {
    constexpr std::array<std::string_view, 6> kKinds = {".service", ".socket", ".scope",
                                                        ".slice",   ".mount",  ".swap"};
    while (!cgroup.empty()) {
        const std::size_t slash = cgroup.rfind('/');
        const std::string_view name =
            slash == std::string_view::npos ? cgroup : cgroup.substr(slash + 1);
        for (const std::string_view kind : kKinds)
            if (name.size() > kind.size() && name.ends_with(kind))
                return std::string(name);
        cgroup = slash == std::string_view::npos ? std::string_view{} : cgroup.substr(0, slash);
    }
    return {};
}

}  // namespace sockaccel::log
