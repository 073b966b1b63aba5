// Convolutions without unfolding: the taps of a patch are read where they stand, in a padded copy of some rows.
//
// A strip of output rows, and the input rows under it, is copied with its padding; with strides s, into s x s planes
// that hold every s-th row and column (phases), so that the values under one tap are next to each other at all
// positions. A convolution is then a product whose right factor's rows are those planes at the taps' offsets. Rows of
// positions are as long as the padded rows; what lies between is computed too, and left out when the result is copied
// to its place.
//
// Memory: a strip and its result in the caller's workspace: 12,288 floats, or what one output row takes if that is
// more; for the weights' gradient, 8,192 beside them. Determinism: see product_kernels.h; strips are a function of the
// sizes alone. Threads: any, with a workspace each.
#pragma once

#include <cstddef>
#include <span>

#include "runtime/tensor/conv2d.h"

namespace runnel::tensor::direct {

// Whether this is the faster way: not where the positions of a row are few compared with what lies between.
bool pays(const Conv2d& conv);
bool pays_for_input_gradient(const Conv2d& conv);

size_t forward_workspace(const Conv2d& conv);
size_t input_gradient_workspace(const Conv2d& conv);
size_t weight_gradient_workspace(const Conv2d& conv);

// As in conv2d.h.
void forward(const Conv2d& conv, size_t examples, std::span<const float> input, std::span<const float> weight,
             std::span<const float> bias, Activation activation, std::span<float> output, std::span<float> workspace);

// REQUIRES: strides of 1. Overwrites input_gradient.
void input_gradient(const Conv2d& conv, size_t examples, std::span<const float> weight,
                    std::span<const float> output_gradient, std::span<float> input_gradient,
                    std::span<float> workspace);

// weight_gradient += scale * gradient.
void weight_gradient(const Conv2d& conv, size_t examples, std::span<const float> input,
                     std::span<const float> output_gradient, float scale, std::span<float> weight_gradient,
                     std::span<float> workspace);

}  // namespace runnel::tensor::direct
