#include "coordinator/engine/update_scale.h"

#include <cmath>

namespace runnel::coordinator {

float staleness_factor(uint64_t versions_behind, double exponent) {
  if (versions_behind == 0) return 1.0F;
  const double base = 1.0 + static_cast<double>(versions_behind);
  // A root is rounded the same everywhere; pow() need not be.
  if (exponent == 0.5) return static_cast<float>(1.0 / std::sqrt(base));
  return static_cast<float>(std::pow(base, -exponent));
}

float clip_factor(double clip_norm, double norm) {
  if (clip_norm == 0.0 || !(norm > clip_norm)) return 1.0F;
  return static_cast<float>(clip_norm / norm);
}

float update_scale(const FleetPlan& plan, uint64_t versions_behind, double norm) {
  return staleness_factor(versions_behind, plan.policy.staleness_exponent) *
         clip_factor(plan.aggregation.clip_norm, norm);
}

void scale_update(std::span<float> values, float scale) {
  if (scale == 1.0F) return;
  for (float& value : values) value *= scale;
}

}  // namespace runnel::coordinator
