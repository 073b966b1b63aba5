// A small fleet with a plan and faults drawn from a seed: each seed another corner of what plans can say and worlds can
// do. Made to be simulated by the ten thousand.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fleet/simulator/simulation.h"
#include "runtime/data/dataset.h"

namespace runnel::fleet {

struct RandomFleet {
  explicit RandomFleet(uint64_t seed);

  std::vector<std::unique_ptr<data::Dataset>> points;
  SimulationOptions options;
};

// What the seed drew, on one line.
std::string describe(const SimulationOptions& options);

// A number that two reports share only if they are of the same history.
uint64_t fingerprint(const SimulationReport& report);

}  // namespace runnel::fleet
