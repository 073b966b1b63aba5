// Stochastic gradient descent whose gradient is added straight into the velocity, which saves a buffer as large as the
// model:
//   decay_velocity   v <- momentum * v + weight_decay * w + proximal_mu * (w - w_global) + correction
//   the backward passes add the gradient to v
//   follow_velocity  w <- w - learning_rate * v
// The same step as optimizer_step() makes for sgd, up to the order of two additions. Without momentum, v is the
// gradient.
//
// Memory: none of its own. Determinism: element by element.
#pragma once

#include <span>

#include "runtime/plan/round_plan.h"

namespace runnel::train {

// `global` may be empty without proximal_mu, and `correction` where there is none; the other spans have one length.
void decay_velocity(const plan::TrainingSpec& training, std::span<const float> parameters,
                    std::span<const float> global, std::span<const float> correction, std::span<float> velocity);

// True if every new parameter is finite.
[[nodiscard]] bool follow_velocity(float learning_rate, std::span<const float> velocity, std::span<float> parameters);

}  // namespace runnel::train
