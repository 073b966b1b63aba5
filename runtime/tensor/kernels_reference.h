// The plain kernels: the definition of every layer as loops that can be checked by eye. They stay for ever, on every
// board; the fast kernels of the neighbouring files are tested against them.
//
// Shapes and conventions (what is added to, what is overwritten, ties) are those of dense.h, conv2d.h and pool2d.h.
// Gradients of weights are added with a scale of 1. Terms are formed in double. Slow on purpose.
#pragma once

#include <cstddef>
#include <span>

#include "runtime/tensor/conv2d.h"
#include "runtime/tensor/dense.h"
#include "runtime/tensor/window2d.h"

namespace runnel::tensor::reference {

void dense_forward(const Dense& dense, size_t examples, std::span<const float> input, std::span<const float> weight,
                   std::span<const float> bias, std::span<float> output);
void dense_backward(const Dense& dense, size_t examples, std::span<const float> input, std::span<const float> weight,
                    std::span<const float> output_gradient, std::span<float> weight_gradient,
                    std::span<float> bias_gradient, std::span<float> input_gradient);

void conv2d_forward(const Conv2d& conv, size_t examples, std::span<const float> input, std::span<const float> weight,
                    std::span<const float> bias, std::span<float> output);
void conv2d_backward(const Conv2d& conv, size_t examples, std::span<const float> input, std::span<const float> weight,
                     std::span<const float> output_gradient, std::span<float> weight_gradient,
                     std::span<float> bias_gradient, std::span<float> input_gradient);

void max_pool2d_forward(const Window2d& window, size_t examples, std::span<const float> input, std::span<float> output);
void max_pool2d_backward(const Window2d& window, size_t examples, std::span<const float> input,
                         std::span<const float> output_gradient, std::span<float> input_gradient);
void avg_pool2d_forward(const Window2d& window, size_t examples, std::span<const float> input, std::span<float> output);
void avg_pool2d_backward(const Window2d& window, size_t examples, std::span<const float> output_gradient,
                         std::span<float> input_gradient);

}  // namespace runnel::tensor::reference
