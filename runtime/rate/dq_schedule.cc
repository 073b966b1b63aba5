#include "runtime/rate/dq_schedule.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/error.h"

namespace runnel::rate {
namespace {

// A learning rate that reaches zero would give a round no weight at all.
constexpr double kRatioMin = 1e-12;

double rate_ratio(const Horizon& horizon, uint32_t t) {
  if (horizon.learning_rates.empty()) return 1.0;
  return std::max(kRatioMin, horizon.learning_rates[t] / horizon.learning_rates[0]);
}

// visit(t, log_weight) from the last round back to `first`, in one pass.
template <typename Visitor>
void for_each_weight(const Horizon& horizon, uint32_t first, Visitor&& visit) {
  RUNNEL_ASSERT(first < horizon.rounds);
  RUNNEL_ASSERT(horizon.learning_rates.empty() || horizon.learning_rates.size() == horizon.rounds);
  const double log_contraction = std::log(horizon.contraction);
  double later = 0.0;  // ln of what the rounds after t leave of an error
  for (uint32_t t = horizon.rounds; t-- > first;) {
    const double ratio = rate_ratio(horizon, t);
    visit(t, later + (horizon.gradients ? 2.0 * std::log(ratio) : 0.0));
    later += ratio * log_contraction;
  }
}

}  // namespace

double log_weight(const Horizon& horizon, uint32_t t) {
  if (horizon.learning_rates.empty()) return (horizon.rounds - 1.0 - t) * std::log(horizon.contraction);
  double at_t = 0.0;
  for_each_weight(horizon, t, [&](uint32_t, double log_weight) { at_t = log_weight; });
  return at_t;
}

double levels(double k, double log_weight, double norm) {
  return k * std::exp(0.5 * log_weight) * norm;
}

double bits(double levels) {
  return std::log2(levels + 1.0) + 1.0;
}

double step(double step_end, double log_weight) {
  return step_end * std::exp(-0.5 * log_weight);
}

double k_for_error(uint32_t rounds, uint64_t coordinates, double eps_q) {
  return std::sqrt(static_cast<double>(rounds) * static_cast<double>(coordinates) / (4.0 * eps_q));
}

double step_end_for_error(uint32_t rounds, uint64_t coordinates, double eps_q) {
  return std::sqrt(12.0 * eps_q / (static_cast<double>(rounds) * static_cast<double>(coordinates)));
}

double weighted_error(const Horizon& horizon, std::span<const double> norms, std::span<const double> levels,
                      uint64_t coordinates) {
  RUNNEL_ASSERT(norms.size() == horizon.rounds && levels.size() == horizon.rounds);
  double sum = 0.0;
  for_each_weight(horizon, 0, [&](uint32_t t, double log_weight) {
    const double relative = norms[t] / levels[t];
    sum += std::exp(log_weight) * relative * relative;
  });
  return sum * static_cast<double>(coordinates) / 4.0;
}

double k_for_bits(const Horizon& horizon, uint32_t first, std::span<const double> norms, double bits_total,
                  double bits_min, double bits_max) {
  RUNNEL_ASSERT(first < horizon.rounds && norms.size() == horizon.rounds - first);
  // Beyond these even the weight of a far round and the norm of a vanishing update do not matter.
  double low = -300.0;
  double high = 300.0;
  for (int halving = 0; halving < 64; ++halving) {
    const double middle = 0.5 * (low + high);
    const double k = std::exp(middle);
    double sum = 0.0;
    for_each_weight(horizon, first, [&](uint32_t t, double log_weight) {
      sum += std::clamp(bits(levels(k, log_weight, norms[t - first])), bits_min, bits_max);
    });
    (sum <= bits_total ? low : high) = middle;
  }
  return std::exp(low);
}

double bandwidth_factor(double bandwidth, double bandwidth_mean) {
  if (!(bandwidth > 0.0 && bandwidth_mean > 0.0)) return 1.0;
  return std::clamp(std::sqrt(bandwidth_mean / bandwidth), 0.125, 8.0);
}

}  // namespace runnel::rate
