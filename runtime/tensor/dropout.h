// Dropout (Srivastava et al. 2014): in training, each value becomes zero with probability `rate`, and the others are
// divided by 1 - rate; in evaluation, nothing happens.
//
// Nothing is saved: whether value i is dropped is a function of the key and i (CounterRng), so the backward pass is the
// same function applied to the gradient, and a minibatch that is worked off in slices, or a pass that is made again,
// drops the same values.
#pragma once

#include <cstdint>
#include <span>

namespace runnel::tensor {

// values[0] is value `first` of the minibatch's layer output. The output may be the input's memory.
// REQUIRES: 0 <= rate < 1.
void dropout(float rate, uint64_t key, uint32_t first, std::span<const float> input, std::span<float> output);

}  // namespace runnel::tensor
