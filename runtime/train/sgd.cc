#include "runtime/train/sgd.h"

#include <bit>
#include <cstddef>
#include <cstdint>

namespace runnel::train {
namespace {

uint32_t not_finite(float value) {
  constexpr uint32_t kExponent = 0x7F800000U;
  return (std::bit_cast<uint32_t>(value) & kExponent) == kExponent ? 1U : 0U;
}

}  // namespace

bool sgd_step(const plan::TrainingSpec& training, std::span<const float> gradient, std::span<const float> global,
              std::span<float> velocity, std::span<float> parameters) {
  const size_t count = parameters.size();
  RUNNEL_ASSERT(gradient.size() == count && global.size() == count);
  const float* __restrict g = gradient.data();
  const float* __restrict start = global.data();
  float* __restrict w = parameters.data();
  const float rate = training.learning_rate;
  const float decay = training.weight_decay;
  const float mu = training.proximal_mu;
  uint32_t found = 0;
  if (training.momentum == 0.0F) {
    for (size_t index = 0; index < count; ++index) {
      const float direction = g[index] + decay * w[index] + mu * (w[index] - start[index]);
      w[index] -= rate * direction;
      found |= not_finite(w[index]);
    }
  } else {
    RUNNEL_ASSERT(velocity.size() == count);
    float* __restrict v = velocity.data();
    const float momentum = training.momentum;
    for (size_t index = 0; index < count; ++index) {
      const float direction = g[index] + decay * w[index] + mu * (w[index] - start[index]);
      v[index] = momentum * v[index] + direction;
      w[index] -= rate * v[index];
      found |= not_finite(w[index]);
    }
  }
  return found == 0;
}

}  // namespace runnel::train
