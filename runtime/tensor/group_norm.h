// Group normalisation (Wu and He 2018) and layer normalisation (Ba et al. 2016): an example is normalised with its own
// statistics, so nothing depends on the batch, on its slices or on what other devices hold.
//
// Shapes: input and output [examples][channels][positions] with scale and shift [channels], the statistics over the
// channels / groups * positions values of a group; for layer normalisation [examples][count] with scale and shift
// [count]. Variances are of the values themselves (divided by their number). What is saved: the mean and the inverse
// deviation of every group, or example.
#pragma once

#include <cstddef>
#include <span>

namespace runnel::tensor {

struct GroupNorm {
  size_t channels = 0;
  size_t groups = 1;  // divides channels
  size_t positions = 0;
  float epsilon = 1e-5F;
};

size_t group_norm_saved(const GroupNorm& norm, size_t examples);

// The output may be the input's memory if the input is not needed afterwards; backward needs it.
void group_norm_forward(const GroupNorm& norm, size_t examples, std::span<const float> input,
                        std::span<const float> scale, std::span<const float> shift, std::span<float> output,
                        std::span<float> saved);

// `input` and `saved` are forward's. Overwrites input_gradient unless that is empty (it may be output_gradient's
// memory only if both weights' gradients are empty), adds weight_scale * gradient to scale_gradient and shift_gradient
// unless those are empty; they may be the memory of scale and shift, which are then read before.
void group_norm_backward(const GroupNorm& norm, size_t examples, std::span<const float> input,
                         std::span<const float> scale, std::span<const float> saved,
                         std::span<const float> output_gradient, float weight_scale, std::span<float> scale_gradient,
                         std::span<float> shift_gradient, std::span<float> input_gradient);

struct LayerNorm {
  size_t count = 0;  // values of an example
  float epsilon = 1e-5F;
};

size_t layer_norm_saved(const LayerNorm& norm, size_t examples);

// As group_norm_forward and group_norm_backward.
void layer_norm_forward(const LayerNorm& norm, size_t examples, std::span<const float> input,
                        std::span<const float> scale, std::span<const float> shift, std::span<float> output,
                        std::span<float> saved);
void layer_norm_backward(const LayerNorm& norm, size_t examples, std::span<const float> input,
                         std::span<const float> scale, std::span<const float> saved,
                         std::span<const float> output_gradient, float weight_scale, std::span<float> scale_gradient,
                         std::span<float> shift_gradient, std::span<float> input_gradient);

}  // namespace runnel::tensor
