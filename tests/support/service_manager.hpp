// SPDX-License-Identifier: GPL-2.0-or-later
// As much of a service manager as a daemon's descriptors need: keeps what it is sent by the
// protocol of sd_notify(3), and passes it to the next daemon by that of sd_listen_fds(3).
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "fd.hpp"
#include "process.hpp"
#include "temporary_directory.hpp"

namespace sockaccel::test {

class ServiceManager {
  public:
    ServiceManager();
    ~ServiceManager();
    ServiceManager(const ServiceManager&) = delete;
    ServiceManager& operator=(const ServiceManager&) = delete;

    // Has this program notify it, and get what is kept. For one program at a time.
    void serve(Command& command);

    // The names of what is kept, as of what was sent until now.
    [[nodiscard]] std::multiset<std::string> names();
    [[nodiscard]] bool was_told(const std::string& line);  // "READY=1"

    // What no real one does.
    void rename(const std::string& from, const std::string& to);
    void drop(const std::string& name);
    [[nodiscard]] int get(const std::string& name);  // stays its own

  private:
    void run();
    void receive();
    void take(const std::string& message, std::vector<Fd> fds);
    void settle();  // until all that was sent has been taken

    TemporaryDirectory directory_;
    std::string address_;
    Fd socket_;
    std::mutex mutex_;
    std::multimap<std::string, Fd> kept_;
    std::multiset<std::string> told_;
    std::atomic<unsigned> marks_ = 0;
    std::atomic<bool> stopping_ = false;
    std::thread thread_;
};

}  // namespace sockaccel::test
