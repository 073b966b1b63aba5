// Batch normalisation (Ioffe and Szegedy 2015): output = scale * (input - mean) / sqrt(variance + epsilon) + shift,
// channel by channel, with the batch's own statistics in training and running ones afterwards.
//
// Shapes: input and output [examples][channels][positions]; scale, shift, mean, variance [channels]. The batch's
// variance is that of the values themselves (divided by their number); the running one moves towards the unbiased
// estimate, and not at all where a channel has a single value. What is saved: batch_norm_saved() floats, each channel's
// mean and inverse deviation. docs/training.md says what averaging running statistics over a fleet does.
#pragma once

#include <cstddef>
#include <span>

namespace runnel::tensor {

struct BatchNorm {
  size_t channels = 0;
  size_t positions = 0;  // height * width
  float epsilon = 1e-5F;
  float momentum = 0.1F;  // share of a new batch in the running statistics
};

size_t batch_norm_saved(const BatchNorm& norm);

// With the statistics of this batch. Moves running_mean and running_variance, unless those are empty: for a pass that
// is made again. The output may be the input's memory if the input is not needed afterwards; backward needs it.
void batch_norm_forward(const BatchNorm& norm, size_t examples, std::span<const float> input,
                        std::span<const float> scale, std::span<const float> shift, std::span<float> running_mean,
                        std::span<float> running_variance, std::span<float> output, std::span<float> saved);

// `input` and `saved` are forward's. Adds weight_scale * gradient to scale_gradient and shift_gradient (both may be
// empty: not computed), overwrites input_gradient unless that is empty; it may be output_gradient's memory. `scale` is
// read before scale_gradient is written, which may be its memory.
void batch_norm_backward(const BatchNorm& norm, size_t examples, std::span<const float> input,
                         std::span<const float> scale, std::span<const float> saved,
                         std::span<const float> output_gradient, float weight_scale, std::span<float> scale_gradient,
                         std::span<float> shift_gradient, std::span<float> input_gradient);

// With given statistics: evaluation, and a frozen layer. The output may be the input's memory. A variance below zero,
// as the average of quantized updates may be, counts as zero.
void batch_norm_inference(const BatchNorm& norm, size_t examples, std::span<const float> input,
                          std::span<const float> scale, std::span<const float> shift, std::span<const float> mean,
                          std::span<const float> variance, std::span<float> output);

// The gradient through a frozen layer. Overwrites input_gradient, which may be output_gradient's memory.
void batch_norm_inference_backward(const BatchNorm& norm, size_t examples, std::span<const float> scale,
                                   std::span<const float> variance, std::span<const float> output_gradient,
                                   std::span<float> input_gradient);

}  // namespace runnel::tensor
