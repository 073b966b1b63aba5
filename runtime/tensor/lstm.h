// Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000) over a sequence,
// from a state of zeros:
//   i, f, o = sigmoid(W x + b + U h + c)    g = tanh(W_g x + b_g + U_g h + c_g)
//   s <- f s + i g                          h <- o tanh(s)
//
// Shapes and memory: as in gru.h, with four gates in the order i, f, g, o.
#pragma once

#include <cstddef>
#include <span>

#include "runtime/tensor/gru.h"

namespace runnel::tensor {

struct Lstm {
  size_t inputs = 0;
  size_t units = 0;
  size_t steps = 0;         // >= 1
  bool every_step = false;  // output every step's state, not only the last
};

// Floats for up to `examples` examples.
size_t lstm_saved(const Lstm& lstm, size_t examples);
size_t lstm_workspace(const Lstm& lstm, size_t examples);

void lstm_forward(const Lstm& lstm, size_t examples, std::span<const float> input, const RecurrentWeights& weights,
                  std::span<float> output, std::span<float> saved, std::span<float> workspace);

// As gru_backward.
void lstm_backward(const Lstm& lstm, size_t examples, std::span<const float> input, const RecurrentWeights& weights,
                   std::span<const float> output_gradient, float scale, const RecurrentGradients& gradients,
                   std::span<float> input_gradient, std::span<float> saved, std::span<float> workspace);

}  // namespace runnel::tensor
