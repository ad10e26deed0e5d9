// SPDX-License-Identifier: GPL-2.0-or-later
// What clients send to the metrics' socket, through libmicrohttpd: each gets one answer, or none.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>

#include "claim.hpp"
#include "metrics_server.hpp"

namespace sockaccel::fuzz {
namespace {

constexpr std::string_view kOpenMetrics = "openmetrics\n# EOF\n", kPrometheus = "prometheus\n";
constexpr int kMostTurns = 1000;

std::string content(TextFormat format) {
    return std::string(format == TextFormat::openmetrics ? kOpenMetrics : kPrometheus);
}

// The server, and its own clients.
class Service {
  public:
    Service() {
        sockaddr_un any{};
        any.sun_family = AF_UNIX;  // alone: the kernel chooses a name
        listener_ = Fd(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
                             "make a socket"));
        check(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&any), sizeof(sa_family_t)),
              "bind it");
        check(::listen(listener_.get(), 1), "listen");
        length_ = sizeof address_;
        check(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address_), &length_),
              "ask for its name");
        std::vector<Fd> listeners;
        listeners.push_back(std::move(listener_));
        server_.emplace(loop_, std::move(listeners), content, [] {});
    }

    // Sends it in two pieces, and reads what comes.
    std::string answer(std::string_view request, std::size_t cut) {
        std::string answer;
        {
            const Fd client(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
                                  "a client"));
            check(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address_), length_),
                  "connect");
            send(client, request.substr(0, cut));
            settle();
            send(client, request.substr(cut));
            settle();
            std::array<char, 4096> piece{};
            for (;;) {
                const ssize_t count = ::read(client.get(), piece.data(), piece.size());
                if (count <= 0)
                    break;
                answer.append(piece.data(), static_cast<std::size_t>(count));
            }
        }
        // What libmicrohttpd puts off comes with the loop's timer.
        for (int turns = 0; server_->is_busy(); ++turns) {
            claim(turns < kMostTurns, "the server forgets who has left", request);
            check_negative(sd_event_run(loop_.handle(), 1000), "run the loop");
        }
        return answer;
    }

  private:
    // A request fits into the socket's buffer, unless the server has closed.
    static void send(const Fd& client, std::string_view what) {
        static_cast<void>(::send(client.get(), what.data(), what.size(), MSG_NOSIGNAL));
    }

    // Until nothing happens any more.
    void settle() {
        for (int turns = 0; check_negative(sd_event_run(loop_.handle(), 0), "run the loop") > 0;
             ++turns)
            claim(turns < kMostTurns, "the server comes to rest");
    }

    EventLoop loop_;
    Fd listener_;
    sockaddr_un address_{};
    socklen_t length_ = 0;
    std::optional<MetricsServer> server_;
};

std::size_t count(std::string_view text, std::string_view word) {
    std::size_t found = 0;
    for (std::size_t at = text.find(word); at != std::string_view::npos;
         at = text.find(word, at + 1))
        ++found;
    return found;
}

void check_answer(std::string_view request, std::string_view answer) {
    if (answer.empty())
        return;
    claim(answer.starts_with("HTTP/1."), "what is answered is HTTP", answer);
    if (answer.find(" 200 OK") == std::string_view::npos)
        return;
    // libmicrohttpd's own, where a request is malformed, may begin twice.
    claim(count(answer, "HTTP/1.") == 1 + count(answer, " 100 Continue"), "there is one answer",
          answer);
    // Where the method is, libmicrohttpd knows: it takes some bytes before it.
    const bool is_head = count(request, "HEAD") > 0;
    claim(is_head || count(request, "GET") > 0, "only GET and HEAD are served", request);
    const std::string_view body = answer.substr(answer.find("\r\n\r\n") + 4);
    const bool is_openmetrics = answer.find("openmetrics-text") != std::string_view::npos;
    claim(body == (is_openmetrics ? kOpenMetrics : kPrometheus) || (is_head && body.empty()),
          "the body is of the type that the head says", answer);
}

}  // namespace
}  // namespace sockaccel::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sockaccel::fuzz;
    static Service service;
    const std::string_view request = text_of(data, size);
    const std::size_t cut = size == 0 ? 0 : data[size - 1] % size;
    check_answer(request, service.answer(request, cut));
    return 0;
}
