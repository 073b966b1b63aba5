#include "runtime/tensor/dense_deferred.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/tensor/product.h"
#include "runtime/tensor/relu.h"

namespace runnel::tensor {
namespace {

// Floats of each part, so that all begin on cache lines.
size_t whole_lines(size_t floats) {
  return (floats + 15) / 16 * 16;
}

size_t workspace_floats(const Dense& dense, size_t batch) {
  const size_t longer = std::max(dense.inputs, dense.units);
  return std::max({dense_workspace(dense, kDeferredMax), product_workspace({batch, kDeferredMax, longer}),
                   product_workspace({batch, longer, kDeferredMax}),
                   product_workspace({dense.units, dense.inputs, kDeferredMax})});
}

// result += scale * sum_s to_s (from_s . value), example by example.
void add_steps(const DeferredSteps& steps, size_t examples, std::span<const float> from, std::span<const float> value,
               std::span<const float> to, std::span<float> result) {
  const size_t from_width = value.size() / examples;
  const size_t to_width = result.size() / examples;
  std::ranges::fill(steps.factors, 0.0F);
  add_product_b_transposed({examples, steps.count, from_width}, {value.data(), from_width}, {from.data(), from_width},
                           {steps.factors.data(), kDeferredMax});
  add_product({examples, to_width, steps.count}, {steps.factors.data(), kDeferredMax}, {to.data(), to_width},
              {result.data(), to_width}, steps.workspace, steps.scale);
}

}  // namespace

size_t deferred_floats(const Dense& dense, size_t batch) {
  return whole_lines(kDeferredMax * dense.inputs) + 2 * whole_lines(kDeferredMax * dense.units) +
         whole_lines(batch * kDeferredMax) + whole_lines(workspace_floats(dense, batch));
}

DeferredSteps no_steps(const Dense& dense, size_t batch, std::span<float> memory) {
  RUNNEL_ASSERT(batch <= kDeferredMax && memory.size() >= deferred_floats(dense, batch));
  DeferredSteps steps;
  const auto take = [&](size_t floats) {
    const std::span<float> part = memory.first(floats);
    memory = memory.subspan(whole_lines(floats));
    return part;
  };
  steps.inputs = take(kDeferredMax * dense.inputs);
  steps.gradients = take(kDeferredMax * dense.units);
  steps.products = take(kDeferredMax * dense.units);
  steps.factors = take(batch * kDeferredMax);
  steps.workspace = take(workspace_floats(dense, batch));
  steps.batch = batch;
  return steps;
}

void look_ahead(const Dense& dense, size_t count, std::span<const float> weight, DeferredSteps& steps) {
  RUNNEL_ASSERT(steps.count == 0 && count <= kDeferredMax);
  steps.ahead = count;
  dense_forward(dense, count, steps.inputs.first(count * dense.inputs), weight, {}, Activation::kNone,
                steps.products.first(count * dense.units), steps.workspace);
}

void dense_forward_deferred(const Dense& dense, size_t examples, const DeferredSteps& steps,
                            std::span<const float> input, std::span<const float> weight, std::span<const float> bias,
                            Activation activation, std::span<float> output, std::span<float> workspace) {
  RUNNEL_ASSERT(examples <= steps.batch && steps.count + examples <= kDeferredMax);
  if (steps.count + examples <= steps.ahead) {
    std::ranges::copy(steps.products.subspan(steps.count * dense.units, examples * dense.units), output.begin());
  } else {
    dense_forward(dense, examples, input, weight, {}, Activation::kNone, output, workspace);
  }
  for (size_t example = 0; example < examples; ++example) {
    float* __restrict to = output.data() + example * dense.units;
    for (size_t unit = 0; unit < bias.size(); ++unit) to[unit] += bias[unit];
  }
  add_steps(steps, examples, steps.inputs, input, steps.gradients, output);
  if (activation == Activation::kRelu) relu_forward(output);
}

void dense_backward_deferred(const Dense& dense, size_t examples, DeferredSteps& steps, std::span<const float> input,
                             std::span<const float> output_gradient, float scale, std::span<float> weight,
                             std::span<float> bias, std::span<float> input_gradient, std::span<float> workspace) {
  RUNNEL_ASSERT(examples <= steps.batch && steps.count + examples <= kDeferredMax);
  RUNNEL_ASSERT(steps.count == 0 || steps.scale == scale);
  steps.scale = scale;
  dense_backward(dense, examples, input, weight, output_gradient, scale, {}, bias, input_gradient, workspace);
  if (!input_gradient.empty())
    add_steps(steps, examples, steps.gradients, output_gradient, steps.inputs, input_gradient);
  if (steps.count + examples > steps.ahead) std::ranges::copy(input, steps.inputs.data() + steps.count * dense.inputs);
  std::ranges::copy(output_gradient, steps.gradients.data() + steps.count * dense.units);
  steps.count += examples;
  if (steps.count + steps.batch > kDeferredMax) apply_deferred(dense, steps, weight);
}

void apply_deferred(const Dense& dense, DeferredSteps& steps, std::span<float> weight) {
  add_product_a_transposed({dense.units, dense.inputs, steps.count}, {steps.gradients.data(), dense.units},
                           {steps.inputs.data(), dense.inputs}, {weight.data(), dense.inputs}, steps.workspace,
                           steps.scale);
  steps.count = 0;
  steps.ahead = 0;
}

}  // namespace runnel::tensor
