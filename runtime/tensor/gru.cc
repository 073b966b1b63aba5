#include "runtime/tensor/gru.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/tensor/math.h"
#include "runtime/tensor/product.h"
#include "runtime/tensor/recurrent.h"

namespace runnel::tensor {
namespace {

// What forward keeps, [steps][examples] rows each. Backward replaces the gates' values by the gradients of what they
// are functions of, and `hidden` by that of U_n h + c_n.
struct Saved {
  std::span<float> gates;   // r, z, n
  std::span<float> hidden;  // U_n h + c_n
  std::span<float> states;  // h after each step
};

Saved split(const Gru& gru, size_t examples, std::span<float> saved) {
  RUNNEL_ASSERT(saved.size() >= gru_saved(gru, examples));
  const size_t plane = gru.steps * examples * gru.units;
  return {saved.first(3 * plane), saved.subspan(3 * plane, plane), saved.subspan(4 * plane, plane)};
}

RecurrentSizes sizes_of(const Gru& gru, size_t examples) {
  return {examples, gru.inputs, gru.units, gru.steps, 3, gru.every_step};
}

size_t products_workspace(const Gru& gru, size_t examples) {
  const auto [inputs, units, steps, every_step] = gru;
  const size_t rows = steps * examples;
  return std::max({product_workspace({rows, 3 * units, inputs}), product_workspace({examples, 3 * units, units}),
                   product_workspace({examples, units, 2 * units}), product_workspace({rows, inputs, 3 * units}),
                   product_workspace({3 * units, inputs, rows}), product_workspace({2 * units, units, rows})});
}

// One step of one example; `before` is the state before it.
void step_forward(size_t units, float* __restrict gates, const float* __restrict hidden, const float* before,
                  float* __restrict state) {
  for (size_t unit = 0; unit < 2 * units; ++unit) gates[unit] = math::sigmoid(gates[unit]);
  const float* r = gates;
  const float* z = gates + units;
  float* n = gates + 2 * units;
  for (size_t unit = 0; unit < units; ++unit) n[unit] = math::tanh(n[unit] + r[unit] * hidden[unit]);
  for (size_t unit = 0; unit < units; ++unit) {
    const float h = before == nullptr ? 0.0F : before[unit];
    state[unit] = (1.0F - z[unit]) * n[unit] + z[unit] * h;
  }
}

// dh is the state's gradient; becomes what flows past the gates to the state before.
void step_backward(size_t units, float* __restrict gates, float* __restrict hidden, const float* before,
                   float* __restrict dh) {
  float* r = gates;
  float* z = gates + units;
  float* n = gates + 2 * units;
  for (size_t unit = 0; unit < units; ++unit) {
    const float h = before == nullptr ? 0.0F : before[unit];
    const float reset = r[unit];
    const float update = z[unit];
    const float candidate = n[unit];
    const float dn = dh[unit] * (1.0F - update) * (1.0F - candidate * candidate);
    z[unit] = dh[unit] * (h - candidate) * (update * (1.0F - update));
    r[unit] = dn * hidden[unit] * (reset * (1.0F - reset));
    n[unit] = dn;
    hidden[unit] = dn * reset;
    dh[unit] = dh[unit] * update;
  }
}

void add_weight_gradients(const Gru& gru, size_t examples, std::span<const float> inputs, float scale,
                          const RecurrentGradients& gradients, const Saved& kept, std::span<float> workspace) {
  const size_t units = gru.units;
  const size_t rows = gru.steps * examples;
  if (scale != 1.0F) {
    for (float& value : kept.gates) value *= scale;
    for (float& value : kept.hidden) value *= scale;
  }
  add_product_a_transposed({3 * units, gru.inputs, rows}, {kept.gates.data(), 3 * units}, {inputs.data(), gru.inputs},
                           {gradients.input.data(), gru.inputs}, workspace);
  // The first step's state before is zero, so row i of the gates meets row i - examples of the states.
  const size_t later = rows - examples;
  add_product_a_transposed({2 * units, units, later}, {kept.gates.data() + examples * 3 * units, 3 * units},
                           {kept.states.data(), units}, {gradients.hidden.data(), units}, workspace);
  add_product_a_transposed({units, units, later}, {kept.hidden.data() + examples * units, units},
                           {kept.states.data(), units}, {gradients.hidden.data() + 2 * units * units, units},
                           workspace);
  if (gradients.bias_input.empty()) return;
  add_column_sums(rows, 3 * units, kept.gates, gradients.bias_input);
  add_column_sums(rows, 3 * units, kept.gates, gradients.bias_hidden.first(2 * units));
  add_column_sums(rows, units, kept.hidden, gradients.bias_hidden.subspan(2 * units));
}

}  // namespace

size_t gru_saved(const Gru& gru, size_t examples) {
  return gru.steps * examples * 5 * gru.units;
}

size_t gru_workspace(const Gru& gru, size_t examples) {
  return gru.steps * examples * gru.inputs + examples * gru.units + products_workspace(gru, examples);
}

void gru_forward(const Gru& gru, size_t examples, std::span<const float> input, const RecurrentWeights& weights,
                 std::span<float> output, std::span<float> saved, std::span<float> workspace) {
  const auto [inputs, units, steps, every_step] = gru;
  check_sizes(sizes_of(gru, examples), input, weights, output);
  RUNNEL_ASSERT(workspace.size() >= gru_workspace(gru, examples));
  const Saved kept = split(gru, examples, saved);
  const size_t rows = steps * examples;
  const std::span<float> ordered = workspace.first(rows * inputs);
  steps_first(examples, inputs, steps, input, ordered);

  // b + c for r and z; b alone for n, whose c is inside the reset.
  const bool bias = !weights.bias_input.empty();
  for (size_t index = 0; index < 3 * units; ++index) {
    kept.gates[index] =
        !bias ? 0.0F : weights.bias_input[index] + (index < 2 * units ? weights.bias_hidden[index] : 0.0F);
  }
  repeat_first_row(3 * units, kept.gates);
  fill_rows(bias ? weights.bias_hidden.subspan(2 * units) : std::span<const float>{}, {}, units, kept.hidden);
  add_product_b_transposed({rows, 3 * units, inputs}, {ordered.data(), inputs}, {weights.input.data(), inputs},
                           {kept.gates.data(), 3 * units});

  for (size_t step = 0; step < steps; ++step) {
    float* gates = kept.gates.data() + step * examples * 3 * units;
    float* hidden = kept.hidden.data() + step * examples * units;
    float* state = kept.states.data() + step * examples * units;
    const float* before = step == 0 ? nullptr : state - examples * units;
    if (before != nullptr) {
      add_product_b_transposed({examples, 2 * units, units}, {before, units}, {weights.hidden.data(), units},
                               {gates, 3 * units});
      add_product_b_transposed({examples, units, units}, {before, units},
                               {weights.hidden.data() + 2 * units * units, units}, {hidden, units});
    }
    for (size_t example = 0; example < examples; ++example) {
      step_forward(units, gates + example * 3 * units, hidden + example * units,
                   before == nullptr ? nullptr : before + example * units, state + example * units);
    }
  }
  write_states(examples, units, steps, every_step, kept.states, output);
}

void gru_backward(const Gru& gru, size_t examples, std::span<const float> input, const RecurrentWeights& weights,
                  std::span<const float> output_gradient, float scale, const RecurrentGradients& gradients,
                  std::span<float> input_gradient, std::span<float> saved, std::span<float> workspace) {
  const auto [inputs, units, steps, every_step] = gru;
  check_sizes(sizes_of(gru, examples), input, weights, output_gradient);
  RUNNEL_ASSERT(workspace.size() >= gru_workspace(gru, examples));
  RUNNEL_ASSERT(input_gradient.empty() || input_gradient.size() == input.size());
  const Saved kept = split(gru, examples, saved);
  const size_t rows = steps * examples;
  const std::span<float> ordered = workspace.first(rows * inputs);
  const std::span<float> dh = workspace.subspan(rows * inputs, examples * units);
  const std::span<float> panels = workspace.subspan(rows * inputs + examples * units);

  std::ranges::fill(dh, 0.0F);
  for (size_t step = steps; step-- > 0;) {
    add_output_gradient(examples, units, steps, every_step, step, output_gradient, dh);
    float* gates = kept.gates.data() + step * examples * 3 * units;
    float* hidden = kept.hidden.data() + step * examples * units;
    const float* before = step == 0 ? nullptr : kept.states.data() + (step - 1) * examples * units;
    for (size_t example = 0; example < examples; ++example) {
      step_backward(units, gates + example * 3 * units, hidden + example * units,
                    before == nullptr ? nullptr : before + example * units, dh.data() + example * units);
    }
    if (before == nullptr) continue;
    add_product({examples, units, 2 * units}, {gates, 3 * units}, {weights.hidden.data(), units}, {dh.data(), units},
                panels);
    add_product({examples, units, units}, {hidden, units}, {weights.hidden.data() + 2 * units * units, units},
                {dh.data(), units}, panels);
  }
  if (!input_gradient.empty()) {
    std::ranges::fill(ordered, 0.0F);
    add_product({rows, inputs, 3 * units}, {kept.gates.data(), 3 * units}, {weights.input.data(), inputs},
                {ordered.data(), inputs}, panels);
    steps_last(examples, inputs, steps, ordered, input_gradient);
  }
  if (gradients.input.empty()) return;
  check_sizes(weights, gradients);
  steps_first(examples, inputs, steps, input, ordered);
  add_weight_gradients(gru, examples, ordered, scale, gradients, kept, panels);
}

}  // namespace runnel::tensor
