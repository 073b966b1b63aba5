// Global pooling: the mean, or the maximum, of all positions of a channel.
//
// Shapes: input [examples][channels][positions], output [examples][channels]. Ties and NaN: as in pool2d.h; where a
// maximum was is found again in the backward pass. Memory: none beyond the arguments.
#pragma once

#include <cstddef>
#include <span>

namespace runnel::tensor {

struct GlobalPool {
  size_t channels = 0;
  size_t positions = 0;  // >= 1
};

void global_avg_pool_forward(const GlobalPool& pool, size_t examples, std::span<const float> input,
                             std::span<float> output);

// Overwrites input_gradient.
void global_avg_pool_backward(const GlobalPool& pool, size_t examples, std::span<const float> output_gradient,
                              std::span<float> input_gradient);

void global_max_pool_forward(const GlobalPool& pool, size_t examples, std::span<const float> input,
                             std::span<float> output);

// Overwrites input_gradient. `input` is what forward was given.
void global_max_pool_backward(const GlobalPool& pool, size_t examples, std::span<const float> input,
                              std::span<const float> output_gradient, std::span<float> input_gradient);

}  // namespace runnel::tensor
