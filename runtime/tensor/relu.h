// The rectifier max(x, 0), in place in both directions.
#pragma once

#include <span>

namespace runnel::tensor {

// Replaces negative values by zero. NaN stays NaN.
void relu_forward(std::span<float> values);

// Zeroes the gradient wherever the rectifier's output is not positive (its derivative at 0 is taken as 0).
// REQUIRES: output.size() == gradient.size().
void relu_backward(std::span<const float> output, std::span<float> gradient);

}  // namespace runnel::tensor
