// What a round's plan says about precision, beyond the fleet's plan: solved anew from the closed rounds.
//
// A function of durable history alone, so that a restarted coordinator plans the same. Threads: one at a time.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "coordinator/config/fleet_plan.h"
#include "coordinator/store/store.h"
#include "runtime/plan/round_plan.h"

namespace runnel::coordinator {

class RatePlanner {
 public:
  // `history`: the closed rounds, ascending. `coordinates` of an update.
  RatePlanner(const FleetPlan& plan, uint64_t coordinates, const std::vector<RoundHistory>& history);

  void handle_closed(const RoundResult& result);
  // The weight of a device's newest update.
  void handle_accepted(const std::string& device, uint32_t sample_count) { weights_[device] = sample_count; }

  // Fills in `rate` and, where the rule sets them, `codec.levels`. With kError, k grants quantization error_share of
  // the noise energy that the closed rounds showed, forecast for the rest of the run; 0 before the first.
  void fill(const std::string& device, plan::RoundPlan& plan) const;

 private:
  void add(const RoundResult& result);
  double solve_k() const;

  FleetPlan plan_;
  uint64_t coordinates_;
  std::vector<double> losses_;  // of the closed rounds
  std::vector<double> spread_;  // energy of the updates around their mean
  double k_ = 0.0;              // of the next round
  std::unordered_map<std::string, uint32_t> weights_;
};

}  // namespace runnel::coordinator
