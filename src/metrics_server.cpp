// SPDX-License-Identifier: GPL-2.0-or-later
//
// libmicrohttpd without a thread of its own: it keeps its sockets in an epoll set, which is one
// descriptor in the daemon's loop. It calls the functions below from MHD_run(), through C frames:
// nothing may be thrown from them.
//
// Each connection serves one request (Connection: close). libmicrohttpd's own time-out starts again
// with each byte, so a client that sends one now and then would stay for ever: kPatience ends it.
#include "metrics_server.hpp"

#include <microhttpd.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "destroy.hpp"
#include "log.hpp"

namespace sockaccel {
namespace {

constexpr unsigned kMaxClients = 16;              // of each listener; further ones wait
constexpr std::size_t kClientMemory = 8UL << 10;  // request line, headers and the like
constexpr unsigned kIdleSeconds = 5;              // without a byte
constexpr std::chrono::seconds kPatience{20};     // from accept(2) to the last byte
constexpr std::chrono::milliseconds kContentAge{250};

// The listening socket is not closed by this.
struct StopDaemon {
    void operator()(MHD_Daemon* daemon) const {
        MHD_quiesce_daemon(daemon);
        MHD_stop_daemon(daemon);
    }
};
using Response = std::unique_ptr<MHD_Response, Destroy<MHD_destroy_response>>;

Response make_response(std::string_view body, const char* type) {
    // libmicrohttpd does not write to what it copies.
    Response response(MHD_create_response_from_buffer(body.size(), const_cast<char*>(body.data()),
                                                      MHD_RESPMEM_MUST_COPY));
    if (response) {
        MHD_add_response_header(response.get(), MHD_HTTP_HEADER_CONTENT_TYPE, type);
        MHD_add_response_header(response.get(), MHD_HTTP_HEADER_CONNECTION, "close");
    }
    return response;
}

}  // namespace

struct MetricsServer::State {
    struct Listener {
        Fd socket;
        std::unique_ptr<MHD_Daemon, StopDaemon> daemon;  // uses it
        Source source;                                   // runs that
    };

    State(EventLoop& its_loop, std::vector<Fd> sockets,
          std::function<std::string(TextFormat)> its_content, std::function<void()> its_noticed)
        : loop(its_loop),
          content(std::move(its_content)),
          noticed(std::move(its_noticed)),
          patience(loop.timer([this] { end_overdue(); })) {
        for (Fd& socket : sockets)
            add(std::move(socket));
    }

    void add(Fd socket) {
        Listener& listener = listeners.emplace_back();
        listener.socket = std::move(socket);
        listener.daemon.reset(MHD_start_daemon(
            MHD_USE_EPOLL, 0, nullptr, nullptr, &State::answer, this,  //
            MHD_OPTION_LISTEN_SOCKET, listener.socket.get(),           //
            MHD_OPTION_CONNECTION_LIMIT, kMaxClients,                  //
            MHD_OPTION_CONNECTION_MEMORY_LIMIT, kClientMemory,         //
            MHD_OPTION_CONNECTION_TIMEOUT, kIdleSeconds,               //
            MHD_OPTION_NOTIFY_CONNECTION, &State::notice_client, this, MHD_OPTION_END));
        if (!listener.daemon)
            throw std::runtime_error("serve metrics on an inherited socket: libmicrohttpd refuses");
        MHD_Daemon* daemon = listener.daemon.get();
        const auto* info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
        if (info == nullptr)
            throw std::runtime_error("serve metrics: libmicrohttpd was built without epoll");
        // Last of all that waits: who floods this delays nothing but this.
        listener.source = loop.on_io(
            info->epoll_fd, [daemon] { return wanted(daemon); },
            [this, daemon] {
                MHD_run(daemon);
                noticed();
            });
        listener.source.be_last();
    }

    static EventLoop::Wanted wanted(MHD_Daemon* daemon) {
        MHD_UNSIGNED_LONG_LONG milliseconds = 0;
        const bool is_bounded = MHD_get_timeout(daemon, &milliseconds) == MHD_YES;
        return {EPOLLIN, is_bounded ? now() + std::chrono::milliseconds(milliseconds)
                                    : std::chrono::nanoseconds::max()};
    }

    static MHD_Result answer(void* self, MHD_Connection* connection, const char* url,
                             const char* method, const char*, const char*, std::size_t*,
                             void**) noexcept {
        try {
            return static_cast<State*>(self)->answer(connection, url, method);
        } catch (const std::exception& error) {
            log::warning(std::string("answer a request for metrics: ") + error.what());
            return MHD_NO;  // closes the connection
        }
    }

    MHD_Result answer(MHD_Connection* connection, std::string_view url, std::string_view method) {
        constexpr const char* kText = "text/plain; charset=utf-8";
        const auto queue = [connection](unsigned status, const Response& response) {
            return response ? MHD_queue_response(connection, status, response.get()) : MHD_NO;
        };
        if (method != "GET" && method != "HEAD")
            return queue(MHD_HTTP_METHOD_NOT_ALLOWED, make_response("only GET and HEAD\n", kText));
        if (url != "/metrics")
            return queue(MHD_HTTP_NOT_FOUND, make_response("see /metrics\n", kText));
        const char* accept =
            MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
        const TextFormat format = wanted_format(accept == nullptr ? "" : accept);
        const Response response = make_response(fresh(format), content_type(format));
        if (response)
            MHD_add_response_header(response.get(), MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT);
        return queue(MHD_HTTP_OK, response);
    }

    const std::string& fresh(TextFormat format) {
        Made& answer = made[format];
        if (answer.text.empty() || now() > answer.at + kContentAge) {
            answer.text = content(format);
            answer.at = now();
        }
        return answer.text;
    }

    static void notice_client(void* self, MHD_Connection* connection, void**,
                              MHD_ConnectionNotificationCode what) noexcept {
        auto* state = static_cast<State*>(self);
        try {
            if (what == MHD_CONNECTION_NOTIFY_STARTED)
                state->deadlines.emplace(connection, now() + kPatience);
            else
                state->deadlines.erase(connection);
            state->arm();
        } catch (const std::exception& error) {
            log::warning(std::string("watch a client of the metrics: ") + error.what());
        }
    }

    void arm() {
        std::chrono::nanoseconds first = std::chrono::nanoseconds::max();
        for (const auto& client : deadlines)
            first = std::min(first, client.second);
        if (deadlines.empty())
            patience.disarm();
        else
            patience.arm(first);
    }

    // libmicrohttpd sees the end of the connection and forgets it.
    void end_overdue() {
        for (auto& [connection, deadline] : deadlines) {
            if (deadline > now())
                continue;
            const auto* info =
                MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
            if (info != nullptr)
                ::shutdown(info->connect_fd, SHUT_RDWR);
            deadline = std::chrono::nanoseconds::max();
        }
        arm();
    }

    EventLoop& loop;
    std::function<std::string(TextFormat)> content;
    std::function<void()> noticed;
    struct Made {
        std::string text;
        std::chrono::nanoseconds at{};
    };
    std::map<TextFormat, Made> made;                                // the last answers
    std::map<MHD_Connection*, std::chrono::nanoseconds> deadlines;  // of those that are connected
    Timer patience;
    std::vector<Listener> listeners;  // last: their end calls notice_client
};

MetricsServer::MetricsServer(EventLoop& loop, std::vector<Fd> listeners,
                             std::function<std::string(TextFormat)> content,
                             std::function<void()> noticed)
    : state_(std::make_unique<State>(loop, std::move(listeners), std::move(content),
                                     std::move(noticed))) {}

MetricsServer::~MetricsServer() = default;

bool MetricsServer::is_busy() const {
    return !state_->deadlines.empty();
}

}  // namespace sockaccel
