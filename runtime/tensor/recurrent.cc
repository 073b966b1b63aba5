#include "runtime/tensor/recurrent.h"

#include <algorithm>

#include "runtime/base/error.h"

namespace runnel::tensor {

void steps_first(size_t examples, size_t values, size_t steps, std::span<const float> from, std::span<float> to) {
  for (size_t step = 0; step < steps; ++step) {
    for (size_t example = 0; example < examples; ++example) {
      const float* source = from.data() + example * values * steps + step;
      float* row = to.data() + (step * examples + example) * values;
      for (size_t value = 0; value < values; ++value) row[value] = source[value * steps];
    }
  }
}

void steps_last(size_t examples, size_t values, size_t steps, std::span<const float> from, std::span<float> to) {
  for (size_t step = 0; step < steps; ++step) {
    for (size_t example = 0; example < examples; ++example) {
      const float* row = from.data() + (step * examples + example) * values;
      float* target = to.data() + example * values * steps + step;
      for (size_t value = 0; value < values; ++value) target[value * steps] = row[value];
    }
  }
}

void write_states(size_t examples, size_t units, size_t steps, bool every_step, std::span<const float> states,
                  std::span<float> output) {
  if (every_step) return steps_last(examples, units, steps, states, output);
  std::ranges::copy(states.subspan((steps - 1) * examples * units, examples * units), output.data());
}

void add_output_gradient(size_t examples, size_t units, size_t steps, bool every_step, size_t step,
                         std::span<const float> output_gradient, std::span<float> state_gradient) {
  if (!every_step && step + 1 != steps) return;
  const size_t stride = every_step ? steps : 1;
  const float* from = output_gradient.data() + (every_step ? step : 0);
  for (size_t index = 0; index < examples * units; ++index) state_gradient[index] += from[index * stride];
}

void add_column_sums(size_t rows, size_t stride, std::span<const float> from, std::span<float> to) {
  for (size_t row = 0; row < rows; ++row) {
    const float* values = from.data() + row * stride;
    for (size_t column = 0; column < to.size(); ++column) to[column] += values[column];
  }
}

void repeat_first_row(size_t width, std::span<float> rows) {
  for (size_t begin = width; begin < rows.size(); begin += width)
    std::ranges::copy(rows.first(width), rows.data() + begin);
}

void fill_rows(std::span<const float> first, std::span<const float> second, size_t width, std::span<float> rows) {
  for (size_t column = 0; column < width; ++column)
    rows[column] = (first.empty() ? 0.0F : first[column]) + (second.empty() ? 0.0F : second[column]);
  repeat_first_row(width, rows);
}

void check_sizes(const RecurrentSizes& sizes, std::span<const float> input, const RecurrentWeights& weights,
                 std::span<const float> output) {
  const size_t gate_rows = sizes.gates * sizes.units;
  RUNNEL_ASSERT(sizes.examples > 0 && sizes.steps > 0 && input.size() == sizes.rows() * sizes.inputs);
  RUNNEL_ASSERT(output.size() == sizes.output_count());
  RUNNEL_ASSERT(weights.input.size() == gate_rows * sizes.inputs && weights.hidden.size() == gate_rows * sizes.units);
  RUNNEL_ASSERT(weights.bias_input.size() == weights.bias_hidden.size());
  RUNNEL_ASSERT(weights.bias_input.empty() || weights.bias_input.size() == gate_rows);
}

void check_sizes(const RecurrentWeights& weights, const RecurrentGradients& gradients) {
  RUNNEL_ASSERT(gradients.input.size() == weights.input.size() && gradients.hidden.size() == weights.hidden.size());
  RUNNEL_ASSERT(gradients.bias_input.size() == weights.bias_input.size());
  RUNNEL_ASSERT(gradients.bias_hidden.size() == weights.bias_hidden.size());
}

}  // namespace runnel::tensor
