#include "runtime/train/velocity.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace runnel::train {

void decay_velocity(const plan::TrainingSpec& training, std::span<const float> parameters,
                    std::span<const float> global, std::span<const float> correction, std::span<float> velocity) {
  const size_t count = velocity.size();
  RUNNEL_ASSERT(parameters.size() == count);
  const float* __restrict w = parameters.data();
  float* __restrict v = velocity.data();
  const float momentum = training.momentum;
  const float decay = training.weight_decay;
  if (momentum == 0.0F) {
    std::ranges::fill(velocity, 0.0F);  // also what is not finite from a round that failed
  } else {
    for (size_t index = 0; index < count; ++index) v[index] *= momentum;
  }
  if (decay != 0.0F) {
    for (size_t index = 0; index < count; ++index) v[index] += decay * w[index];
  }
  if (training.proximal_mu != 0.0F) {
    RUNNEL_ASSERT(global.size() == count);
    const float* __restrict start = global.data();
    const float mu = training.proximal_mu;
    for (size_t index = 0; index < count; ++index) v[index] += mu * (w[index] - start[index]);
  }
  if (!correction.empty()) {
    RUNNEL_ASSERT(correction.size() == count);
    const float* __restrict c = correction.data();
    for (size_t index = 0; index < count; ++index) v[index] += c[index];
  }
}

bool follow_velocity(float learning_rate, std::span<const float> velocity, std::span<float> parameters) {
  RUNNEL_ASSERT(velocity.size() == parameters.size());
  const float* __restrict v = velocity.data();
  float* __restrict w = parameters.data();
  constexpr uint32_t kExponent = 0x7F800000U;
  uint32_t found = 0;
  for (size_t index = 0; index < parameters.size(); ++index) {
    w[index] -= learning_rate * v[index];
    found |= (std::bit_cast<uint32_t>(w[index]) & kExponent) == kExponent ? 1U : 0U;
  }
  return found == 0;
}

}  // namespace runnel::train
