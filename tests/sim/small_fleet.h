// A fleet small enough to be simulated a thousand times: tiny models on made-up points.
#pragma once

#include <memory>
#include <vector>

#include "fleet/simulator/simulation.h"
#include "fleet/simulator/small_task.h"
#include "runtime/base/rng.h"

namespace runnel::fleet {

// A simulation and the points that its devices train on.
struct SmallFleet {
  explicit SmallFleet(uint64_t seed, size_t devices = 4) : points(clustered_points(devices)) {
    options.seed = seed;
    options.model = tiny_mlp();
    for (const auto& part : points) options.examples.push_back(part.get());
    options.plan.rounds = 6;
    options.plan.min_devices = static_cast<uint32_t>(devices);
    options.plan.quorum = 1;
    options.plan.deadline_seconds = 60.0;
    options.plan.training.batch_size = 8;
    options.plan.codec.codec = plan::CodecId::kQsgd;
    options.plan.codec.bucket = 16;
    options.plan.rate.deadline = false;  // else an update also depends on the link, and could not be made again
    options.plan.codec.exact_coordinates_max = 4;
  }
  std::vector<std::unique_ptr<data::Dataset>> points;
  SimulationOptions options;
};

}  // namespace runnel::fleet
