// Faults without a plan: programs killed and connections cut every few seconds, at times drawn from the run's seed.
//
// Which moment of a round a fault meets is up to the machine's speed; what is killed and cut, and after how long, is
// not. Time: passed in. Threads: one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/base/rng.h"
#include "runtime/base/time.h"

namespace runnel::fleet {

struct RandomFaultOptions {
  double kill_every_s = 0.0;  // a program is killed, on average; 0 = none
  double cut_every_s = 0.0;   // each link's connections are cut, on average; 0 = never
  size_t devices = 0;
  uint64_t seed = 1;
};

class RandomFaults {
 public:
  // One of so many kills is the coordinator's, the others are spread over the devices.
  static constexpr uint64_t kCoordinatorShare = 4;

  explicit RandomFaults(const RandomFaultOptions& options);

  struct Fault {
    bool cut = false;          // a link's connections, not a program
    bool coordinator = false;  // else `device`
    size_t device = 0;
  };
  void begin(Instant now);
  // The faults that are due. Pauses are drawn from half to one and a half of their mean.
  std::vector<Fault> due(Instant now);
  Instant next_timeout() const;

 private:
  Duration draw(double mean_s);

  RandomFaultOptions options_;
  Rng rng_;
  Instant next_kill_ = kNever;
  std::vector<Instant> next_cuts_;
};

}  // namespace runnel::fleet
