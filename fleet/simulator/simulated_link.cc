#include "fleet/simulator/simulated_link.h"

#include <algorithm>
#include <cmath>

namespace runnel::fleet {
namespace {

// Segments with their headers; a SYN carries 20 bytes of options. A greeting is 64 bytes, a READY command with socket
// type and empty identity 43.
constexpr std::array<Flight, 6> kConnection = {{
    {Way::kUp, 60},
    {Way::kDown, 60},
    {Way::kUp, 40 + 40 + 64},
    {Way::kDown, 40 + 64},
    {Way::kUp, 40 + 43},
    {Way::kDown, 40 + 43},
}};

// Messages of 114, 696, 634 and 266 bytes, as counted in a handshake of the product's channels, each a ZeroMQ frame in
// one segment.
constexpr std::array<Flight, 4> kSession = {{
    {Way::kUp, 114 + 2 + 40},
    {Way::kDown, 696 + 9 + 40},
    {Way::kUp, 634 + 9 + 40},
    {Way::kDown, 266 + 9 + 40},
}};

}  // namespace

uint64_t wire_bytes(uint64_t frame_bytes, const FrameOverhead& overhead) {
  const uint64_t message = frame_bytes + overhead.record_bytes;
  const uint64_t framed = message + (message > 255 ? 9 : 2);
  const uint64_t segments = (framed + overhead.segment_bytes - 1) / overhead.segment_bytes;
  return framed + segments * overhead.segment_header_bytes;
}

std::span<const Flight> connection_flights() {
  return kConnection;
}

std::span<const Flight> session_flights() {
  return kSession;
}

// Most links are silent most of the time: the room of a burst is given back.
void SimulatedLink::Direction::forget_left(Instant now) {
  const auto left = std::find_if(leaving.begin(), leaving.end(), [now](const Leaving& each) { return each.end > now; });
  leaving.erase(leaving.begin(), left);
  if (leaving.empty() && leaving.capacity() > kLeavingKept) leaving = {};
}

Instant SimulatedLink::send(Way way, Instant now, uint64_t bytes) {
  Direction& line = direction(way);
  line.forget_left(now);
  if (line.free == kNever) return kNever;
  const Instant begin = std::max(line.free, now);
  double bits = 8.0 * static_cast<double>(bytes);
  Instant at = begin;
  Duration dark{};
  LinkState state;
  for (;;) {
    state = state_at(at);
    const double kbps = way == Way::kUp ? state.up_kbps : state.down_kbps;
    if (state.outage) {
      dark += state.remaining;
      if (dark >= trace_->length()) return line.free = kNever;
      at += state.remaining;
      continue;
    }
    dark = {};
    if (!std::isfinite(kbps)) break;
    const double row_bits = kbps * static_cast<double>(state.remaining.count()) / 1000.0;
    if (bits <= row_bits) {
      // Up to the next microsecond, but for what is only rounding.
      at += Duration(static_cast<int64_t>(std::ceil(bits * 1000.0 / kbps - 1e-6)));
      break;
    }
    bits -= row_bits;
    at += state.remaining;
  }
  line.free = at;
  line.bytes += bytes;
  line.leaving.push_back({begin, at, bytes});
  line.arrived = std::max(line.arrived, at + state.latency);
  return line.arrived;
}

void SimulatedLink::drop(Instant now) {
  for (Direction& line : directions_) {
    for (const Leaving& each : line.leaving) {
      if (each.end <= now) continue;
      const double left = each.begin >= now ? 1.0
                                            : static_cast<double>((each.end - now).count()) /
                                                  static_cast<double>((each.end - each.begin).count());
      line.bytes -= static_cast<uint64_t>(left * static_cast<double>(each.bytes));
    }
    line.leaving.clear();
    line.free = line.arrived = now;
  }
}

Instant SimulatedLink::next_change(Instant now) const {
  const bool was_dark = dark(now);
  Instant at = now;
  while (at - now <= trace_->length()) {
    const LinkState state = state_at(at);
    if (state.cut != was_dark) return at;
    at += state.remaining;
  }
  return kNever;
}

}  // namespace runnel::fleet
