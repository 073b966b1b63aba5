// How many bytes may cross a link now: tokens grow with time at the link's rate, up to a burst.
//
// Time: passed in, and never going backwards. Threads: one at a time.
#pragma once

#include <cstdint>

#include "runtime/base/time.h"

namespace runnel::fleet {

class TokenBucket {
 public:
  static constexpr double kBurstBytesMin = 1500.0;  // one packet, however thin the link

  TokenBucket(Instant now, double rate_kbps);

  // What has grown so far stays; from now on tokens grow at the new rate. 0 stops the flow and empties the bucket: an
  // outage saves nothing up. Infinity lifts every limit.
  void set_rate(Instant now, double rate_kbps);

  // Whole bytes that may pass now.
  uint64_t available_bytes(Instant now);

  // REQUIRES: bytes <= available_bytes() at this instant.
  void take(uint64_t bytes);

  // When it is worth asking again after running dry: 10 ms worth of bytes, at least 64. kNever at rate 0.
  Instant ready_at(Instant now);

  bool unlimited() const;

 private:
  void grow(Instant now);

  double rate_kbps_;
  double burst_bytes_ = 0.0;
  double tokens_bytes_ = 0.0;
  Instant grown_at_;
};

}  // namespace runnel::fleet
