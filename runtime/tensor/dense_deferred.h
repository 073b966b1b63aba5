// A dense layer that learns from few examples a step, and whose weights move once in several steps.
//
// A step of descent on an example adds an outer product to the weights: as much memory is read and written as the layer
// has weights, for one multiplication each. Here steps wait, as the vectors that they are made of, two for each
// example, and are added several at a time. Until then the layer computes with what its weights would be:
// (W + sum_s c g_s x_s^T) x = W x + sum_s c g_s (x_s . x). That is the same step up to rounding. Where the inputs of
// the next steps are known, W x is formed for all of them at once.
//
// Memory: deferred_floats() from the caller, for as long as steps may wait. Determinism: as of dense.h; the bits also
// depend on when the steps are applied, and on how far ahead inputs are known. Threads: one at a time.
#pragma once

#include <cstddef>
#include <span>

#include "runtime/tensor/dense.h"

namespace runnel::tensor {

inline constexpr size_t kDeferredMax = 16;  // examples; part of what makes results repeat

struct DeferredSteps {
  std::span<float> inputs;     // [kDeferredMax][inputs]
  std::span<float> gradients;  // [kDeferredMax][units], of the outputs
  std::span<float> products;   // [kDeferredMax][units], of the weights and inputs that are known ahead
  std::span<float> factors;    // [batch][kDeferredMax]
  std::span<float> workspace;
  size_t batch = 1;  // examples of a step, at most
  size_t count = 0;  // examples that wait
  size_t ahead = 0;  // examples whose inputs and products are there, from the first that waits
  float scale = 0.0F;
};

// For steps of up to `batch` examples; REQUIRES: batch <= kDeferredMax.
size_t deferred_floats(const Dense& dense, size_t batch);

// No steps, in deferred_floats(dense, batch) floats of memory.
DeferredSteps no_steps(const Dense& dense, size_t batch, std::span<float> memory);

// Says that the first `count` rows of `steps.inputs` are the inputs of the next so many examples. REQUIRES: no step
// waits.
void look_ahead(const Dense& dense, size_t count, std::span<const float> weight, DeferredSteps& steps);

// dense_forward() with the weights that the waiting steps make of `weight`. REQUIRES: examples <= steps.batch.
void dense_forward_deferred(const Dense& dense, size_t examples, const DeferredSteps& steps,
                            std::span<const float> input, std::span<const float> weight, std::span<const float> bias,
                            Activation activation, std::span<float> output, std::span<float> workspace);

// dense_backward() with `weight_gradient` = `weight`: lets this step wait too, and applies all when another might not
// find room. The bias and the input's gradient do not wait. REQUIRES: examples <= steps.batch, and the same scale from
// step to step.
void dense_backward_deferred(const Dense& dense, size_t examples, DeferredSteps& steps, std::span<const float> input,
                             std::span<const float> output_gradient, float scale, std::span<float> weight,
                             std::span<float> bias, std::span<float> input_gradient, std::span<float> workspace);

// Adds the waiting steps to the weights; none wait afterwards, and nothing is known ahead.
void apply_deferred(const Dense& dense, DeferredSteps& steps, std::span<float> weight);

}  // namespace runnel::tensor
