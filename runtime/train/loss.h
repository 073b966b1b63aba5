// Softmax and cross-entropy: what the logits cost, and the gradient that starts the backward pass.
//
// Determinism: the exponential is our own (basic arithmetic in double, error below 1e-15), because C libraries differ
// in the last bit and the gradient decides the model. The logarithm only enters the reported loss.
#pragma once

#include <cstdint>
#include <span>

namespace runnel::train {

struct BatchLoss {
  double sum = 0.0;      // of the examples' cross-entropies, in nats; NaN or infinite when a logit is
  uint32_t correct = 0;  // examples whose first largest logit is their label's
};

// logits is [labels.size()][classes]. Writes d(mean loss)/d(logits) = (softmax - one_hot) / batch_size to `gradient`,
// of the same shape, unless that is empty. These examples may be a slice of a larger batch; batch_size 0 says that they
// are all of it. REQUIRES: every label < classes.
BatchLoss softmax_cross_entropy(std::span<const float> logits, std::span<const uint32_t> labels, uint32_t classes,
                                std::span<float> gradient, uint32_t batch_size = 0);

// e^x for x <= 0; 0 below -700; NaN for NaN.
double exp_nonpositive(double x);

}  // namespace runnel::train
