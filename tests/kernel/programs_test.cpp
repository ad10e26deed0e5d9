// SPDX-License-Identifier: GPL-2.0-or-later
// Real programs, in covered cgroups, are really redirected.
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>

#include "fentry.hpp"
#include "programs.hpp"

namespace sockaccel::test {
namespace {

TEST_F(Programs, RedisIsRedirected) {
    Process server(server_place_.command({"redis-server", "--port", "6379", "--bind", "127.0.0.1",
                                          "--save", "", "--appendonly", "no", "--dir", "/tmp"}));
    ASSERT_TRUE(wait_until([&server] {
        return !server.runs() || output_of(server).find("Ready to accept") != std::string::npos;
    }));
    ASSERT_TRUE(server.runs()) << output_of(server);
    Process benchmark(client_place_.command({"redis-benchmark", "-p", "6379", "-c", "10", "-n",
                                             "100000000", "-d", "1000", "-t", "set", "-q"}));
    wait_for_enrolled(10, benchmark);
    ASSERT_TRUE(wait_until([this] { return counters().at("redirected_messages") > 20000; },
                           std::chrono::seconds(20)))
        << connections_text();
    const Counts counts = counters();
    const double redirected = static_cast<double>(counts.at("redirected_bytes"));
    const double tcp = static_cast<double>(counts.at("tcp_bytes"));
    RecordProperty("redirected_percent", static_cast<int>(100 * redirected / (redirected + tcp)));
    EXPECT_GE(redirected / (redirected + tcp), 0.9) << connections_text();
    EXPECT_TRUE(server.runs() && benchmark.runs()) << output_of(server) << output_of(benchmark);
}

TEST_F(Programs, Iperf3With64KiBWritesIsRedirected) {
    Process server(server_place_.command({"iperf3", "--server", "--one-off", "--forceflush"}));
    ASSERT_TRUE(wait_until([&server] {
        return !server.runs() || output_of(server).find("listening") != std::string::npos;
    }));
    ASSERT_TRUE(server.runs()) << output_of(server);
    // A rate that the reader can follow on a busy machine, too: a full queue would hand over to
    // TCP.
    Process client(client_place_.command(
        {"iperf3", "--client", "127.0.0.1", "--length", "64K", "--time", "5", "--bitrate", "2G"}));
    wait_for_enrolled(1, client);
    const auto status = client.wait(std::chrono::seconds(20));
    ASSERT_TRUE(status) << "the client does not end: " << output_of(client);
    EXPECT_EQ(*status, 0) << output_of(client) << output_of(server);
    const Counts counts = counters();
    EXPECT_GE(counts.at("redirected_bytes"), 64U << 20) << output_of(client);
    EXPECT_GE(counts.at("redirected_bytes"), counts.at("tcp_bytes")) << output_of(client);
}

// --- what they give is the same as without us: see programs.py

constexpr const char* kNoReader =
    "nginx would hang on this kernel, which answers FIONREAD with 0 although something is there";

class Servers : public Programs {
  protected:
    Servers() {
        namespace fs = std::filesystem;
        // For servers that are not root.
        fs::permissions(directory_.path(), fs::perms(0755));
        directory_.make("www");
        unsigned seed = 1;
        for (const std::uint64_t size :
             {std::uint64_t{1}, std::uint64_t{1000}, 16 * kKiB, 100 * kKiB + 1, kMiB, 8 * kMiB}) {
            std::string body(size, '\0');
            for (char& byte : body)
                byte = static_cast<char>((seed = seed * 1103515245U + 12345U) >> 16U);
            write(fmt::format("www/{}", size), body);
        }
    }

    // Does FIONREAD tell the truth, of redirected and of other bytes? nginx stops to read at a
    // zero, so on a kernel where it does not, nginx is no reader to tolerate it for: see
    // sockaccel(7).
    [[nodiscard]] bool counts_readable_bytes() {
        TcpPair pair = connect_pair({.client = client_place_, .server = server_place_});
        warm_up(pair);
        bool right = true;
        for (const int least : {2, 1}) {  // 2: then the gate leaves it to TCP
            check(::setsockopt(pair.server.fd(), SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least),
                  "SO_RCVLOWAT");
            pair.client.send(10);
            pollfd polled{pair.server.fd(), POLLIN, 0};
            right = right && ::poll(&polled, 1, 5000) == 1 && pair.server.readable_bytes() == 10;
            read_all(pair);
        }
        return right;
    }

    [[nodiscard]] Command nginx() const {
        const std::string d = directory_.path();
        const std::string pass = "proxy_http_version 1.1; proxy_set_header Connection \"\";";
        write("nginx.conf", fmt::format(R"(
daemon off; user root; worker_processes 2; pid {0}/nginx.pid; error_log stderr error;
events {{ worker_connections 200; }}
http {{
    access_log off; sendfile on; keepalive_requests 1000000; client_max_body_size 100m;
    client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;
    uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;
    upstream files {{ server 127.0.0.1:8081; keepalive 8; keepalive_requests 1000000; }}
    upstream sums {{ server 127.0.0.1:8082; keepalive 8; keepalive_requests 1000000; }}
    server {{ listen 127.0.0.1:8081; root {0}/www; }}
    server {{
        listen 127.0.0.1:8080;
        location / {{ proxy_pass http://files; {1} }}
        location /unbuffered/ {{ proxy_pass http://files/; proxy_buffering off; {1} }}
        location /sums {{ proxy_pass http://sums; {1} }}
        location /sums/unbuffered {{ proxy_pass http://sums; proxy_request_buffering off; {1} }}
    }}
}}
)",
                                        d, pass));
        return server_place_.command({"nginx", "-p", d, "-e", "stderr", "-c", path("nginx.conf")});
    }

    // In front of the files at port 8081.
    [[nodiscard]] Command haproxy(const std::string& options) const {
        write("haproxy.cfg", R"(
global
    maxconn 200
defaults
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
    http-reuse always
)" + options + R"(
frontend front
    bind 127.0.0.1:8090
    default_backend files
backend files
    server nginx 127.0.0.1:8081
)");
        return server_place_.command({"haproxy", "-db", "-f", path("haproxy.cfg")});
    }

    [[nodiscard]] static std::filesystem::path postgresql_binaries() {
        std::filesystem::path binaries;
        for (const auto& version : std::filesystem::directory_iterator("/usr/lib/postgresql"))
            binaries = version.path() / "bin";
        return binaries;
    }

    [[nodiscard]] static Command as_postgres(const Place& place,
                                             const std::vector<std::string>& program) {
        std::vector<std::string> all = {"setpriv", "--reuid=postgres", "--regid=postgres",
                                        "--clear-groups"};
        all.insert(all.end(), program.begin(), program.end());
        Command command = place.command(all);
        command.environment["LC_ALL"] = "C";
        return command;
    }

    // At port 5432, filled for pgbench. Throws.
    [[nodiscard]] std::unique_ptr<Process> postgresql() const {
        const std::filesystem::path binaries = postgresql_binaries();
        const auto succeed = [](const Command& command) {
            const Outcome outcome = run(command, std::chrono::seconds(60));
            if (outcome.status != 0)
                throw std::runtime_error(outcome.output + outcome.error);
        };
        directory_.make("data");
        succeed(Place().command({"chown", "postgres:postgres", path("data")}));
        succeed(as_postgres(
            {}, {binaries / "initdb", "--pgdata=" + path("data"), "--auth=trust", "--no-sync"}));
        auto server = std::make_unique<Process>(
            as_postgres(server_place_, {binaries / "postgres", "-D", path("data"), "-k", "", "-c",
                                        "listen_addresses=127.0.0.1", "-c", "fsync=off"}));
        const Command is_ready =
            as_postgres(client_place_, {binaries / "pg_isready", "--host=127.0.0.1"});
        if (!wait_until([&] { return run(is_ready).status == 0; }))
            throw std::runtime_error(output_of(*server));
        succeed(as_postgres(client_place_, {binaries / "pgbench", "--host=127.0.0.1",
                                            "--initialize", "--scale=1", "postgres"}));
        return server;
    }

    [[nodiscard]] Outcome ctl(const Place& place, const std::vector<std::string>& arguments) {
        std::vector<std::string> all = {from_environment("SOCKACCELCTL"), "--bus",
                                        daemon_->bus().address()};
        all.insert(all.end(), arguments.begin(), arguments.end());
        return run(place.command(all), slowness() * std::chrono::seconds(60));
    }
};

TEST_F(Servers, NginxServesBodiesOfAllSizes) {
    const Process server(nginx());
    expect_right({"get", "8081", seconds(5), "8", path("www")}, 50 * kMiB, {&server});
}

TEST_F(Servers, NginxPassesAnswersOn) {
    if (!counts_readable_bytes())
        GTEST_SKIP() << kNoReader;
    const Process server(nginx());
    await_ports({"8080", "8081"});
    expect_right({"get", "8080", seconds(5), "8", path("www")}, 50 * kMiB, {&server});
    expect_right({"get", "8080", seconds(5), "8", path("www"), "/unbuffered/"}, 50 * kMiB,
                 {&server});
}

TEST_F(Servers, NginxPassesBodiesOnToAsyncio) {
    if (!counts_readable_bytes())
        GTEST_SKIP() << kNoReader;
    const Process server(nginx());
    const Process sums(server_place_.command(python({"sums", "8082"})));
    await_ports({"8080", "8082"});
    expect_right({"post", "8080", seconds(5), "8"}, 10 * kMiB, {&server, &sums});
}

TEST_F(Servers, AsyncioTakesBodiesFromAsyncio) {
    const Process sums(server_place_.command(python({"sums", "8082"})));
    expect_right({"post", "8082", seconds(4), "4"}, 10 * kMiB, {&sums});
}

TEST_F(Servers, HaproxyPassesAnswersOn) {
    const Process files(nginx());
    const Process server(haproxy({}));
    await_ports({"8081", "8090"});
    expect_right({"get", "8090", seconds(5), "8", path("www")}, 50 * kMiB, {&files, &server});
}

// It reads with splice(2), which a rule has to tolerate, and here does not.
TEST_F(Servers, HaproxyThatSplicesStaysInTcp) {
    reload("[[rule]]\nname = \"test\"\ncgroups = [\"" + covered_.path() + "\"]\nprove = \"" +
           seconds(2) + "s\"\ntolerate = [\"fionread\", \"waitall\"]\n");
    const Process files(nginx());
    const Process server(haproxy("    option splice-request\n    option splice-response\n"));
    await_ports({"8081", "8090"});
    expect_right({"get", "8090", seconds(3), "8", path("www")}, 0, {&files, &server});
    // Where it only sends, to its clients, its connections may be enrolled.
    for (const Dict& connection : daemon_->connections()) {
        const auto number = [&](const char* key) {
            return connection.at(key).get<std::uint64_t>();
        };
        if (connection.at("server_port").get<std::uint16_t>() == 8081) {
            EXPECT_EQ(number("server_redirected_bytes"), 0U);
        }
    }
    const std::string why = daemon_->rule("test")->Why();
    EXPECT_EQ(why.find("splice") != std::string::npos, !fentry_loads()) << why;
}

TEST_F(Servers, ApacheWithDeferredAcceptServesBodiesOfAllSizes) {
    write("apache.conf", fmt::format(R"(
ServerRoot {0}
DefaultRuntimeDir {0}
PidFile {0}/apache.pid
Mutex sem default
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
User www-data
Group www-data
ServerName localhost
Listen 127.0.0.1:8080
AcceptFilter http data
DocumentRoot {0}/www
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 100
ErrorLog /dev/stderr
)",
                                     directory_.path().string()));
    const Process server(
        server_place_.command({"apache2", "-f", path("apache.conf"), "-DFOREGROUND"}));
    expect_right({"get", "8080", seconds(5), "8", path("www")}, 50 * kMiB, {&server});
}

TEST_F(Servers, MemcachedGivesBackWhatWasSet) {
    const Process server(server_place_.command(
        {"memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", "11211", "-m", "64"}));
    expect_right({"memcached", "11211", seconds(4), "8"}, 10 * kMiB, {&server});
}

TEST_F(Servers, PostgresqlServesPgbenchWithoutAnError) {
    const std::unique_ptr<Process> server = postgresql();
    const std::string pgbench = postgresql_binaries() / "pgbench";
    const std::uint64_t before = counters().at("redirected_bytes");
    for (const char* protocol : {"simple", "prepared"}) {
        const Outcome outcome =
            run(as_postgres(client_place_,
                            {pgbench, "--host=127.0.0.1", "--client=4", "--time=" + seconds(4),
                             std::string("--protocol=") + protocol, "postgres"}),
                slowness() * std::chrono::seconds(60));
        EXPECT_EQ(outcome.status, 0) << outcome.output << outcome.error;
        EXPECT_NE(outcome.output.find("number of failed transactions: 0 "), std::string::npos)
            << outcome.output << outcome.error;
    }
    write("large.sql", "select repeat('0123456789', 50000);\n");
    const Outcome large =
        run(as_postgres(client_place_,
                        {pgbench, "--host=127.0.0.1", "--client=4", "--time=" + seconds(4),
                         "--no-vacuum", "--file=" + path("large.sql"), "postgres"}),
            slowness() * std::chrono::seconds(60));
    EXPECT_EQ(large.status, 0) << large.output << large.error;
    EXPECT_NE(large.output.find("number of failed transactions: 0 "), std::string::npos)
        << large.output << large.error;
    // Of the transactions: the large results are streams of 8 KiB writes, which TCP has faster.
    EXPECT_GE(counters().at("redirected_bytes") - before, slower(kMiB)) << connections_text();
}

// --- what is observed, and what is suggested by it

class Suggested : public Servers {
  protected:
    Suggested() { reload(observing()); }

    // Decides after what is suggested by it.
    [[nodiscard]] std::string observing() const {
        return "[[rule]]\nname = \"test\"\ncgroups = [\"" + covered_.path() +
               "\"]\naction = \"observe\"\npriority = -1\n";
    }

    // Light use of all three, as clients do it.
    void use(const std::vector<const Process*>& servers) {
        Process redis(client_place_.command({"redis-benchmark", "-p", "6379", "-c", "4", "-n",
                                             "100000000", "-d", "1000", "-t", "set", "-q"}));
        expect_right({"get", "8080", seconds(3), "4", path("www")}, 0, servers);
        EXPECT_TRUE(redis.runs()) << output_of(redis);
        const Outcome pgbench =
            run(as_postgres(client_place_,
                            {postgresql_binaries() / "pgbench", "--host=127.0.0.1", "--client=4",
                             "--time=" + seconds(3), "--no-vacuum", "postgres"}),
                slowness() * std::chrono::seconds(60));
        EXPECT_EQ(pgbench.status, 0) << pgbench.output << pgbench.error;
    }

    [[nodiscard]] std::string suggestion() {
        const Outcome outcome = ctl({}, {"suggest", "--prove", "0s"});
        EXPECT_EQ(outcome.status, 0) << outcome.error;
        write("suggested.toml", outcome.output);
        const Outcome checked = ctl({}, {"check", path("suggested.toml")});
        EXPECT_EQ(checked.status, 0) << checked.error << outcome.output;
        return outcome.output;
    }

    // What the rule for this port tolerates in words, that the witness could not see, is vouched
    // for.
    static void vouch(std::string& policy, int port) {
        const std::size_t rule = policy.find(fmt::format("ports = [{}]", port));
        ASSERT_NE(rule, std::string::npos) << policy;
        const std::size_t end = std::min(policy.find("[[rule]]", rule), policy.size());
        const std::size_t line = policy.find("# tolerate = ", rule);
        if (line < end)
            policy.erase(line, 2);
    }

    [[nodiscard]] std::uint64_t redirected_at(const std::string& name) {
        return counters(name).at("redirected_bytes");
    }
};

TEST_F(Suggested, RulesForRedisNginxAndPostgresqlWork) {
    const Process redis(
        server_place_.command({"redis-server", "--port", "6379", "--bind", "127.0.0.1", "--save",
                               "", "--appendonly", "no", "--dir", "/tmp"}));
    const Process web(nginx());
    const std::unique_ptr<Process> database = postgresql();
    await_ports({"6379", "8080", "8081"});
    use({&web});
    EXPECT_TRUE(connections().empty() || connections()[0].reason == "observed");
    EXPECT_EQ(counters().at("enrolled"), 0U);

    std::string policy = suggestion();
    const std::string server = std::filesystem::path(server_.path()).filename();
    for (const int port : {6379, 5432})
        EXPECT_NE(policy.find(fmt::format("name = \"{}-{}\"", server, port)), std::string::npos)
            << policy;
    // Whether nginx's answers are large enough to gain depends on how it cuts them.
    EXPECT_NE(policy.find("8080"), std::string::npos) << policy;
    const bool is_watched = fentry_loads();
    EXPECT_EQ(policy.find("NOT SEEN") == std::string::npos, is_watched) << policy;
    // nginx asks its upstream's socket for FIONREAD: what that is worth, the kernel decides.
    const bool is_fionread_right = policy.find("FIONREAD (class") == std::string::npos;
    const std::string upstream = server + "-8081";
    const bool has_upstream = policy.find("name = \"" + upstream + "\"") != std::string::npos;
    if (!is_watched || is_fionread_right) {
        EXPECT_TRUE(has_upstream) << policy;
    }
    vouch(policy, 6379);
    vouch(policy, 5432);
    reload(policy + observing());
    EXPECT_EQ(state_of(server + "-6379"), "active") << daemon_->rule(server + "-6379")->Why();
    if (has_upstream) {
        EXPECT_EQ(state_of(upstream), is_watched ? "active" : "refused");
    }
    use({&web});
    EXPECT_GT(redirected_at(server + "-6379"), slower(kMiB)) << connections_text();
    EXPECT_GT(redirected_at(server + "-5432"), slower(64 * kKiB)) << connections_text();
}

TEST_F(Suggested, NoRuleForWhoSplices) {
    if (!fentry_loads())
        GTEST_SKIP() << "this kernel does not let the witness load";
    const Process files(nginx());
    const Process server(haproxy("    option splice-request\n    option splice-response\n"));
    await_ports({"8081", "8090"});
    expect_right({"get", "8090", seconds(3), "8", path("www")}, 0, {&files, &server});
    const std::string policy = suggestion();
    SCOPED_TRACE(ctl({}, {"suggest", "--json"}).output);
    EXPECT_EQ(policy.find("ports = [8081]"), std::string::npos) << policy;
    EXPECT_NE(policy.find("port 8081: the client reads with splice(2)"), std::string::npos)
        << policy;
}

// --- sockaccelctl run

TEST_F(Servers, ACommandIsAcceleratedToWhatARuleCovers) {
    const Process redis(
        server_place_.command({"redis-server", "--port", "6379", "--bind", "127.0.0.1", "--save",
                               "", "--appendonly", "no", "--dir", "/tmp"}));
    await_ports({"6379"});
    const Outcome outcome =
        ctl({other_, netns_},
            {"run", "--tolerate", "fionread,splice,waitall", "--", "timeout", seconds(3),
             "redis-benchmark", "-c", "4", "-n", "100000000", "-q", "-t", "set"});
    EXPECT_EQ(outcome.status, 124) << outcome.error;  // timeout's own
    EXPECT_NE(outcome.error.find(" connections were accelerated"), std::string::npos)
        << outcome.error;
    EXPECT_EQ(outcome.error.find("run: 0 of"), std::string::npos) << outcome.error;
    EXPECT_EQ(counters().at("enrolled"), 0U) << "the rule's own programs did nothing";
}

TEST_F(Servers, ACommandIsAcceleratedWithinItself) {
    const Outcome outcome = ctl(
        {other_, netns_}, {"run", "--tolerate", "fionread,splice,waitall", "--", "sh", "-c",
                           "iperf3 -s -1 >/dev/null & sleep 0.5; iperf3 -c 127.0.0.1 -l 64K -t " +
                               seconds(3) + " -b 1G >/dev/null"});
    EXPECT_EQ(outcome.status, 0) << outcome.error;
    EXPECT_NE(outcome.error.find("connections were accelerated"), std::string::npos)
        << outcome.error;
    EXPECT_EQ(outcome.error.find("run: 0 of"), std::string::npos) << outcome.error;
}

}  // namespace
}  // namespace sockaccel::test
