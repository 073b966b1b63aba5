// The two-dimensional convolution (cross-correlation, as everywhere in machine learning) with strides, zero padding and
// groups: of `groups` equal parts of the channels, each makes its own equal part of the units (depthwise: as many
// groups as channels).
//
// Shapes: input [examples][channels][height][width], weight [units][channels / groups][kernel_height][kernel_width],
// bias [units], output [examples][units][output_height][output_width], all row-major. Memory: conv2d_workspace() floats
// from the caller, whatever the batch. Where rows are long compared with the kernel, a pass reads the taps from a
// padded copy of some rows (conv2d_direct.h); else, and for the input's gradient under strides, patches are unfolded,
// of one example and at most 32,768 values (or one output row) at a time; a 1x1 kernel needs neither.
#pragma once

#include <cstddef>
#include <span>

#include "runtime/tensor/dense.h"
#include "runtime/tensor/window2d.h"

namespace runnel::tensor {

struct Conv2d {
  Window2d window;
  size_t units = 0;   // output channels; a multiple of groups
  size_t groups = 1;  // divides the channels
};

// Floats that forward and backward need.
size_t conv2d_workspace(const Conv2d& conv);

// An empty bias is none.
void conv2d_forward(const Conv2d& conv, size_t examples, std::span<const float> input, std::span<const float> weight,
                    std::span<const float> bias, Activation activation, std::span<float> output,
                    std::span<float> workspace);

// Adds `scale` times the gradients to weight_gradient and bias_gradient, either of which may be empty: then it is not
// computed. Overwrites input_gradient, unless that is empty. weight_gradient may be the very same memory as weight (a
// step of descent, with scale = -learning rate): the input gradient is formed before any weight changes.
void conv2d_backward(const Conv2d& conv, size_t examples, std::span<const float> input, std::span<const float> weight,
                     std::span<const float> output_gradient, float scale, std::span<float> weight_gradient,
                     std::span<float> bias_gradient, std::span<float> input_gradient, std::span<float> workspace);

}  // namespace runnel::tensor
