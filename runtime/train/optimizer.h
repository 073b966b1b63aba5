// One step of local training: how parameters follow their gradient. With
//   g = gradient_factor * gradient + correction + weight_decay * w + proximal_mu * (w - w_global)
// (weight_decay = 0 here for adamw), and step t = 1, 2, ...:
//   sgd       v <- momentum v + g,  w <- w - learning_rate v
//   nesterov  v <- momentum v + g,  w <- w - learning_rate (g + momentum v)
//   adam      m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2,
//             w <- w - learning_rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
//   adamw     w <- w - learning_rate * weight_decay * w first, then as adam
// `correction` is SCAFFOLD's c_global - c_local (Karimireddy et al. 2020). Weight decay and the proximal term apply to
// weights and biases alike; running statistics and frozen tensors are nobody's to step.
//
// Memory: none of its own. Determinism: element by element, no order to depend on.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/plan/round_plan.h"

namespace runnel::train {

// Buffers of one float a trained parameter that the optimizer keeps from step to step: 0, 1 (velocity) or 2 (m and v).
uint32_t optimizer_buffers(const plan::TrainingSpec& training);

struct ParameterRange {
  uint32_t offset = 0;
  uint32_t count = 0;
};

// One range of parameters and what belongs to it, all of one length. Spans that a setting does not use may be empty:
// global without proximal_mu, correction, first and second beyond optimizer_buffers().
struct OptimizerSpans {
  std::span<const float> gradient;
  std::span<const float> global;
  std::span<const float> correction;
  std::span<float> first;
  std::span<float> second;
  std::span<float> parameters;
};

// `step` counts from 1. True if every new parameter is finite; a gradient that is not makes its parameter so. All are
// updated either way.
[[nodiscard]] bool optimizer_step(const plan::TrainingSpec& training, uint64_t step, float gradient_factor,
                                  const OptimizerSpans& spans);

// The sum of squares, for clipping; in a fixed order.
double square_sum(std::span<const float> gradient);

// min(1, clip_norm / (norm + 1e-6)) of a gradient with this sum of squares; 1 without clipping. NaN of a NaN.
float clip_factor(const plan::TrainingSpec& training, double gradient_square_sum);

}  // namespace runnel::train
