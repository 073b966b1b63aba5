#include "coordinator/engine/counted_updates.h"

namespace runnel::coordinator {

CountedUpdates::OfDevice CountedUpdates::of(const std::string& device) const {
  const auto found = devices_.find(device);
  return found == devices_.end() ? OfDevice{} : found->second;
}

bool CountedUpdates::is_durable(const std::string& device, uint64_t sequence) const {
  const OfDevice known = of(device);
  if (sequence == 0 || sequence > known.sequence) return false;
  const uint64_t back = known.sequence - sequence;
  return back == 0 || (back <= 64 && (known.before >> (back - 1) & 1) != 0);
}

bool CountedUpdates::is_waiting(const std::string& device, uint64_t sequence) const {
  return sequence != 0 && of(device).waiting == sequence;
}

void CountedUpdates::note_waiting(const std::string& device, uint64_t sequence, uint32_t round) {
  devices_[device].waiting = sequence;
  note_round(device, round);
}

void CountedUpdates::note_durable(const std::string& device, uint64_t sequence) {
  OfDevice& known = devices_[device];
  if (known.waiting <= sequence) known.waiting = 0;
  if (sequence <= known.sequence) {
    const uint64_t back = known.sequence - sequence;
    if (back != 0 && back <= 64) known.before |= uint64_t{1} << (back - 1);
    return;
  }
  const uint64_t step = sequence - known.sequence;
  known.before = step < 64 ? known.before << step : 0;
  if (known.sequence != 0 && step <= 64) known.before |= uint64_t{1} << (step - 1);
  known.sequence = sequence;
}

void CountedUpdates::note_round(const std::string& device, uint32_t round) {
  OfDevice& known = devices_[device];
  if (round > known.round) {
    known.round = round;
    known.of_round = 0;
  }
  if (round == known.round) ++known.of_round;
}

}  // namespace runnel::coordinator
