// The other rounds of a run as a device sees them from the present one: how much their errors weigh and how large
// their updates were or will be, in at most kStationsMax groups of consecutive rounds, however long the run.
// Memory: fixed. Threads: values only.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "runtime/plan/round_plan.h"
#include "runtime/rate/rate_history.h"

namespace runnel::rate {

class RunForecast {
 public:
  static constexpr uint32_t kStationsMax = 128;

  struct Station {
    double rounds = 0.0;      // so many are alike
    double log_weight = 0.0;  // as in dq_schedule.h
    double norm = 0.0;        // expected, of the vectors that are quantized
  };

  // Of a valid plan; `norm` is that of the present update. Without `past` only the present round and the later ones.
  RunForecast(const plan::RoundPlan& plan, const RateHistory& history, double norm, bool past);

  // The present round comes first.
  std::span<const Station> stations() const { return std::span(stations_).first(count_); }
  const Station& present() const { return stations_[0]; }

 private:
  void add(uint32_t first_free, uint32_t group, double log_weight, double norm);
  void finish();

  std::array<Station, kStationsMax + 1> stations_{};
  uint32_t count_ = 1;
};

}  // namespace runnel::rate
