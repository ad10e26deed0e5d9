// SPDX-License-Identifier: GPL-2.0-or-later
#include "log.hpp"

#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace sockaccel::log {
namespace {

// systemd names the journal's socket in $JOURNAL_STREAM as "device:inode" (systemd.exec(5));
// standard error may have been redirected since.
bool reads_the_journal() {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat status {};
    if (!stream || ::fstat(STDERR_FILENO, &status) < 0)
        return false;
    return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino) == stream;
}

void write_lines(int priority, std::string_view message) {
    const std::string prefix =
        reads_the_journal() ? "<" + std::to_string(priority) + ">" : std::string();
    std::string lines;
    while (!message.empty()) {
        const std::size_t end = message.find('\n');
        lines += prefix;
        lines += message.substr(0, end);
        lines += '\n';
        message.remove_prefix(end == std::string_view::npos ? message.size() : end + 1);
    }
    // Where standard error does not take it, there is nowhere to say so.
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, lines.data(), lines.size());
}

}  // namespace

void error(const std::string& message) {
    write_lines(LOG_ERR, message);
}
void warning(const std::string& message) {
    write_lines(LOG_WARNING, message);
}
void notice(const std::string& message) {
    write_lines(LOG_NOTICE, message);
}
void info(const std::string& message) {
    write_lines(LOG_INFO, message);
}

}  // namespace sockaccel::log
