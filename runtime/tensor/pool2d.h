// Maximum and average pooling: one value for each position of a window, channel by channel, without padding.
//
// Shapes: input [examples][channels][height][width], output [examples][channels][output_height][output_width],
// row-major. Ties: the maximum is the first largest value in row-major order within the window, and it alone receives
// the gradient. Values are expected to be finite: a NaN counts as a maximum only when it comes first. Memory: none
// beyond the arguments; where a maximum was is found again in the backward pass instead of being stored.
#pragma once

#include <cstddef>
#include <span>

#include "runtime/tensor/window2d.h"

namespace runnel::tensor {

void max_pool2d_forward(const Window2d& window, size_t examples, std::span<const float> input, std::span<float> output);

// Overwrites input_gradient. `input` is what forward was given. `rectified`: that is the output of a rectifier, and the
// gradient is to be that of the rectifier's input; see relu.h.
void max_pool2d_backward(const Window2d& window, size_t examples, std::span<const float> input,
                         std::span<const float> output_gradient, std::span<float> input_gradient,
                         bool rectified = false);

void avg_pool2d_forward(const Window2d& window, size_t examples, std::span<const float> input, std::span<float> output);

// Overwrites input_gradient.
void avg_pool2d_backward(const Window2d& window, size_t examples, std::span<const float> output_gradient,
                         std::span<float> input_gradient);

}  // namespace runnel::tensor
