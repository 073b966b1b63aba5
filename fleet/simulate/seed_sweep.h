// Many small fleets with random plans and faults, one a seed: every promise, ten thousand times.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "fleet/simulator/simulation.h"

namespace runnel::fleet {

struct BrokenSeed {
  uint64_t seed = 0;
  std::string what;  // the fleet, and the promises that it broke
};

struct SeedSweep {
  uint64_t seeds = 0;
  uint64_t twice = 0;              // simulated a second time, and compared
  SimulationReport sums;           // of all seeds: faults, updates
  std::vector<BrokenSeed> broken;  // in the order of the seeds
};

// Every `twice_every`th seed is simulated again: another history is a broken promise too. `progress` is told after each
// seed; `threads` simulations run side by side, which changes nothing in the result.
SeedSweep sweep_seeds(uint64_t first, uint64_t last, uint64_t twice_every, uint32_t threads,
                      const std::function<void(uint64_t done, uint64_t broken)>& progress);

}  // namespace runnel::fleet
