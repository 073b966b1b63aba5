#include "runtime/tensor/dense.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/tensor/product.h"
#include "runtime/tensor/product_kernels.h"
#include "runtime/tensor/relu.h"
#include "runtime/tensor/row_kernels.h"

namespace runnel::tensor {
namespace {

// From so many examples on, they stand side by side in the vectors of the forward pass; with fewer, a dot for each
// output is faster.
constexpr size_t kExamplesWorthTransposing = 16;
constexpr size_t kDepthBlock = 256;  // part of what makes results repeat

size_t example_lanes(size_t examples) {
  return (examples + kColumnGroup - 1) / kColumnGroup * kColumnGroup;
}

size_t transposed_workspace(const Dense& dense, size_t examples) {
  return (std::min(dense.inputs, kDepthBlock) + dense.units) * example_lanes(examples);
}

// transpose(output) = weight * transpose(input): every weight is read once.
void transposed_forward(const Dense& dense, size_t examples, std::span<const float> input,
                        std::span<const float> weight, std::span<const float> bias, Activation activation,
                        std::span<float> output, std::span<float> workspace) {
  RUNNEL_ASSERT(workspace.size() >= transposed_workspace(dense, examples));
  const size_t lanes = example_lanes(examples);
  float* sums = workspace.data();  // [units][lanes]
  float* turned = sums + dense.units * lanes;
  for (size_t unit = 0; unit < dense.units; ++unit)
    std::fill_n(sums + unit * lanes, lanes, bias.empty() ? 0.0F : bias[unit]);
  std::fill_n(turned, std::min(dense.inputs, kDepthBlock) * lanes, 0.0F);
  for (size_t begin = 0; begin < dense.inputs; begin += kDepthBlock) {
    const size_t depth = std::min(kDepthBlock, dense.inputs - begin);
    transpose({input.data() + begin, dense.inputs}, examples, depth, {turned, lanes});
    add_outer({dense.units, lanes, depth}, {weight.data() + begin, dense.inputs, 1, nullptr, nullptr},
              {turned, lanes, nullptr}, {sums, lanes}, 1.0F, Store::kAdd);
  }
  transpose({sums, lanes}, dense.units, examples, {output.data(), dense.units});
  if (activation == Activation::kRelu) relu_forward(output);
}

}  // namespace

size_t dense_workspace(const Dense& dense, size_t examples) {
  return std::max({examples < kExamplesWorthTransposing ? 0 : transposed_workspace(dense, examples),
                   product_workspace({dense.units, dense.inputs, examples}, Columns::kExactly),
                   product_workspace({examples, dense.inputs, dense.units}, Columns::kExactly)});
}

void dense_forward(const Dense& dense, size_t examples, std::span<const float> input, std::span<const float> weight,
                   std::span<const float> bias, Activation activation, std::span<float> output,
                   std::span<float> workspace) {
  RUNNEL_ASSERT(input.size() == examples * dense.inputs && weight.size() == dense.units * dense.inputs);
  RUNNEL_ASSERT((bias.empty() || bias.size() == dense.units) && output.size() == examples * dense.units);
  if (examples >= kExamplesWorthTransposing)
    return transposed_forward(dense, examples, input, weight, bias, activation, output, workspace);
  if (bias.empty()) std::ranges::fill(output, 0.0F);
  for (size_t example = 0; !bias.empty() && example < examples; ++example)
    std::ranges::copy(bias, output.data() + example * dense.units);
  add_product_b_transposed({examples, dense.units, dense.inputs}, {input.data(), dense.inputs},
                           {weight.data(), dense.inputs}, {output.data(), dense.units});
  if (activation == Activation::kRelu) relu_forward(output);
}

void dense_backward(const Dense& dense, size_t examples, std::span<const float> input, std::span<const float> weight,
                    std::span<const float> output_gradient, float scale, std::span<float> weight_gradient,
                    std::span<float> bias_gradient, std::span<float> input_gradient, std::span<float> workspace) {
  RUNNEL_ASSERT(input.size() == examples * dense.inputs && weight.size() == dense.units * dense.inputs);
  RUNNEL_ASSERT(output_gradient.size() == examples * dense.units);
  RUNNEL_ASSERT(weight_gradient.empty() || weight_gradient.size() == weight.size());
  RUNNEL_ASSERT(bias_gradient.empty() || bias_gradient.size() == dense.units);
  RUNNEL_ASSERT(input_gradient.empty() || input_gradient.size() == input.size());
  if (!input_gradient.empty()) {
    std::ranges::fill(input_gradient, 0.0F);
    add_product({examples, dense.inputs, dense.units}, {output_gradient.data(), dense.units},
                {weight.data(), dense.inputs}, {input_gradient.data(), dense.inputs}, workspace);
  }
  if (!weight_gradient.empty()) {
    add_product_a_transposed({dense.units, dense.inputs, examples}, {output_gradient.data(), dense.units},
                             {input.data(), dense.inputs}, {weight_gradient.data(), dense.inputs}, workspace, scale);
  }
  for (size_t example = 0; !bias_gradient.empty() && example < examples; ++example) {
    const float* __restrict from = output_gradient.data() + example * dense.units;
    float* __restrict to = bias_gradient.data();
    for (size_t unit = 0; unit < dense.units; ++unit) to[unit] += scale * from[unit];
  }
}

}  // namespace runnel::tensor
