// A gated recurrent unit (Cho et al. 2014) over a sequence, from a state of zeros; the reset gate applies after the
// hidden product:
//   r = sigmoid(W_r x + b_r + U_r h + c_r)        z = sigmoid(W_z x + b_z + U_z h + c_z)
//   n = tanh(W_n x + b_n + r (U_n h + c_n))       h <- (1 - z) n + z h
//
// Shapes: input [examples][inputs][steps]; output [examples][units][steps], or [examples][units] of the last step;
// weight_input [3 units][inputs] and weight_hidden [3 units][units] with the gates in the order r, z, n; bias_input b
// and bias_hidden c [3 units], both empty for a layer without. Backward goes through all steps. Memory: gru_saved()
// floats from forward to backward, gru_workspace() floats for either; nothing is allocated.
#pragma once

#include <cstddef>
#include <span>

namespace runnel::tensor {

struct Gru {
  size_t inputs = 0;
  size_t units = 0;
  size_t steps = 0;         // >= 1
  bool every_step = false;  // output every step's state, not only the last
};

// The parameters, or their gradients.
struct RecurrentWeights {
  std::span<const float> input;
  std::span<const float> hidden;
  std::span<const float> bias_input;
  std::span<const float> bias_hidden;
};
struct RecurrentGradients {
  std::span<float> input;
  std::span<float> hidden;
  std::span<float> bias_input;
  std::span<float> bias_hidden;
};

// Floats for up to `examples` examples.
size_t gru_saved(const Gru& gru, size_t examples);
size_t gru_workspace(const Gru& gru, size_t examples);

void gru_forward(const Gru& gru, size_t examples, std::span<const float> input, const RecurrentWeights& weights,
                 std::span<float> output, std::span<float> saved, std::span<float> workspace);

// `input` and `saved` are forward's; `saved` is used up: a second backward pass needs a forward pass before it.
// Overwrites input_gradient unless that is empty, then adds scale * gradient to the weights' gradients (all empty: not
// computed; they may be the weights' own memory). input_gradient is not the input's memory.
void gru_backward(const Gru& gru, size_t examples, std::span<const float> input, const RecurrentWeights& weights,
                  std::span<const float> output_gradient, float scale, const RecurrentGradients& gradients,
                  std::span<float> input_gradient, std::span<float> saved, std::span<float> workspace);

}  // namespace runnel::tensor
