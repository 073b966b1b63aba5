// A device's link in virtual time, after a trace: frames leave one after another, each direction at the trace's rate of
// the moment, and arrive the trace's latency later, in order. Outages stall; those that cut (see RateTrace) break the
// connection, and what had not left by then never does.
//
// Everything that travels is counted, what surrounds a frame on the wire included. Time: passed in; the trace begins
// `start` before the epoch of the simulation. Threads: one at a time.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "fleet/rate_trace.h"
#include "runtime/base/time.h"
#include "runtime/host/secure_channel.h"

namespace runnel::fleet {

enum class Way : uint8_t { kUp = 0, kDown = 1 };  // up: from the device

// What a real session adds to a frame.
struct FrameOverhead {
  uint32_t record_bytes = host::kMessageHeaderBytes + host::kRecordOverheadBytes;  // session id and DTLS record
  uint32_t segment_bytes = 1400;                                                   // payload of a TCP segment
  uint32_t segment_header_bytes = 40;                                              // TCP over IPv4, without options
};

// Bytes on the wire for one frame; ZeroMQ's own header is 2 bytes up to 255, 9 above.
uint64_t wire_bytes(uint64_t frame_bytes, const FrameOverhead& overhead);

// One step of a handshake: so many bytes one way, which the other side answers with the next.
struct Flight {
  Way way = Way::kUp;
  uint32_t bytes = 0;
};

// TCP's and ZeroMQ's own handshakes, at every new connection: SYNs, ZMTP 3.1 greetings, READY commands.
std::span<const Flight> connection_flights();
// A full DTLS handshake of the product (two round trips, two certificates, ECDHE-ECDSA), at the first connection of a
// session.
std::span<const Flight> session_flights();

class SimulatedLink {
 public:
  // `trace` must outlive the link.
  SimulatedLink(const RateTrace& trace, Duration start) : trace_(&trace), start_(start) {}

  // Puts so many bytes on the link behind what is there already. When they arrive; kNever if the link stays dark.
  Instant send(Way way, Instant now, uint64_t bytes);
  // The connection is gone: what has not left by `now` is forgotten, and not counted.
  void drop(Instant now);

  // True in an outage that cuts connections.
  bool dark(Instant now) const { return state_at(now).cut; }
  // When dark() changes next; kNever if it does not.
  Instant next_change(Instant now) const;

  uint64_t bytes_sent(Way way) const { return direction(way).bytes; }

 private:
  static constexpr size_t kLeavingKept = 4;
  struct Leaving {
    Instant begin;
    Instant end;
    uint64_t bytes;
  };
  struct Direction {
    Instant free{};     // when the link has room for the next frame
    Instant arrived{};  // when the newest frame arrives
    uint64_t bytes = 0;
    std::vector<Leaving> leaving;  // in order; a deque takes half a kilobyte while it is empty

    void forget_left(Instant now);
  };

  LinkState state_at(Instant now) const { return trace_->at(start_ + now.time_since_epoch()); }
  Direction& direction(Way way) { return directions_[static_cast<size_t>(way)]; }
  const Direction& direction(Way way) const { return directions_[static_cast<size_t>(way)]; }

  const RateTrace* trace_;
  Duration start_;
  std::array<Direction, 2> directions_;
};

}  // namespace runnel::fleet
