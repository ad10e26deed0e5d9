// SPDX-License-Identifier: GPL-2.0-or-later
#include "advice.hpp"

#include <array>

#include "connection.hpp"

namespace sockaccel::ctl {

namespace {

constexpr std::size_t kCount = SA_REASON_COUNT;

// By reason.
constexpr std::array<std::string_view, kCount> make_advice() {
    std::array<std::string_view, kCount> advice{};
    advice[SA_REASON_NONE] = "Nothing to do.";
    advice[SA_REASON_YOUNG] =
        "Wait: short connections are left alone, longer ones are looked at soon.";
    advice[SA_REASON_IDLE] = "Wait for traffic: it is judged by what it sends.";
    advice[SA_REASON_PATTERN] =
        "TCP is the faster one for it. Larger writes (48 KiB and more), or requests and responses "
        "in "
        "turn, would gain.";
    advice[SA_REASON_MEASURING] = "Wait half a second: then it is enrolled.";
    advice[SA_REASON_PROVING] =
        "Wait until the rule's prove time is over, or shorten `prove` if you know the program.";
    advice[SA_REASON_OPENING] = "Wait a second.";
    advice[SA_REASON_BLOCKING] = "Have the program use O_NONBLOCK, as event loops do.";
    advice[SA_REASON_BUSY] = "Wait: it is tried again when the end is outside of its system call.";
    advice[SA_REASON_OPEN_BEFORE] =
        "Have the program connect again: then it is covered from the start.";
    advice[SA_REASON_SILENT] =
        "Nothing: it is looked at again when that end sends. Until then its reader could not be "
        "woken where TCP takes over.";
    advice[SA_REASON_NOT_ACCEPTED] =
        "Look why the server does not call accept(2): is it overloaded?";
    advice[SA_REASON_STATE] = "Nothing to do: the connection is closing.";
    advice[SA_REASON_ULP] =
        "Switch off kernel TLS, or MPTCP, in the program if acceleration is worth more there.";
    advice[SA_REASON_FILTER] =
        "Have the program not attach a socket filter (SO_ATTACH_FILTER, SO_ATTACH_BPF).";
    advice[SA_REASON_ZEROCOPY] =
        "Switch off SO_ZEROCOPY in the program: on one host it gains nothing.";
    advice[SA_REASON_TIMESTAMPS] =
        "Switch off SO_TIMESTAMP, SO_TIMESTAMPING and TCP_INQ in the program.";
    advice[SA_REASON_LOWAT] = "Leave SO_RCVLOWAT at 1 in the program.";
    advice[SA_REASON_PEEK_OFF] = "Do not use SO_PEEK_OFF in the program.";
    advice[SA_REASON_REPAIR] = "Wait: a checkpoint (CRIU) is being made.";
    advice[SA_REASON_MPTCP] = "Have the program use TCP for connections within the host.";
    advice[SA_REASON_KERNEL_SOCKET] =
        "Nothing to do: the kernel itself (NFS, a kernel TLS or an io_uring helper) reads it.";
    advice[SA_REASON_SPLICE] =
        "Switch off splice in the program (HAProxy: `nosplice`), or keep its unit or port out of "
        "the "
        "rule. Add \"splice\" to `tolerate` only if you know that these connections are never "
        "spliced.";
    advice[SA_REASON_FIONREAD] =
        "Keep its unit or port out of the rule, or add \"fionread\" to `tolerate` if a wrong count "
        "does "
        "no harm there.";
    advice[SA_REASON_WAITALL] =
        "Keep its unit or port out of the rule, or add \"waitall\" to `tolerate` if short reads do "
        "no "
        "harm there.";
    advice[SA_REASON_OOB] = "Keep its unit or port out of the rule: urgent data needs TCP.";
    advice[SA_REASON_USERNS] =
        "Add \"stall\" to `tolerate` if the ends trust each other; run both in one user namespace "
        "otherwise.";
    advice[SA_REASON_UNPROVEN] =
        "Look for NAT of both addresses, or for something that rewrites TCP options, between the "
        "ends.";
    advice[SA_REASON_AMBIGUOUS] =
        "Look for a program that forges packets or sequence numbers; a new connection is tried "
        "afresh.";
    advice[SA_REASON_FOREIGN] =
        "See `sockaccelctl status` for the other program; only one of both can have the socket.";
    advice[SA_REASON_FULL] = "Raise `connections` in [limits].";
    advice[SA_REASON_COOLING] =
        "Wait: it is tried again after a minute or more. If it never gains, keep it out of the "
        "rule.";
    advice[SA_REASON_EDGE] =
        "Make `queue` larger or the reader faster, then reconnect: it stays in TCP until it "
        "closes.";
    advice[SA_REASON_FILTERED] =
        "Remove IPAddressAllow=, IPAddressDeny=, IPAccounting= and the like from the unit if it "
        "does not "
        "need them.";
    advice[SA_REASON_OBSERVED] =
        "See `sockaccelctl suggest`; the rule's action is \"observe\", which enrols nothing.";
    advice[SA_REASON_POLICY] =
        "See `sockaccelctl rules`: the rule is gone, or matches other connections now.";
    advice[SA_REASON_INSERT] =
        "Reconnect. If it comes back, report it with the output of `sockaccelctl probe`.";
    advice[SA_REASON_ORDER] =
        "Nothing to do: it goes on as soon as the receiver has read what went by TCP.";
    advice[SA_REASON_QUEUE] = "Make `queue` larger, or the reader faster.";
    advice[SA_REASON_MESSAGES] =
        "Have the program write larger pieces, or the reader read more often.";
    advice[SA_REASON_BUDGET] = "Raise `memory` in [limits].";
    advice[SA_REASON_PRESSURE] =
        "Give the receiver's unit more memory (MemoryMax=), or the host (net.ipv4.tcp_mem).";
    advice[SA_REASON_SHUTDOWN] = "Nothing to do: the connection is closing.";
    advice[SA_REASON_DRAINING] =
        "Wait: it goes back to TCP, and is tried again if nothing stands against it.";
    advice[SA_REASON_PEER_GONE] = "Nothing to do: the connection is closing.";
    advice[SA_REASON_REDIRECT] =
        "If it comes back, report it with the output of `sockaccelctl probe`.";
    advice[SA_REASON_CLOSED] = "Nothing to do.";
    advice[SA_REASON_STOPPED] = "Start the service: systemctl start sockaccel.";
    advice[SA_REASON_PAUSED] = "End the pause: sockaccelctl resume.";
    advice[SA_REASON_CONNTRACK] =
        "Nothing to do: one message in two seconds keeps the NAT entry alive.";
    return advice;
}

constexpr auto kAdvice = make_advice();

constexpr bool is_complete() {
    for (const std::string_view advice : kAdvice)
        if (advice.empty())
            return false;
    return true;
}
static_assert(is_complete(), "each reason needs an advice");

}  // namespace

std::string_view advice_of(std::string_view reason) {
    for (std::size_t index = 0; index < kCount; ++index)
        if (name_of(static_cast<Reason>(index)) == reason)
            return kAdvice[index];
    return "";
}

std::vector<std::string_view> reason_names() {
    std::vector<std::string_view> names;
    for (std::size_t index = 0; index < kCount; ++index)
        names.push_back(name_of(static_cast<Reason>(index)));
    return names;
}

}  // namespace sockaccel::ctl
