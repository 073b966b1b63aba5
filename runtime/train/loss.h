// What a model's outputs cost, and the gradient that starts the backward pass.
//
// Determinism: exponentials and logarithms are our own (tensor/math.h), in double; sums have a fixed order. Memory:
// none beyond the arguments.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/base/error.h"
#include "runtime/plan/model_spec.h"

namespace runnel::train {

struct BatchLoss {
  double sum = 0.0;      // of the examples' losses (cross-entropies in nats); NaN or infinite when an output is
  uint32_t correct = 0;  // labels whose logit is the first largest of its position; 0 of other losses
};

// What a batch's outputs [examples][channels][positions] cost, as `spec` says. Targets: of kSoftmaxCrossEntropy, labels
// [examples][positions]; else values as many as outputs. Writes the gradient of (sum over examples) / batch_size to
// `gradient`, of the outputs' size, unless that is empty; it may be the outputs' memory. These examples may be a slice
// of a batch of batch_size; 0 says that they are all of it. REQUIRES: check_targets() accepted the targets.
//   softmax  -sum_k t_k log softmax(x)_k, t = (1 - s) one_hot + s / classes with s = label_smoothing (Szegedy et al.
//            2016); the mean over positions
//   binary   log(1 + e^x) - t x        mse  (x - t)^2        huber  d^2 / 2 for d = |x - t| <= delta, else
//            delta (d - delta / 2); the mean over outputs
BatchLoss batch_loss(const plan::LossSpec& spec, uint32_t channels, uint32_t positions, std::span<const float> outputs,
                     std::span<const float> targets, std::span<float> gradient, uint32_t batch_size = 0);

// kOutOfRange: a label that is not a whole number of [0, channels), or a yes outside [0, 1]; kNotFinite: any other
// number that is not finite. Names the target's place.
Failure check_targets(const plan::LossSpec& spec, uint32_t channels, std::span<const float> targets);

}  // namespace runnel::train
