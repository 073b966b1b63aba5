// One step of stochastic gradient descent, exactly as plan::TrainingSpec states it:
//   v <- momentum * v + (gradient + weight_decay * w + proximal_mu * (w - w_global)),   w <- w - learning_rate * v.
//
// Weight decay and the proximal term apply to weights and biases alike. Momentum is the plain (not Nesterov's) kind.
#pragma once

#include <span>

#include "runtime/plan/round_plan.h"

namespace runnel::train {

// True if every new parameter is finite. A gradient that is not finite always shows: it makes its parameter so. All
// parameters are updated either way. `velocity` may be empty when momentum is 0; the other spans have one length.
[[nodiscard]] bool sgd_step(const plan::TrainingSpec& training, std::span<const float> gradient,
                            std::span<const float> global, std::span<float> velocity, std::span<float> parameters);

}  // namespace runnel::train
