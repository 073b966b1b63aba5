#include "coordinator/engine/rate_planner.h"

#include <algorithm>
#include <cmath>

#include "runtime/rate/dq_schedule.h"
#include "runtime/rate/loss_rules.h"

namespace runnel::coordinator {
namespace {

// Weight of the newest round in the running forecast of the updates' spread.
constexpr double kSmoothing = 0.3;
// A fleet of one shows no spread, and granting a share of nothing would ask for updates without any error. Training is
// never that free of noise.
constexpr double kSpreadMin = 0.1;    // of the updates' energy
constexpr uint32_t kLevelsFirst = 2;  // of AdaQuantFL's paper
constexpr double kKMin = 1e-12, kKMax = 1e30;

}  // namespace

RatePlanner::RatePlanner(const FleetPlan& plan, uint64_t coordinates, const std::vector<RoundHistory>& history)
    : plan_(plan), coordinates_(coordinates) {
  for (const RoundHistory& round : history) add(round.result);
  if (plan_.rate.mode == plan::RateMode::kError) k_ = solve_k();
}

void RatePlanner::handle_closed(const RoundResult& result) {
  add(result);
  if (plan_.rate.mode == plan::RateMode::kError) k_ = solve_k();
}

void RatePlanner::add(const RoundResult& result) {
  losses_.push_back(result.mean_loss);
  const double spread = result.update_energy - result.mean_energy;
  spread_.push_back(std::isfinite(spread) ? std::max(spread, kSpreadMin * result.update_energy) : 0.0);
}

// One pass from the last round to the first: an error of round t counts prod_{j>t} a^(eta_j / eta_0), see
// dq_schedule.h.
double RatePlanner::solve_k() const {
  double forecast = 0.0;
  for (const double spread : spread_) {
    if (spread > 0.0) forecast = forecast == 0.0 ? spread : forecast + kSmoothing * (spread - forecast);
  }
  if (forecast == 0.0) return 0.0;
  const auto rate_of = [this](size_t t) {
    return static_cast<double>(plan::learning_rate_at(plan_.training, static_cast<uint32_t>(t) + 1, plan_.rounds));
  };
  const double log_contraction = std::log(static_cast<double>(contraction_of(plan_)));
  const double rate_first = rate_of(0);
  const double rate_now = rate_of(spread_.size());
  double log_weight = 0.0;
  double total = 0.0;
  for (size_t t = plan_.rounds; t-- > 0;) {
    const double rate = rate_of(t);
    // The spread of a round is seen with quantization's own part in it, so that the share is one of the whole. Later
    // updates are expected to shrink with their learning rate.
    const double shrunk = rate_now > 0.0 ? rate / rate_now : 1.0;
    total += std::exp(log_weight) * (t < spread_.size() ? spread_[t] : forecast * shrunk * shrunk);
    log_weight += rate / rate_first * log_contraction;
  }
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
      plan.rate.k = static_cast<float>(k_);
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
