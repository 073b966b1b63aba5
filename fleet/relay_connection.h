// One TCP connection through an emulated link: two sockets, and for each direction a delay line fed at the link's rate.
//
// What the kernel holds for the sockets stays small, so that a sender feels the link and does not fill a hidden queue.
// Bytes are counted as they are read from the socket of whoever sent them: what was sent costs air time even when an
// outage loses it. A half-closed direction is passed on once its delay line is empty.
//
// Memory: kInFlightBytesMax a direction. Time: passed in. Threads: one at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fleet/delay_line.h"
#include "fleet/token_bucket.h"
#include "fleet/unique_fd.h"
#include "runtime/base/time.h"

namespace runnel::fleet {

// Which end of the relay a socket belongs to; the direction "up" reads from kDevice and writes to kCoordinator.
enum class RelaySide : uint8_t { kDevice = 0, kCoordinator = 1 };

class RelayConnection {
 public:
  static constexpr size_t kInFlightBytesMax = size_t{256} << 10;

  // What the link allows now. The buckets and counters belong to the device, whose connections share them.
  struct Link {
    TokenBucket& up;
    TokenBucket& down;
    Duration latency;
    uint64_t& uplink_bytes;
    uint64_t& downlink_bytes;
  };

  // `coordinator` is a non-blocking socket whose connect() is under way.
  RelayConnection(UniqueFd device, UniqueFd coordinator);

  // What epoll said about one side (edge triggered): bits as in epoll_event::events.
  void handle_events(RelaySide side, uint32_t events);

  // Moves what may move. False when the connection is over; the caller then drops it.
  [[nodiscard]] bool pump(Instant now, const Link& link);

  // When pump() has something to do without a socket's event; kNever if nothing but a socket can wake it.
  Instant next_timeout(Instant now, const Link& link) const;

  // Closes both sockets so that the peers see a reset, as when a link breaks.
  void reset();

 private:
  struct Direction {
    DelayLine line{kInFlightBytesMax};
    bool end_seen = false;    // the sender has closed
    bool end_passed = false;  // and the receiver has been told
  };
  struct Socket {
    UniqueFd fd;
    bool readable = false;
    bool writable = false;
  };
  enum class Step : uint8_t { kIdle, kMoved, kBroken };

  Step finish_connect();
  Step read(Instant now, Socket& from, Direction& direction, TokenBucket& bucket, Duration latency, uint64_t& counter);
  static Step write(Instant now, Direction& direction, Socket& to);
  Instant direction_timeout(Instant now, const Socket& from, const Socket& to, const Direction& direction,
                            TokenBucket& bucket) const;

  Socket device_;
  Socket coordinator_;
  Direction up_;
  Direction down_;
  bool connecting_ = true;
  bool failed_ = false;  // epoll reported an error on a socket
};

}  // namespace runnel::fleet
