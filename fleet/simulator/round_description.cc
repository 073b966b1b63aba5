#include "fleet/simulator/round_description.h"

#include <algorithm>
#include <set>

namespace runnel::fleet {

SimulatedRound describe_round(const coordinator::RoundResult& result,
                              const std::vector<coordinator::LedgerEntry>& ledger,
                              const std::vector<std::string>& selected,
                              std::span<const std::unique_ptr<SimulatedDevice>> devices, Duration closed_at,
                              bool bytes_by_device) {
  SimulatedRound round;
  round.round = result.round;
  round.closed_at = closed_at;
  round.mean_loss = result.mean_loss;
  round.bits_per_coordinate = result.bits_per_coordinate;
  std::set<std::string> counted;
  for (auto entry = ledger.rbegin(); entry != ledger.rend() && entry->merged_into == result.round; ++entry) {
    counted.insert(entry->device);
    ++round.counted;
    round.late += entry->round < result.round ? 1 : 0;
  }
  const std::set<std::string> asked(selected.begin(), selected.end());
  for (size_t i = 0; i < devices.size(); ++i) {
    const SimulatedDevice& device = *devices[i];
    const uint64_t up = device.link ? device.link->bytes_sent(Way::kUp) : device.constant_bytes[0];
    const uint64_t down = device.link ? device.link->bytes_sent(Way::kDown) : device.constant_bytes[1];
    round.uplink_total += up;
    round.downlink_total += down;
    if (!asked.contains(device.name)) {
      ++round.absent;
    } else if (!counted.contains(device.name)) {
      round.missed.push_back(static_cast<uint32_t>(i));
    }
    if (!bytes_by_device) continue;
    round.uplink_bytes.push_back(up);
    round.downlink_bytes.push_back(down);
  }
  return round;
}

}  // namespace runnel::fleet
