// The two clocks of a Linux host: one that only moves forward, for every decision, and the calendar, for certificates.
//
// Threads: any.
#pragma once

#include <cstdint>

#include "runtime/base/time.h"

namespace runnel::host {

// Microseconds since the machine started, time asleep included: a suspended device's timers come due when it wakes.
class MonotonicClock {
 public:
  Instant now() const;
};

// Seconds since 1970-01-01 UTC. It may be wrong or jump: nothing but certificate validity and log lines may use it.
int64_t unix_seconds();

}  // namespace runnel::host
