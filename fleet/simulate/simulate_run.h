// One large simulation, from the options to everything that a report says.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "fleet/simulate/simulate_options.h"
#include "fleet/simulate/simulated_task.h"
#include "fleet/simulator/simulation.h"

namespace runnel::fleet {

struct SimulateResult {
  SimulateOptions options;
  uint64_t parameters = 0;
  SimulationReport report;
  std::vector<std::optional<SimulatedTask::Quality>> quality;  // after each round
  double wall_seconds = 0.0;                                   // that the simulation took
  uint64_t rss_bytes_max = 0;                                  // of this process
};

struct SimulateProgress {
  uint32_t round = 0;
  uint32_t rounds = 0;
  double virtual_seconds = 0.0;
  double wall_seconds = 0.0;
  std::optional<SimulatedTask::Quality> quality;
};

// Throws FleetError with what is wrong with the model, the data or the links.
SimulateResult run_simulation(const SimulateOptions& options,
                              const std::function<void(const SimulateProgress&)>& progress);

}  // namespace runnel::fleet
