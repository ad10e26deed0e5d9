// SPDX-License-Identifier: GPL-2.0-or-later
// The groups of measurements, each in a file of its own.
#pragma once

#include "session.hpp"

namespace sockaccel::bench {

void measure_requests(Session& session);
void measure_streams(Session& session);
void measure_iperf3(Session& session);
void measure_redis(Session& session);
void measure_memcached(Session& session);
void measure_pgbench(Session& session);
void measure_http(Session& session);
void measure_connects(Session& session);
void measure_kept(Session& session);
void measure_idle(Session& session);
void measure_witness(Session& session);
void measure_scale(Session& session);

}  // namespace sockaccel::bench
