// SPDX-License-Identifier: GPL-2.0-or-later
// What the runtimes of other languages do to sockets: the rows of docs/LANGUAGES.md. Each client
// sends bodies of all sizes, gets them back, and compares.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <stdexcept>

#include "fentry.hpp"
#include "programs.hpp"
#include "slowness.hpp"
#include "wait_until.hpp"

namespace sockaccel::test {
namespace {

using Arguments = std::vector<std::string>;

Arguments operator+(Arguments all, const Arguments& more) {
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

class Languages : public Programs {
  protected:
    // A rule that tolerates nothing, where a kernel with the witness takes such a rule; elsewhere
    // one that tolerates all that has to be tolerated. With `more` in it.
    void tolerate_nothing(const std::string& more = {}) { tolerate("", more); }

    // The same, and it tolerates this word.
    void tolerate(const std::string& word, const std::string& more = {}) {
        std::string needed = fentry_loads() ? "" : R"("fionread", "splice", "waitall", )";
        needed += word.empty() ? "" : "\"" + word + "\"";
        reload(fmt::format(
            "[[rule]]\nname = \"test\"\ncgroups = [\"{}\"]\nprove = \"0s\"\ntolerate = [{}]\n{}\n",
            covered_.path(), needed, more));
        ASSERT_TRUE(wait_until([this] { return state_of() == "active"; }))
            << daemon_->rule("test")->Why();
    }

    // Four connections at once.
    [[nodiscard]] static Arguments load(const std::string& client, const std::string& port) {
        return {client, port, seconds(3), "4"};
    }

    void expect_accelerated(const Arguments& client, const std::vector<const Process*>& servers) {
        expect_right(client_place_.command(client), kMiB, servers);
    }

    // Its bodies are right, all by TCP, and this is told to be why.
    void expect_in_tcp(const Arguments& client, const std::string& reason,
                       const std::vector<const Process*>& servers) {
        Process process(client_place_.command(client));
        EXPECT_TRUE(wait_until(
            [&] {
                const auto all = connections();
                return std::any_of(all.begin(), all.end(),
                                   [&](const Seen& seen) { return seen.reason == reason; });
            },
            slowness() * std::chrono::seconds(10)))
            << connections_text() << output_of(process);
        const auto status = process.wait(slowness() * std::chrono::seconds(40));
        std::string servers_wrote;
        for (const Process* server : servers)
            servers_wrote += output_of(*server);
        EXPECT_TRUE(status && *status == 0) << output_of(process) << "\nservers:\n"
                                            << servers_wrote;
        EXPECT_EQ(counters().at("redirected_bytes"), 0U) << connections_text();
    }

    // As most clients of databases are: in TCP, and accelerated if the rule tolerates it.
    void expect_accelerated_if_blocking_is_tolerated(const Arguments& client,
                                                     const std::vector<const Process*>& servers) {
        expect_in_tcp(client, "blocking", servers);
        tolerate("blocking");
        expect_accelerated(client, servers);
    }

    // Builds a program; throws what the compiler says.
    void build(const Arguments& compiler, const std::map<std::string, std::string>& more = {}) {
        Command command = Place().command(compiler);
        command.environment = more;
        command.environment["HOME"] = directory_.path();
        const Outcome outcome = run(command, slowness() * std::chrono::seconds(300));
        if (outcome.status != 0)
            throw std::runtime_error(compiler[0] + ": " + outcome.output + outcome.error);
    }
};

// --- Go

class Go : public Languages {
  protected:
    Go() {
        build({"go", "build", "-o", path("echo-go"), LANGUAGES "/echo.go"},
              {{"GOCACHE", path("go")}, {"GO111MODULE", "off"}, {"GOFLAGS", ""}});
    }
    [[nodiscard]] Arguments go(const Arguments& arguments) const {
        return Arguments{path("echo-go")} + arguments;
    }
};

TEST_F(Go, NetHttpIsAccelerated) {
    tolerate_nothing();
    const Process server(server_place_.command(go({"serve", "9000"})));
    await_ports({"9000"});
    expect_accelerated(go(load("ask", "9000")), {&server});
}

// Bodies go one way only: Go 1.19 at times cuts off an answer that comes while the body of the
// request is being passed on, in plain TCP, too.
TEST_F(Go, ReverseProxyIsAccelerated) {
    tolerate_nothing();
    const Process server(server_place_.command(go({"serve", "9000"})));
    const Process proxy(server_place_.command(go({"reverse", "9001", "9000"})));
    await_ports({"9000", "9001"});
    expect_accelerated(go(load("get", "9001")), {&server, &proxy});
}

// Between two TCP connections io.Copy is splice(2).
TEST_F(Go, CopyingFromConnectionToConnectionStaysInTcp) {
    const bool is_watched = fentry_loads();
    reload("[[rule]]\nname = \"test\"\ncgroups = [\"" + covered_.path() +
           "\"]\nprove = \"0s\"\ntolerate = [\"fionread\", \"waitall\"]\n");
    const Process server(server_place_.command(go({"serve", "9000"})));
    const Process proxy(server_place_.command(go({"copy", "9001", "9000"})));
    await_ports({"9000", "9001"});
    const Arguments client = go(load("ask", "9001"));
    if (is_watched)
        return expect_in_tcp(client, "splice", {&server, &proxy});
    expect_right(client_place_.command(client), 0, {&server, &proxy});
    EXPECT_EQ(counters().at("redirected_bytes"), 0U);
    EXPECT_NE(daemon_->rule("test")->Why().find("splice"), std::string::npos)
        << daemon_->rule("test")->Why();
}

// --- Node

TEST_F(Languages, NodeHttpIsAccelerated) {
    tolerate_nothing();
    const Arguments node = {"node", LANGUAGES "/echo.js"};
    const Process server(server_place_.command(node + Arguments{"serve", "9000"}));
    await_ports({"9000"});
    expect_accelerated(node + load("ask", "9000"), {&server});
}

// --- Java

class Java : public Languages {
  protected:
    Java() { build({"javac", "-d", directory_.path(), LANGUAGES "/Echo.java"}); }
    [[nodiscard]] Arguments java(const Arguments& arguments) const {
        return Arguments{"java",
                         "-XX:TieredStopAtLevel=1",
                         "-XX:+UseSerialGC",
                         "-Xmx256m",
                         "-cp",
                         directory_.path(),
                         "Echo"} +
               arguments;
    }
};

TEST_F(Java, HttpClientIsAccelerated) {
    tolerate_nothing();
    const Process server(server_place_.command(python({"sums", "9000"})));
    await_ports({"9000"});
    expect_accelerated(java(load("http", "9000")), {&server});
}

// A Socket with setSoTimeout() is non-blocking from its first read on.
TEST_F(Java, SelectorsAndSocketsWithATimeoutAreAccelerated) {
    tolerate_nothing();
    const Process server(server_place_.command(java({"select", "9000"})));
    await_ports({"9000"});
    expect_accelerated(java(load("ask", "9000") + Arguments{"10000"}), {&server});
}

TEST_F(Java, ServerSocketsWithATimeoutAreAccelerated) {
    tolerate_nothing();
    const Process server(server_place_.command(java({"block", "9000", "10000"})));
    await_ports({"9000"});
    expect_accelerated(java(load("ask", "9000") + Arguments{"10000"}), {&server});
}

TEST_F(Java, SocketsWithoutATimeoutAreAcceleratedIfBlockingIsTolerated) {
    tolerate_nothing();
    const Process server(server_place_.command(java({"block", "9000", "0"})));
    await_ports({"9000"});
    expect_accelerated_if_blocking_is_tolerated(java(load("ask", "9000") + Arguments{"0"}),
                                                {&server});
}

// --- Python

TEST_F(Languages, PythonAsyncioIsAccelerated) {
    tolerate_nothing();
    const Process server(server_place_.command(python({"sums", "9000"})));
    await_ports({"9000"});
    expect_accelerated(python(load("echo", "9000")), {&server});
}

// Python's sockets with a timeout are non-blocking.
TEST_F(Languages, PythonRequestsWithATimeoutIsAccelerated) {
    tolerate_nothing();
    const Process server(server_place_.command(python({"sums", "9000"})));
    await_ports({"9000"});
    expect_accelerated(python(load("requests", "9000") + Arguments{"10"}), {&server});
}

TEST_F(Languages, PythonRequestsWithoutATimeoutIsAcceleratedIfBlockingIsTolerated) {
    tolerate_nothing();
    const Process server(server_place_.command(python({"sums", "9000"})));
    await_ports({"9000"});
    expect_accelerated_if_blocking_is_tolerated(python(load("requests", "9000")), {&server});
}

// --- PHP

TEST_F(Languages, PhpredisIsAcceleratedIfBlockingIsTolerated) {
    tolerate_nothing();
    const Process server(
        server_place_.command({"redis-server", "--port", "9000", "--bind", "127.0.0.1", "--save",
                               "", "--appendonly", "no", "--dir", directory_.path()}));
    await_ports({"9000"});
    expect_accelerated_if_blocking_is_tolerated({"php", LANGUAGES "/redis.php", "9000", seconds(3)},
                                                {&server});
}

// The rule is for what is between these two.
TEST_F(Languages, PhpFpmBehindNginxStaysInTcp) {
    tolerate_nothing("ports = [9001]");
    write("fpm.conf", R"(
[global]
daemonize = no
error_log = /dev/stderr
[www]
user = root
listen = 127.0.0.1:9001
pm = static
pm.max_children = 4
php_admin_value[post_max_size] = 16M
)");
    const std::string d = directory_.path();
    write("nginx.conf", fmt::format(R"(
daemon off; user root; worker_processes 1; pid {0}/nginx.pid; error_log stderr error;
events {{ worker_connections 200; }}
http {{
    access_log off; client_max_body_size 100m;
    client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;
    uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;
    upstream fpm {{ server 127.0.0.1:9001; keepalive 4; }}
    server {{
        listen 127.0.0.1:9000;
        location /echo {{
            fastcgi_pass fpm; fastcgi_keep_conn on;
            fastcgi_param SCRIPT_FILENAME {1}/echo.php;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
        }}
    }}
}}
)",
                                    d, LANGUAGES));
    std::string fpm;
    for (const auto& file : std::filesystem::directory_iterator("/usr/sbin"))
        if (file.path().filename().string().starts_with("php-fpm"))
            fpm = file.path();
    const Process php(server_place_.command({fpm, "-R", "-n", "-y", path("fpm.conf")}));
    const Process web(
        server_place_.command({"nginx", "-p", d, "-e", "stderr", "-c", path("nginx.conf")}));
    await_ports({"9000", "9001"});
    expect_in_tcp(python(load("echo", "9000")), "blocking", {&php, &web});
}

// --- Rust

class Rust : public Languages {
  protected:
    Rust() {
        directory_.make("rust/.cargo");
        for (const char* file : {"Cargo.toml", "echo.rs"})
            std::filesystem::copy(std::filesystem::path(LANGUAGES) / file, path("rust"));
        // Debian's packages instead of crates.io.
        write("rust/.cargo/config.toml",
              "[source.crates-io]\nreplace-with = \"debian\"\n"
              "[source.debian]\ndirectory = \"/usr/share/cargo/registry\"\n");
        build({"/usr/bin/cargo", "build", "--offline", "--quiet", "--manifest-path",
               path("rust/Cargo.toml"), "--target-dir", path("rust/target"), "--config",
               path("rust/.cargo/config.toml")},
              {{"RUSTC", "/usr/bin/rustc"}, {"RUSTFLAGS", "-Cdebuginfo=0"}});
    }
    [[nodiscard]] Arguments tokio(const Arguments& arguments) const {
        return Arguments{path("rust/target/debug/echo-rs")} + arguments;
    }
};

TEST_F(Rust, TokioIsAccelerated) {
    tolerate_nothing();
    const Process server(server_place_.command(tokio({"serve", "9000"})));
    await_ports({"9000"});
    expect_accelerated(tokio(load("ask", "9000")), {&server});
}

}  // namespace
}  // namespace sockaccel::test
