#include "runtime/train/optimizer.h"

#include <bit>
#include <cmath>
#include <cstddef>

#include "runtime/base/error.h"

namespace runnel::train {
namespace {

uint32_t not_finite(float value) {
  constexpr uint32_t kExponent = 0x7F800000U;
  return (std::bit_cast<uint32_t>(value) & kExponent) == kExponent ? 1U : 0U;
}

// base^exponent by squaring: the same bits everywhere, which pow does not promise.
double power(double base, uint64_t exponent) {
  double result = 1.0;
  for (; exponent != 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result *= base;
    base *= base;
  }
  return result;
}

// g of optimizer.h. The terms that are absent add nothing, and cost nothing: the flags are constants to the compiler.
template <bool kGlobal, bool kCorrection>
struct Direction {
  float factor;
  float decay;
  float mu;
  const float* __restrict gradient;
  const float* __restrict global;
  const float* __restrict correction;

  float at(size_t index, float w) const {
    float g = factor * gradient[index] + decay * w;
    if constexpr (kGlobal) g += mu * (w - global[index]);
    if constexpr (kCorrection) g += correction[index];
    return g;
  }
};

template <typename D>
bool descend(const plan::TrainingSpec& training, const D& direction, const OptimizerSpans& spans) {
  const size_t count = spans.parameters.size();
  float* __restrict w = spans.parameters.data();
  const float rate = training.learning_rate;
  const float momentum = training.momentum;
  uint32_t found = 0;
  if (momentum == 0.0F) {
    for (size_t index = 0; index < count; ++index) {
      w[index] -= rate * direction.at(index, w[index]);
      found |= not_finite(w[index]);
    }
    return found == 0;
  }
  RUNNEL_ASSERT(spans.first.size() == count);
  float* __restrict v = spans.first.data();
  if (training.optimizer == plan::Optimizer::kNesterov) {
    for (size_t index = 0; index < count; ++index) {
      const float g = direction.at(index, w[index]);
      v[index] = momentum * v[index] + g;
      w[index] -= rate * (g + momentum * v[index]);
      found |= not_finite(w[index]);
    }
  } else {
    for (size_t index = 0; index < count; ++index) {
      v[index] = momentum * v[index] + direction.at(index, w[index]);
      w[index] -= rate * v[index];
      found |= not_finite(w[index]);
    }
  }
  return found == 0;
}

template <typename D>
bool adapt(const plan::TrainingSpec& training, uint64_t step, const D& direction, const OptimizerSpans& spans) {
  const size_t count = spans.parameters.size();
  RUNNEL_ASSERT(spans.first.size() == count && spans.second.size() == count && step > 0);
  float* __restrict w = spans.parameters.data();
  float* __restrict m = spans.first.data();
  float* __restrict v = spans.second.data();
  const bool decoupled = training.optimizer == plan::Optimizer::kAdamW;
  const float beta1 = training.beta1;
  const float beta2 = training.beta2;
  const float rest1 = 1.0F - beta1;
  const float rest2 = 1.0F - beta2;
  const auto rate = static_cast<float>(double{training.learning_rate} / (1.0 - power(double{beta1}, step)));
  const auto root = static_cast<float>(1.0 / std::sqrt(1.0 - power(double{beta2}, step)));
  const float kept = decoupled ? 1.0F - training.learning_rate * training.weight_decay : 1.0F;
  const float epsilon = training.epsilon;
  uint32_t found = 0;
  for (size_t index = 0; index < count; ++index) {
    const float g = direction.at(index, w[index]);
    m[index] = beta1 * m[index] + rest1 * g;
    v[index] = beta2 * v[index] + rest2 * (g * g);
    w[index] = kept * w[index] - rate * (m[index] / (std::sqrt(v[index]) * root + epsilon));
    found |= not_finite(w[index]);
  }
  return found == 0;
}

template <bool kGlobal, bool kCorrection>
bool run(const plan::TrainingSpec& training, uint64_t step, float gradient_factor, const OptimizerSpans& spans) {
  const bool decoupled = training.optimizer == plan::Optimizer::kAdamW;
  const Direction<kGlobal, kCorrection> direction{gradient_factor,      decoupled ? 0.0F : training.weight_decay,
                                                  training.proximal_mu, spans.gradient.data(),
                                                  spans.global.data(),  spans.correction.data()};
  const bool adaptive = decoupled || training.optimizer == plan::Optimizer::kAdam;
  return adaptive ? adapt(training, step, direction, spans) : descend(training, direction, spans);
}

}  // namespace

uint32_t optimizer_buffers(const plan::TrainingSpec& training) {
  if (training.optimizer == plan::Optimizer::kAdam || training.optimizer == plan::Optimizer::kAdamW) return 2;
  return training.momentum == 0.0F ? 0 : 1;
}

bool optimizer_step(const plan::TrainingSpec& training, uint64_t step, float gradient_factor,
                    const OptimizerSpans& spans) {
  const size_t count = spans.parameters.size();
  const bool global = training.proximal_mu != 0.0F;
  const bool correction = !spans.correction.empty();
  RUNNEL_ASSERT(spans.gradient.size() == count && (!global || spans.global.size() == count));
  RUNNEL_ASSERT(!correction || spans.correction.size() == count);
  if (global && correction) return run<true, true>(training, step, gradient_factor, spans);
  if (global) return run<true, false>(training, step, gradient_factor, spans);
  if (correction) return run<false, true>(training, step, gradient_factor, spans);
  return run<false, false>(training, step, gradient_factor, spans);
}

double square_sum(std::span<const float> gradient) {
  constexpr size_t kSums = 16;
  double sums[kSums] = {};
  size_t index = 0;
  for (; index + kSums <= gradient.size(); index += kSums) {
    for (size_t lane = 0; lane < kSums; ++lane) {
      const auto value = static_cast<double>(gradient[index + lane]);
      sums[lane] += value * value;
    }
  }
  for (size_t lane = 0; index < gradient.size(); ++index, ++lane) {
    const auto value = static_cast<double>(gradient[index]);
    sums[lane] += value * value;
  }
  for (size_t width = kSums / 2; width > 0; width /= 2) {
    for (size_t lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
  }
  return sums[0];
}

float clip_factor(const plan::TrainingSpec& training, double gradient_square_sum) {
  if (training.clip_norm == 0.0F) return 1.0F;
  const double factor = double{training.clip_norm} / (std::sqrt(gradient_square_sum) + 1e-6);
  return factor >= 1.0 ? 1.0F : static_cast<float>(factor);
}

}  // namespace runnel::train
