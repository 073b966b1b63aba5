#include "coordinator/engine/rate_planner.h"

#include <algorithm>
#include <cmath>

#include "runtime/rate/dq_schedule.h"
#include "runtime/rate/loss_rules.h"

namespace runnel::coordinator {
namespace {

// Weight of the newest round in the running forecast of the updates' spread.
constexpr double kSmoothing = 0.3;
constexpr uint32_t kLevelsFirst = 2;  // of AdaQuantFL's paper
constexpr double kKMin = 1e-12, kKMax = 1e30;

}  // namespace

RatePlanner::RatePlanner(const FleetPlan& plan, uint64_t coordinates, const std::vector<RoundHistory>& history)
    : plan_(plan), coordinates_(coordinates) {
  for (const RoundHistory& round : history) handle_closed(round.result);
}

void RatePlanner::handle_closed(const RoundResult& result) {
  losses_.push_back(result.mean_loss);
  const double spread = result.update_energy - result.mean_energy;
  spread_.push_back(std::isfinite(spread) ? std::max(spread, 0.0) : 0.0);
}

double RatePlanner::solve_k(uint32_t round) const {
  // The spread of a round is seen with quantization's own part in it, so that the share is one of the whole.
  double forecast = 0.0, past = 0.0;
  const rate::Horizon horizon{plan_.rounds, double{contraction_of(plan_)}, {}, false};
  for (size_t i = 0; i < spread_.size(); ++i) {
    if (spread_[i] <= 0.0) continue;
    forecast = forecast == 0.0 ? spread_[i] : forecast + kSmoothing * (spread_[i] - forecast);
    past += std::exp(rate::log_weight(horizon, static_cast<uint32_t>(i))) * spread_[i];
  }
  if (forecast == 0.0) return 0.0;
  double total = past;
  for (uint32_t t = round - 1; t < plan_.rounds; ++t) total += std::exp(rate::log_weight(horizon, t)) * forecast;
  const double eps_q = static_cast<double>(plan_.rate.error_share) * total;
  const double k = plan::has_step(plan_.codec.codec) ? 1.0 / rate::step_end_for_error(plan_.rounds, coordinates_, eps_q)
                                                     : rate::k_for_error(plan_.rounds, coordinates_, eps_q);
  return std::isfinite(k) ? std::clamp(k, kKMin, kKMax) : 0.0;
}

void RatePlanner::fill(const std::string& device, plan::RoundPlan& plan) const {
  plan.rate = plan_.rate;
  plan.rate.contraction = contraction_of(plan_);
  switch (plan_.rate.mode) {
    case plan::RateMode::kError:
      plan.rate.k = static_cast<float>(solve_k(plan.round));
      break;
    case plan::RateMode::kAdaquantfl:
      plan.codec.levels = rate::adaquantfl_levels(losses_, kLevelsFirst, plan_.codec.levels);
      break;
    case plan::RateMode::kDadaquant: {
      plan.codec.levels = rate::dadaquant_levels(losses_, plan_.rounds, 1, plan_.codec.levels);
      std::vector<double> weights;
      for (const auto& [name, weight] : weights_) weights.push_back(weight);
      std::sort(weights.begin(), weights.end());  // sums must not depend on the order of a hash table
      if (const auto found = weights_.find(device); found != weights_.end())
        plan.rate.weight_ratio = static_cast<float>(rate::dadaquant_ratio(weights, found->second));
      break;
    }
    default:
      break;
  }
}

}  // namespace runnel::coordinator
