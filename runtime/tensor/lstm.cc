#include "runtime/tensor/lstm.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/tensor/math.h"
#include "runtime/tensor/product.h"
#include "runtime/tensor/recurrent.h"

namespace runnel::tensor {
namespace {

// What forward keeps, [steps][examples] rows each. Backward replaces the gates' values by the gradients of what they
// are functions of.
struct Saved {
  std::span<float> gates;   // i, f, g, o
  std::span<float> cells;   // s after each step
  std::span<float> states;  // h after each step
};

Saved split(const Lstm& lstm, size_t examples, std::span<float> saved) {
  RUNNEL_ASSERT(saved.size() >= lstm_saved(lstm, examples));
  const size_t plane = lstm.steps * examples * lstm.units;
  return {saved.first(4 * plane), saved.subspan(4 * plane, plane), saved.subspan(5 * plane, plane)};
}

RecurrentSizes sizes_of(const Lstm& lstm, size_t examples) {
  return {examples, lstm.inputs, lstm.units, lstm.steps, 4, lstm.every_step};
}

size_t products_workspace(const Lstm& lstm, size_t examples) {
  const auto [inputs, units, steps, every_step] = lstm;
  const size_t rows = steps * examples;
  return std::max({product_workspace({rows, 4 * units, inputs}), product_workspace({examples, 4 * units, units}),
                   product_workspace({examples, units, 4 * units}), product_workspace({rows, inputs, 4 * units}),
                   product_workspace({4 * units, inputs, rows}), product_workspace({4 * units, units, rows})});
}

// One step of one example; `before` is the cell before it.
void step_forward(size_t units, float* __restrict gates, const float* before, float* __restrict cell,
                  float* __restrict state) {
  const float* i = gates;
  const float* f = gates + units;
  float* g = gates + 2 * units;
  float* o = gates + 3 * units;
  for (size_t unit = 0; unit < 2 * units; ++unit) gates[unit] = math::sigmoid(gates[unit]);
  for (size_t unit = 0; unit < units; ++unit) g[unit] = math::tanh(g[unit]);
  for (size_t unit = 0; unit < units; ++unit) o[unit] = math::sigmoid(o[unit]);
  for (size_t unit = 0; unit < units; ++unit) {
    const float s = before == nullptr ? 0.0F : before[unit];
    cell[unit] = f[unit] * s + i[unit] * g[unit];
  }
  for (size_t unit = 0; unit < units; ++unit) state[unit] = o[unit] * math::tanh(cell[unit]);
}

// dh and ds are the gradients of state and cell; ds becomes that of the cell before.
void step_backward(size_t units, float* __restrict gates, const float* before, const float* __restrict cell,
                   const float* __restrict dh, float* __restrict ds) {
  float* i = gates;
  float* f = gates + units;
  float* g = gates + 2 * units;
  float* o = gates + 3 * units;
  for (size_t unit = 0; unit < units; ++unit) {
    const float s = before == nullptr ? 0.0F : before[unit];
    const float in = i[unit];
    const float forget = f[unit];
    const float candidate = g[unit];
    const float out = o[unit];
    const float squashed = math::tanh(cell[unit]);
    const float d = ds[unit] + dh[unit] * out * (1.0F - squashed * squashed);
    o[unit] = dh[unit] * squashed * (out * (1.0F - out));
    i[unit] = d * candidate * (in * (1.0F - in));
    f[unit] = d * s * (forget * (1.0F - forget));
    g[unit] = d * in * (1.0F - candidate * candidate);
    ds[unit] = d * forget;
  }
}

void add_weight_gradients(const Lstm& lstm, size_t examples, std::span<const float> inputs, float scale,
                          const RecurrentGradients& gradients, const Saved& kept, std::span<float> workspace) {
  const size_t units = lstm.units;
  const size_t rows = lstm.steps * examples;
  if (scale != 1.0F) {
    for (float& value : kept.gates) value *= scale;
  }
  add_product_a_transposed({4 * units, lstm.inputs, rows}, {kept.gates.data(), 4 * units}, {inputs.data(), lstm.inputs},
                           {gradients.input.data(), lstm.inputs}, workspace);
  // The first step's state before is zero, so row i of the gates meets row i - examples of the states.
  add_product_a_transposed({4 * units, units, rows - examples}, {kept.gates.data() + examples * 4 * units, 4 * units},
                           {kept.states.data(), units}, {gradients.hidden.data(), units}, workspace);
  if (gradients.bias_input.empty()) return;
  add_column_sums(rows, 4 * units, kept.gates, gradients.bias_input);
  add_column_sums(rows, 4 * units, kept.gates, gradients.bias_hidden);
}

}  // namespace

size_t lstm_saved(const Lstm& lstm, size_t examples) {
  return lstm.steps * examples * 6 * lstm.units;
}

size_t lstm_workspace(const Lstm& lstm, size_t examples) {
  return lstm.steps * examples * lstm.inputs + 2 * examples * lstm.units + products_workspace(lstm, examples);
}

void lstm_forward(const Lstm& lstm, size_t examples, std::span<const float> input, const RecurrentWeights& weights,
                  std::span<float> output, std::span<float> saved, std::span<float> workspace) {
  const auto [inputs, units, steps, every_step] = lstm;
  check_sizes(sizes_of(lstm, examples), input, weights, output);
  RUNNEL_ASSERT(workspace.size() >= lstm_workspace(lstm, examples));
  const Saved kept = split(lstm, examples, saved);
  const size_t rows = steps * examples;
  const std::span<float> ordered = workspace.first(rows * inputs);
  steps_first(examples, inputs, steps, input, ordered);
  fill_rows(weights.bias_input, weights.bias_hidden, 4 * units, kept.gates);
  add_product_b_transposed({rows, 4 * units, inputs}, {ordered.data(), inputs}, {weights.input.data(), inputs},
                           {kept.gates.data(), 4 * units});

  for (size_t step = 0; step < steps; ++step) {
    const size_t begin = step * examples;
    float* gates = kept.gates.data() + begin * 4 * units;
    float* cells = kept.cells.data() + begin * units;
    float* states = kept.states.data() + begin * units;
    if (step > 0) {
      add_product_b_transposed({examples, 4 * units, units}, {states - examples * units, units},
                               {weights.hidden.data(), units}, {gates, 4 * units});
    }
    for (size_t example = 0; example < examples; ++example) {
      float* cell = cells + example * units;
      step_forward(units, gates + example * 4 * units, step == 0 ? nullptr : cell - examples * units, cell,
                   states + example * units);
    }
  }
  write_states(examples, units, steps, every_step, kept.states, output);
}

void lstm_backward(const Lstm& lstm, size_t examples, std::span<const float> input, const RecurrentWeights& weights,
                   std::span<const float> output_gradient, float scale, const RecurrentGradients& gradients,
                   std::span<float> input_gradient, std::span<float> saved, std::span<float> workspace) {
  const auto [inputs, units, steps, every_step] = lstm;
  check_sizes(sizes_of(lstm, examples), input, weights, output_gradient);
  RUNNEL_ASSERT(workspace.size() >= lstm_workspace(lstm, examples));
  RUNNEL_ASSERT(input_gradient.empty() || input_gradient.size() == input.size());
  const Saved kept = split(lstm, examples, saved);
  const size_t rows = steps * examples;
  const std::span<float> ordered = workspace.first(rows * inputs);
  const std::span<float> dh = workspace.subspan(rows * inputs, examples * units);
  const std::span<float> ds = workspace.subspan(rows * inputs + examples * units, examples * units);
  const std::span<float> panels = workspace.subspan(rows * inputs + 2 * examples * units);

  std::ranges::fill(dh, 0.0F);
  std::ranges::fill(ds, 0.0F);
  for (size_t step = steps; step-- > 0;) {
    add_output_gradient(examples, units, steps, every_step, step, output_gradient, dh);
    float* gates = kept.gates.data() + step * examples * 4 * units;
    const float* cells = kept.cells.data() + step * examples * units;
    for (size_t example = 0; example < examples; ++example) {
      const float* cell = cells + example * units;
      step_backward(units, gates + example * 4 * units, step == 0 ? nullptr : cell - examples * units, cell,
                    dh.data() + example * units, ds.data() + example * units);
    }
    if (step == 0) continue;
    std::ranges::fill(dh, 0.0F);
    add_product({examples, units, 4 * units}, {gates, 4 * units}, {weights.hidden.data(), units}, {dh.data(), units},
                panels);
  }
  if (!input_gradient.empty()) {
    std::ranges::fill(ordered, 0.0F);
    add_product({rows, inputs, 4 * units}, {kept.gates.data(), 4 * units}, {weights.input.data(), inputs},
                {ordered.data(), inputs}, panels);
    steps_last(examples, inputs, steps, ordered, input_gradient);
  }
  if (gradients.input.empty()) return;
  check_sizes(weights, gradients);
  steps_first(examples, inputs, steps, input, ordered);
  add_weight_gradients(lstm, examples, ordered, scale, gradients, kept, panels);
}

}  // namespace runnel::tensor
