#include "runtime/train/scaffold.h"

#include <cstddef>

#include "runtime/base/error.h"

namespace runnel::train {

void scaffold_correction(std::span<const float> global_control, std::span<const float> local_control,
                         std::span<float> correction) {
  RUNNEL_ASSERT(global_control.size() == correction.size() && local_control.size() == correction.size());
  for (size_t index = 0; index < correction.size(); ++index)
    correction[index] = global_control[index] - local_control[index];
}

void scaffold_next_control(std::span<const float> global_control, std::span<const float> update, uint32_t steps,
                           float learning_rate, std::span<float> local_control, std::span<float> change) {
  const size_t count = local_control.size();
  RUNNEL_ASSERT(global_control.size() == count && update.size() == count && change.size() == count);
  RUNNEL_ASSERT(steps > 0 && learning_rate > 0.0F);
  const float factor = 1.0F / (static_cast<float>(steps) * learning_rate);
  for (size_t index = 0; index < count; ++index) {
    change[index] = -global_control[index] - factor * update[index];
    local_control[index] += change[index];
  }
}

}  // namespace runnel::train
