#include "runtime/rate/run_forecast.h"

#include <algorithm>
#include <cmath>

namespace runnel::rate {

// Sums first; finish() makes means of them.
void RunForecast::add(uint32_t first_free, uint32_t group, double log_weight, double norm) {
  const uint32_t index = first_free + group;
  Station& station = stations_[index];
  station.rounds += 1.0;
  station.log_weight += log_weight;
  station.norm += norm;
  count_ = std::max(count_, index + 1);
}

void RunForecast::finish() {
  for (Station& station : std::span(stations_).subspan(1, count_ - 1)) {
    station.log_weight /= station.rounds;
    station.norm /= station.rounds;
  }
}

RunForecast::RunForecast(const plan::RoundPlan& plan, const RateHistory& history, double norm, bool past) {
  const uint32_t now = plan.round - 1;
  const uint32_t first = past ? 0 : now;
  const uint32_t others = plan.rounds - first - 1;
  const uint32_t in_group = std::max(1U, (others + kStationsMax - 1) / kStationsMax);
  const double log_contraction = std::log(static_cast<double>(plan.rate.contraction));
  const double rate_first = static_cast<double>(plan.training.learning_rate);
  double later = 0.0;
  uint32_t seen = 0;
  for (uint32_t t = plan.rounds; t-- > first;) {
    if (t == now) {
      stations_[0] = {1.0, later, norm};
    } else {
      const double expected = t > now ? history.forecast_norm(norm, t - now) : history.norm_ago(norm, now - t);
      add(1, seen++ / in_group, later, expected);
    }
    // What is quantized is an update, which contains its learning rate; only the contraction depends on it.
    const bool constant = plan.training.schedule == plan::Schedule::kConstant && plan.training.warmup_rounds == 0;
    const double rate =
        constant ? rate_first : static_cast<double>(plan::learning_rate_at(plan.training, t + 1, plan.rounds));
    later += rate / rate_first * log_contraction;
  }
  finish();
}

}  // namespace runnel::rate
