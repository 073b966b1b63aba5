// One layer's forward and backward pass over given memory: the one place that knows which operation a kind of layer is.
//
// Memory: none of its own. Spans are of as many examples as the batch has; what a layer does not use is empty.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "runtime/tensor/dense_deferred.h"
#include "runtime/train/layer.h"

namespace runnel::train {

struct ForwardPass {
  size_t examples = 0;
  std::array<std::span<const float>, plan::kJoinMax> inputs;
  std::span<float> output;
  std::span<const float> parameters;  // of the whole model
  std::span<float> statistics;        // the same memory when running statistics are to move; else empty
  std::span<float> saved;
  std::span<float> workspace;
  bool training = false;
  const tensor::DeferredSteps* deferred = nullptr;  // of a dense layer whose steps wait
  uint64_t dropout_key = 0;                         // of this layer in this minibatch
  uint32_t dropout_first = 0;                       // the first value's place in the minibatch
};

void forward_layer(const Layer& layer, const ForwardPass& pass);

struct BackwardPass {
  size_t examples = 0;
  std::span<const float> input;   // of layers whose backward pass reads it
  std::span<const float> output;  // the same
  std::span<const float> parameters;
  std::span<float> saved;
  std::span<float> output_gradient;
  // Of layer.trained; `scale` times the gradient is added. May be the parameters themselves.
  std::span<float> weight_gradient;
  float scale = 1.0F;
  // Overwritten; empty where not wanted. The memory of output_gradient for layers that work in place, views and sums.
  std::array<std::span<float>, plan::kJoinMax> input_gradients;
  std::span<float> workspace;
  tensor::DeferredSteps* deferred = nullptr;  // REQUIRES: weight_gradient is the parameters' own memory
  uint64_t dropout_key = 0;
  uint32_t dropout_first = 0;
};

// Leaves output_gradient unspecified. A sum's input gradients are not written: they are its output gradient.
void backward_layer(const Layer& layer, const BackwardPass& pass);

}  // namespace runnel::train
