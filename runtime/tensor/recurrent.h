// What the recurrent layers share: sequences stand [examples][values][steps] outside and [steps][examples][values]
// inside, where one step of all examples is one matrix. For gru.cc and lstm.cc.
#pragma once

#include <cstddef>
#include <span>

#include "runtime/tensor/gru.h"

namespace runnel::tensor {

// Both ways between the two orders.
void steps_first(size_t examples, size_t values, size_t steps, std::span<const float> from, std::span<float> to);
void steps_last(size_t examples, size_t values, size_t steps, std::span<const float> from, std::span<float> to);

// Writes the states [steps][examples][units] as an output: every step's, or the last one's.
void write_states(size_t examples, size_t units, size_t steps, bool every_step, std::span<const float> states,
                  std::span<float> output);

// state_gradient [examples][units] += the output's gradient at `step`; none where only the last step is output.
void add_output_gradient(size_t examples, size_t units, size_t steps, bool every_step, size_t step,
                         std::span<const float> output_gradient, std::span<float> state_gradient);

// to[j] += the sum over rows i of from[i * stride + j], in order.
void add_column_sums(size_t rows, size_t stride, std::span<const float> from, std::span<float> to);

// Every row becomes as the first.
void repeat_first_row(size_t width, std::span<float> rows);

// Every row becomes first + second; an empty one counts as zeros.
void fill_rows(std::span<const float> first, std::span<const float> second, size_t width, std::span<float> rows);

// Asserts that tensors and buffers have the sizes of a layer with so many gates.
struct RecurrentSizes {
  size_t examples = 0;
  size_t inputs = 0;
  size_t units = 0;
  size_t steps = 0;
  size_t gates = 0;
  bool every_step = false;

  size_t rows() const { return examples * steps; }
  size_t output_count() const { return examples * units * (every_step ? steps : 1); }
};
void check_sizes(const RecurrentSizes& sizes, std::span<const float> input, const RecurrentWeights& weights,
                 std::span<const float> output);
void check_sizes(const RecurrentWeights& weights, const RecurrentGradients& gradients);

}  // namespace runnel::tensor
