// One simulated run of one setting: real training and coding by the product's engines, over simulated links, with the
// new model tested after each round.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/rate_settings.h"
#include "bench/rate_task.h"

namespace runnel::bench {

// After a round. Bytes are those on the wire since the beginning, of the average device.
struct RatePoint {
  uint32_t round = 0;
  double seconds = 0.0;  // virtual
  double uplink_bytes = 0.0;
  double downlink_bytes = 0.0;
  double accuracy = 0.0;  // on the test set
  double mean_loss = 0.0;
  double bits_per_coordinate = 0.0;
  uint32_t counted = 0;
  uint32_t missed = 0;  // devices that were asked in vain
  uint32_t absent = 0;  // devices that were away
};

struct RateRun {
  std::string setting;
  SettingKind kind = SettingKind::kFixed;
  uint64_t seed = 0;
  std::vector<RatePoint> points;  // by round
  uint64_t cuts = 0;              // connections that outages ended
  std::string failure;            // empty: the run came to its end
  double cpu_seconds = 0.0;       // what making the run took
};

struct RunOptions {
  coordinator::FleetPlan base;
  double training_seconds_per_step = 0.02;
};

RateRun run_setting(const RateSetting& setting, const RateTask& task, uint64_t seed, const RunOptions& options);

}  // namespace runnel::bench
