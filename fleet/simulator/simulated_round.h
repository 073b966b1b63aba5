// What a simulation saw of one round.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "runtime/base/time.h"

namespace runnel::fleet {

struct SimulatedRound {
  uint32_t round = 0;
  Duration closed_at{};              // virtual time since the beginning
  uint32_t counted = 0;              // updates
  uint32_t late = 0;                 // of those, trained for an earlier round
  std::vector<uint32_t> missed;      // devices that were asked, and whose update did not count; ascending
  uint32_t absent = 0;               // devices that were not asked: away, or not drawn
  double mean_loss = 0.0;            // as the devices reported it
  double bits_per_coordinate = 0.0;  // of the updates that counted

  // Since the beginning, with everything around the frames; handshakes where a device has a trace. Of all devices
  // together, and of each unless the options say otherwise.
  uint64_t uplink_total = 0;
  uint64_t downlink_total = 0;
  std::vector<uint64_t> uplink_bytes;
  std::vector<uint64_t> downlink_bytes;
};

// Called when a round has closed, with the model that it gave. The span is valid during the call.
using RoundObserver = std::function<void(const SimulatedRound&, std::span<const float> model)>;

}  // namespace runnel::fleet
