// Activation functions, element by element. Each output may be the very memory of an input.
//
// Backward passes start from the function's output where that is enough, so that the input need not be kept; GELU's
// needs the input. All of them overwrite input_gradient. Spans of one call have one length. The rectifier: relu.h.
#pragma once

#include <span>

namespace runnel::tensor {

// min(max(x, 0), 6); no gradient at 0 and at 6 and beyond.
void relu6_forward(std::span<const float> input, std::span<float> output);
void relu6_backward(std::span<const float> output, std::span<const float> output_gradient,
                    std::span<float> input_gradient);

// x above zero, slope * x elsewhere, where the gradient is slope too. REQUIRES: slope >= 0.
void leaky_relu_forward(float slope, std::span<const float> input, std::span<float> output);
void leaky_relu_backward(float slope, std::span<const float> output, std::span<const float> output_gradient,
                         std::span<float> input_gradient);

void tanh_forward(std::span<const float> input, std::span<float> output);
void tanh_backward(std::span<const float> output, std::span<const float> output_gradient,
                   std::span<float> input_gradient);

void sigmoid_forward(std::span<const float> input, std::span<float> output);
void sigmoid_backward(std::span<const float> output, std::span<const float> output_gradient,
                      std::span<float> input_gradient);

// x Phi(x), Phi the normal distribution function (Hendrycks and Gimpel 2016; the exact form).
void gelu_forward(std::span<const float> input, std::span<float> output);
void gelu_backward(std::span<const float> input, std::span<const float> output_gradient,
                   std::span<float> input_gradient);

}  // namespace runnel::tensor
