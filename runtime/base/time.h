// Time as an argument. The core never reads a clock: whoever calls it says what time it is.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>

namespace runnel {

using Duration = std::chrono::microseconds;

// A monotonic clock's tag; it has no now(), on purpose. The epoch is whatever the host or the simulator chose.
struct CoreClock {
  using duration = Duration;
  using rep = Duration::rep;
  using period = Duration::period;
  using time_point = std::chrono::time_point<CoreClock, Duration>;
};
using Instant = CoreClock::time_point;

inline constexpr Instant kNever = Instant::max();

constexpr Duration milliseconds(int64_t count) {
  return std::chrono::milliseconds(count);
}
constexpr Duration seconds(int64_t count) {
  return std::chrono::seconds(count);
}
constexpr int64_t to_ms(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

}  // namespace runnel
