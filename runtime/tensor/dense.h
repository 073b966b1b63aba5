// The fully connected layer: output = weight * input + bias for every example of a batch.
//
// Shapes: input [examples][inputs], weight [units][inputs], bias [units], output [examples][units], all row-major.
// Memory: dense_workspace() floats from the caller.
#pragma once

#include <cstddef>
#include <span>

namespace runnel::tensor {

struct Dense {
  size_t inputs = 0;
  size_t units = 0;
};

// Whether a layer's own rectifier is applied while its output is still in the cache.
enum class Activation { kNone, kRelu };

// Floats that forward and backward need for up to `examples` examples.
size_t dense_workspace(const Dense& dense, size_t examples);

// An empty bias is none.
void dense_forward(const Dense& dense, size_t examples, std::span<const float> input, std::span<const float> weight,
                   std::span<const float> bias, Activation activation, std::span<float> output,
                   std::span<float> workspace);

// Adds `scale` times the gradients to weight_gradient and bias_gradient, either of which may be empty: then it is not
// computed. Overwrites input_gradient, unless that is empty. weight_gradient may be the very same memory as weight (a
// step of descent, with scale = -learning rate): the input gradient is formed before any weight changes.
void dense_backward(const Dense& dense, size_t examples, std::span<const float> input, std::span<const float> weight,
                    std::span<const float> output_gradient, float scale, std::span<float> weight_gradient,
                    std::span<float> bias_gradient, std::span<float> input_gradient, std::span<float> workspace);

}  // namespace runnel::tensor
