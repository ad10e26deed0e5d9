// SPDX-License-Identifier: GPL-2.0-or-later
// nginx, alone and behind a HAProxy that its clients are redirected to, by what wrk reads.
#include <fstream>

#include <fmt/format.h>

#include "nat_host.hpp"
#include "programs.hpp"

namespace sockaccel::bench {
namespace {

constexpr std::uint16_t kFiles = 8081, kSidecar = 8090;

struct Size {
    const char* name;
    std::size_t bytes;
};

struct Download {
    std::size_t bytes;
    int connections = 16;
    bool has_sidecar = false;
    bool is_written_at_once = false;  // not by sendfile(2)
};

void write(const std::filesystem::path& file, const std::string& text) {
    std::ofstream(file) << text;
}

std::unique_ptr<test::Process> start_nginx(const Site& site, const Download& download) {
    const std::string d = site.directory;
    std::filesystem::create_directory(site.directory / "www");
    write(site.directory / "www/file", std::string(download.bytes, 'x'));
    write(site.directory / "nginx.conf",
          fmt::format(
              R"(
daemon off; user root; worker_processes 1; pid {0}/nginx.pid; error_log stderr error;
events {{ worker_connections 200; }}
http {{
    access_log off; {2} keepalive_requests 1000000000; keepalive_timeout 1d;
    client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;
    uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi; open_file_cache max=10;
    server {{ listen 127.0.0.1:{1}; root {0}/www; }}
}}
)",
              d, kFiles,
              download.is_written_at_once ? "sendfile off; output_buffers 1 2m;" : "sendfile on;"));
    auto server = start(site.place.command(
        {"nginx", "-p", d, "-e", "stderr", "-c", site.directory / "nginx.conf"}));
    await_listener(*server, kFiles);
    return server;
}

// What goes to port 80 is redirected to the sidecar, as a service mesh does it.
std::unique_ptr<test::Process> start_sidecar(const Site& site) {
    test::load_rules(site.netns, fmt::format("chain o {{ type nat hook output priority -100;\n"
                                             "tcp dport 80 redirect to :{}; }}\n",
                                             kSidecar));
    write(site.directory / "haproxy.cfg", fmt::format(R"(
global
    maxconn 200
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 1d
    timeout server 1d
    http-reuse always
frontend front
    bind 127.0.0.1:{}
    default_backend files
backend files
    server nginx 127.0.0.1:{}
)",
                                                      kSidecar, kFiles));
    auto sidecar =
        start(site.place.command({"haproxy", "-db", "-f", site.directory / "haproxy.cfg"}));
    await_listener(*sidecar, kSidecar);
    return sidecar;
}

Load start_http(const Site& site, const Download& download) {
    Load load;
    load.processes.push_back(start_nginx(site, download));
    if (download.has_sidecar)
        load.processes.push_back(start_sidecar(site));
    load.processes.push_back(start(site.place.command(
        {"wrk", "--threads", "1", fmt::format("--connections={}", download.connections),
         "--duration", "24h",
         fmt::format("http://127.0.0.1:{}/file", download.has_sidecar ? 80 : kFiles)})));
    load.progress = [client = load.processes.back()->pid()] { return bytes_read_by(client); };
    return load;
}

}  // namespace

void measure_http(Session& session) {
    if (!has_programs(session, "http", {"nginx", "wrk", "haproxy", "nft"}))
        return;
    const auto measure = [&](const std::string& name, const Download& download) {
        Program program{"http", name, "bytes", {Way::plain, Way::accelerated, Way::tutorial}, {}};
        program.start = [=](const Site& site) { return start_http(site, download); };
        measure_program(session, program);
    };
    for (const bool has_sidecar : {false, true})
        for (const Size size :
             {Size{"1KiB", 1024}, Size{"64KiB", 64 << 10U}, Size{"1MiB", 1 << 20U}})
            if (!session.is_quick() || size.bytes == 64 << 10U)
                measure(fmt::format("{}, {}", has_sidecar ? "nginx behind HAProxy" : "nginx",
                                    size.name),
                        {.bytes = size.bytes, .has_sidecar = has_sidecar});
    if (session.is_quick())
        return;
    measure("nginx, 1MiB, one connection", {.bytes = 1 << 20U, .connections = 1});
    measure("nginx, 1MiB, written at once", {.bytes = 1 << 20U, .is_written_at_once = true});
    measure("nginx, 1MiB, written at once, one connection",
            {.bytes = 1 << 20U, .connections = 1, .is_written_at_once = true});
}

}  // namespace sockaccel::bench
