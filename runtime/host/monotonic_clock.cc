#include "runtime/host/monotonic_clock.h"

#include <ctime>

#include "runtime/base/error.h"

namespace runnel::host {

Instant MonotonicClock::now() const {
  timespec time{};
  RUNNEL_ASSERT(clock_gettime(CLOCK_BOOTTIME, &time) == 0);
  return Instant(
      std::chrono::duration_cast<Duration>(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec)));
}

int64_t unix_seconds() {
  return static_cast<int64_t>(std::time(nullptr));
}

}  // namespace runnel::host
