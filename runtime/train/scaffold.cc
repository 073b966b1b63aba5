#include "runtime/train/scaffold.h"

#include <cmath>
#include <cstddef>

#include "runtime/base/error.h"

namespace runnel::train {

double scaffold_weight(uint32_t steps, float momentum) {
  const double m = momentum;
  const auto count = static_cast<double>(steps);
  // Products instead of std::pow, whose last bit is the C library's.
  double power = 1.0;
  double factor = m;
  for (uint32_t left = steps; left > 0; left >>= 1U, factor *= factor) {
    if ((left & 1U) != 0) power *= factor;
  }
  return (count - m * (1.0 - power) / (1.0 - m)) / (1.0 - m);
}

void scaffold_correction(std::span<const float> global_control, std::span<const float> local_control,
                         std::span<float> correction) {
  RUNNEL_ASSERT(global_control.size() == correction.size() && local_control.size() == correction.size());
  for (size_t index = 0; index < correction.size(); ++index)
    correction[index] = global_control[index] - local_control[index];
}

void scaffold_global_control(std::span<const float> before, std::span<const float> now, double reach, double share,
                             uint32_t rounds, std::span<float> global_control) {
  RUNNEL_ASSERT(before.size() == global_control.size() && now.size() == global_control.size());
  RUNNEL_ASSERT(reach > 0.0 && rounds > 0 && share > 0.0 && share <= 1.0);
  double kept = 1.0;
  for (uint32_t round = 0; round < rounds && kept > 0.0; ++round) kept *= 1.0 - share;
  const auto keep = static_cast<float>(kept);
  const auto factor = static_cast<float>((1.0 - kept) / reach);
  for (size_t index = 0; index < global_control.size(); ++index)
    global_control[index] = keep * global_control[index] + factor * (before[index] - now[index]);
}

double scaffold_rate(std::span<const float> update, std::span<const float> arrived) {
  RUNNEL_ASSERT(update.size() == arrived.size());
  double squares = 0.0;
  double lost = 0.0;
  for (size_t index = 0; index < update.size(); ++index) {
    const double value = update[index];
    const double error = value - double{arrived[index]};
    squares += value * value;
    lost += error * error;
  }
  return squares > 0.0 ? squares / (squares + lost) : 1.0;
}

void scaffold_local_control(std::span<const float> global_control, std::span<const float> arrived, double reach,
                            double rate, std::span<float> local_control) {
  const size_t count = local_control.size();
  RUNNEL_ASSERT(global_control.size() == count && arrived.size() == count && reach > 0.0);
  const auto factor = static_cast<float>(1.0 / reach);
  const auto share = static_cast<float>(rate);
  for (size_t index = 0; index < count; ++index)
    local_control[index] += share * (-global_control[index] - factor * arrived[index]);
}

}  // namespace runnel::train
