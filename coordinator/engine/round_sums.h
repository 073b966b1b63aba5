// What the updates of one round add up to, and the round's figures about them.
//
// Neither depends on the order of arrival: the mean is a sum of integers, everything else goes by device and sequence.
// The figures decide how coarse later updates may be, so where the plan expects lies they are medians, not means.
// Memory: 8 bytes a parameter, and a few words an update; for the methods that need all updates at once 4 bytes a
// parameter and update besides (RobustAggregate). Threads: one at a time. Trust: values come from devices; add() checks
// that they are finite and within the grid.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/config/fleet_plan.h"
#include "coordinator/engine/aggregate.h"
#include "coordinator/engine/robust_aggregate.h"
#include "coordinator/store/store.h"

namespace runnel::coordinator {

// The squared norm; the same values give the same bits.
double squared_norm(std::span<const float> values);

class RoundSums {
 public:
  struct Merged {
    uint32_t sample_count = 0;
    double loss = 0.0;
    double energy = 0.0;  // squared norm of the values that were added
  };

  RoundSums(const AggregationSpec& spec, size_t parameter_count, uint64_t robust_bytes_max)
      : sums_(parameter_count), robust_(spec, parameter_count, robust_bytes_max) {}

  // An update's values, as scaled, and what is said of it; `energy` is their squared norm, for who knows it already.
  // Fails as Aggregate::add(), and then nothing changed. REQUIRES: it is not there yet.
  Failure add(const UpdateRecord& update, std::span<const float> values, double energy);
  Failure add(const UpdateRecord& update, std::span<const float> values) {
    return add(update, values, squared_norm(values));
  }

  // A part of what close() has to do, about that many operations; true when nothing is left to prepare.
  bool prepare(uint64_t operations) { return robust_.prepare(operations); }
  // The aggregate; in `result` the number of updates, their examples, losses, energies and bits. REQUIRES: an update.
  std::vector<double> close(RoundResult& result) const;

  size_t count() const { return merged_.size(); }
  bool full() const { return robust_.full(); }  // no room for another one
  std::string weakness() const { return robust_.weakness(); }
  const std::map<std::pair<std::string, uint64_t>, Merged>& updates() const { return merged_; }
  void reset();

 private:
  Aggregate sums_;  // for every method: what it refuses is refused
  RobustAggregate robust_;
  std::map<std::pair<std::string, uint64_t>, Merged> merged_;  // by device and sequence
  uint64_t coordinates_ = 0;
  uint64_t payload_bytes_ = 0;
};

}  // namespace runnel::coordinator
