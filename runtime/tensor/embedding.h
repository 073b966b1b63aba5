// A table of vectors, one for each symbol of a vocabulary: a sequence of whole numbers becomes a sequence of vectors.
//
// Shapes: input [examples][steps] of symbols as floats, weight [vocabulary][units], output [examples][units][steps].
// Trust: the input is data. check_symbols() must have accepted it before the passes, which assert on it.
#pragma once

#include <cstddef>
#include <span>

#include "runtime/base/error.h"

namespace runnel::tensor {

struct Embedding {
  size_t vocabulary = 0;  // at most 2^24: whole numbers that a float holds exactly
  size_t units = 0;
  size_t steps = 0;
};

// kOutOfRange for the first value that is not a whole number of [0, vocabulary); names its place.
Failure check_symbols(const Embedding& embedding, std::span<const float> input);

void embedding_forward(const Embedding& embedding, size_t examples, std::span<const float> input,
                       std::span<const float> weight, std::span<float> output);

// Adds scale * gradient to weight_gradient. There is no gradient of symbols.
void embedding_backward(const Embedding& embedding, size_t examples, std::span<const float> input,
                        std::span<const float> output_gradient, float scale, std::span<float> weight_gradient);

}  // namespace runnel::tensor
