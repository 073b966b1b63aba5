#include "fleet/random_faults.h"

#include <algorithm>

namespace runnel::fleet {
namespace {

constexpr uint64_t kFaultKey = 0x6661756C7473;  // keeps this use of the seed apart from all others

}  // namespace

RandomFaults::RandomFaults(const RandomFaultOptions& options)
    : options_(options), rng_(derive_key(options.seed, kFaultKey)) {}

Duration RandomFaults::draw(double mean_s) {
  return Duration(static_cast<int64_t>(1e6 * mean_s * (0.5 + rng_.uniform())));
}

void RandomFaults::begin(Instant now) {
  if (options_.kill_every_s > 0.0) next_kill_ = now + draw(options_.kill_every_s);
  next_cuts_.clear();
  if (options_.cut_every_s <= 0.0) return;
  for (size_t i = 0; i < options_.devices; ++i) next_cuts_.push_back(now + draw(options_.cut_every_s));
}

std::vector<RandomFaults::Fault> RandomFaults::due(Instant now) {
  std::vector<Fault> faults;
  if (next_kill_ <= now) {
    next_kill_ = now + draw(options_.kill_every_s);
    const bool coordinator = rng_.below(kCoordinatorShare) == 0;
    faults.push_back({false, coordinator, static_cast<size_t>(rng_.below(options_.devices))});
  }
  for (size_t i = 0; i < next_cuts_.size(); ++i) {
    if (next_cuts_[i] > now) continue;
    next_cuts_[i] = now + draw(options_.cut_every_s);
    faults.push_back({true, false, i});
  }
  return faults;
}

Instant RandomFaults::next_timeout() const {
  const auto first = std::min_element(next_cuts_.begin(), next_cuts_.end());
  return first == next_cuts_.end() ? next_kill_ : std::min(next_kill_, *first);
}

}  // namespace runnel::fleet
