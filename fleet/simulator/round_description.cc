#include "fleet/simulator/round_description.h"

#include <algorithm>
#include <set>

namespace runnel::fleet {

SimulatedRound describe_round(const coordinator::RoundResult& result,
                              const std::vector<coordinator::LedgerEntry>& ledger,
                              const std::vector<std::string>& selected,
                              std::span<const std::unique_ptr<SimulatedDevice>> devices, Duration closed_at) {
  SimulatedRound round;
  round.round = result.round;
  round.closed_at = closed_at;
  round.mean_loss = result.mean_loss;
  round.bits_per_coordinate = result.bits_per_coordinate;
  std::set<std::string> counted;
  for (auto entry = ledger.rbegin(); entry != ledger.rend() && entry->round == result.round; ++entry) {
    counted.insert(entry->device);
  }
  round.counted = static_cast<uint32_t>(counted.size());
  for (size_t i = 0; i < devices.size(); ++i) {
    const SimulatedDevice& device = *devices[i];
    if (std::find(selected.begin(), selected.end(), device.name) == selected.end()) {
      ++round.absent;
    } else if (!counted.contains(device.name)) {
      round.missed.push_back(static_cast<uint32_t>(i));
    }
    round.uplink_bytes.push_back(device.link ? device.link->bytes_sent(Way::kUp) : device.constant_bytes[0]);
    round.downlink_bytes.push_back(device.link ? device.link->bytes_sent(Way::kDown) : device.constant_bytes[1]);
  }
  return round;
}

}  // namespace runnel::fleet
