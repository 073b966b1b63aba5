#include "runtime/rate/loss_rules.h"

#include <algorithm>
#include <cmath>

namespace runnel::rate {
namespace {

constexpr double kPsi = 0.9;

// A running loss, fed one closed round after the other. What is not a number counts as no news.
class RunningLoss {
 public:
  void add(double loss) {
    if (!std::isfinite(loss)) return;
    value_ = begun_ ? kPsi * value_ + (1.0 - kPsi) * loss : loss;
    begun_ = true;
  }
  double value() const { return value_; }

 private:
  double value_ = 0.0;
  bool begun_ = false;
};

}  // namespace

uint32_t adaquantfl_levels(std::span<const double> losses, uint32_t levels_first, uint32_t levels_max) {
  const uint32_t first_valid = std::clamp(levels_first, 1U, std::max(1U, levels_max));
  double first = 0.0;
  double last = 0.0;
  for (const double loss : losses) {
    if (!std::isfinite(loss)) continue;
    if (first <= 0.0) first = loss;
    last = loss;
  }
  if (first <= 0.0) return first_valid;
  if (last <= 0.0) return std::max(1U, levels_max);
  // The quotient is a whole number again and again, and must not be rounded up for a last bit.
  const double levels = std::ceil(levels_first * std::sqrt(first / last) * (1.0 - 1e-12));
  return static_cast<uint32_t>(std::clamp(levels, 1.0, std::max(1.0, static_cast<double>(levels_max))));
}

uint32_t dadaquant_levels(std::span<const double> losses, uint32_t rounds, uint32_t levels_first, uint32_t levels_max) {
  const size_t patience = std::max(1U, rounds / 10);
  uint64_t levels = std::max(1U, levels_first);
  const uint64_t most = std::max(1U, levels_max);
  size_t changed = 0;
  RunningLoss now;
  RunningLoss before;  // the same, `patience` rounds behind: no memory for those between
  for (size_t t = 0; t < losses.size(); ++t) {
    now.add(losses[t]);
    if (t < patience) continue;
    before.add(losses[t - patience]);
    if (t - changed < patience || now.value() < before.value()) continue;
    levels = std::min(2 * levels, most);
    changed = t;
  }
  return static_cast<uint32_t>(std::min(levels, most));
}

double dadaquant_ratio(std::span<const double> weights, double weight) {
  double a = 0.0;
  double b = 0.0;
  for (const double w : weights) {
    a += std::cbrt(w * w);
    b += w * w;
  }
  if (!(b > 0.0) || !(weight > 0.0)) return 1.0;
  return std::sqrt(a / b) * std::cbrt(weight * weight);
}

}  // namespace runnel::rate
