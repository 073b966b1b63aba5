// GRU and LSTM against their formulas in double, forward and backward through time.
#include <gtest/gtest.h>

#include "runtime/tensor/gru.h"
#include "runtime/tensor/lstm.h"
#include "tests/unit/tensor/finite_difference.h"
#include "tests/unit/tensor/test_values.h"

namespace runnel::tensor {
namespace {

struct Case {
  size_t examples;
  size_t inputs;
  size_t units;
  size_t steps;
  bool every_step;
  bool bias;
};

std::string describe(const Case& c) {
  return std::to_string(c.examples) + " examples, " + std::to_string(c.inputs) + " -> " + std::to_string(c.units) +
         ", " + std::to_string(c.steps) + " steps" + (c.every_step ? ", every step" : "") + (c.bias ? "" : ", no bias");
}

double squash(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}

// Row `row` of matrix * x + bias; x has `count` values `stride` apart.
double product_row(const Doubles& matrix, const Doubles& bias, size_t row, const double* x, size_t count,
                   size_t stride) {
  double total = bias.empty() ? 0.0 : bias[row];
  for (size_t index = 0; index < count; ++index) total += matrix[row * count + index] * x[index * stride];
  return total;
}

// Arguments: input, weight_input, weight_hidden, and unless there is no bias, bias_input, bias_hidden.
DoubleKernel double_layer(const Case& c, bool lstm) {
  return [c, lstm](const std::vector<Doubles>& from) {
    const Doubles none;
    const Doubles& bias_input = c.bias ? from[3] : none;
    const Doubles& bias_hidden = c.bias ? from[4] : none;
    Doubles output(c.examples * c.units * (c.every_step ? c.steps : 1));
    for (size_t example = 0; example < c.examples; ++example) {
      Doubles h(c.units, 0.0);
      Doubles s(c.units, 0.0);
      for (size_t step = 0; step < c.steps; ++step) {
        const double* x = from[0].data() + example * c.inputs * c.steps + step;
        const Doubles before = h;
        const auto by_input = [&](size_t row) { return product_row(from[1], bias_input, row, x, c.inputs, c.steps); };
        const auto by_hidden = [&](size_t row) {
          return product_row(from[2], bias_hidden, row, before.data(), c.units, 1);
        };
        for (size_t unit = 0; unit < c.units; ++unit) {
          const size_t second = c.units + unit;
          const size_t third = 2 * c.units + unit;
          const size_t fourth = 3 * c.units + unit;
          if (lstm) {
            const double i = squash(by_input(unit) + by_hidden(unit));
            const double f = squash(by_input(second) + by_hidden(second));
            const double g = std::tanh(by_input(third) + by_hidden(third));
            const double o = squash(by_input(fourth) + by_hidden(fourth));
            s[unit] = f * s[unit] + i * g;
            h[unit] = o * std::tanh(s[unit]);
          } else {
            const double r = squash(by_input(unit) + by_hidden(unit));
            const double z = squash(by_input(second) + by_hidden(second));
            const double n = std::tanh(by_input(third) + r * by_hidden(third));
            h[unit] = (1.0 - z) * n + z * before[unit];
          }
          if (c.every_step) output[(example * c.units + unit) * c.steps + step] = h[unit];
          if (!c.every_step && step + 1 == c.steps) output[example * c.units + unit] = h[unit];
        }
      }
    }
    return output;
  };
}

size_t saved_count(const Case& c, bool lstm) {
  return lstm ? lstm_saved({c.inputs, c.units, c.steps, c.every_step}, c.examples)
              : gru_saved({c.inputs, c.units, c.steps, c.every_step}, c.examples);
}

size_t workspace_count(const Case& c, bool lstm) {
  return lstm ? lstm_workspace({c.inputs, c.units, c.steps, c.every_step}, c.examples)
              : gru_workspace({c.inputs, c.units, c.steps, c.every_step}, c.examples);
}

void forward(const Case& c, bool lstm, std::span<const float> input, const RecurrentWeights& weights,
             std::span<float> output, std::span<float> saved) {
  std::vector<float> workspace(workspace_count(c, lstm), 77.0F);  // nothing may rely on what is there
  if (lstm) {
    lstm_forward({c.inputs, c.units, c.steps, c.every_step}, c.examples, input, weights, output, saved, workspace);
  } else {
    gru_forward({c.inputs, c.units, c.steps, c.every_step}, c.examples, input, weights, output, saved, workspace);
  }
}

void backward(const Case& c, bool lstm, std::span<const float> input, const RecurrentWeights& weights,
              std::span<const float> output_gradient, float scale, const RecurrentGradients& gradients,
              std::span<float> input_gradient, std::span<float> saved) {
  std::vector<float> workspace(workspace_count(c, lstm), 77.0F);
  if (lstm) {
    lstm_backward({c.inputs, c.units, c.steps, c.every_step}, c.examples, input, weights, output_gradient, scale,
                  gradients, input_gradient, saved, workspace);
  } else {
    gru_backward({c.inputs, c.units, c.steps, c.every_step}, c.examples, input, weights, output_gradient, scale,
                 gradients, input_gradient, saved, workspace);
  }
}

// All that a layer needs, with random values.
struct Layer {
  std::vector<std::vector<float>> arguments;
  std::vector<float> output;
  std::vector<float> saved;
  std::vector<float> output_gradient;

  Layer(const Case& c, bool lstm, Rng& rng) {
    const size_t rows = (lstm ? 4 : 3) * c.units;
    arguments.push_back(random_values(rng, c.examples * c.inputs * c.steps));
    arguments.push_back(random_values(rng, rows * c.inputs));
    arguments.push_back(random_values(rng, rows * c.units));
    if (c.bias) arguments.push_back(random_values(rng, rows));
    if (c.bias) arguments.push_back(random_values(rng, rows));
    output.assign(c.examples * c.units * (c.every_step ? c.steps : 1), 77.0F);
    saved.assign(saved_count(c, lstm), 77.0F);
    output_gradient = random_values(rng, output.size());
  }
  std::span<float> argument(size_t index) {
    return index < arguments.size() ? std::span<float>(arguments[index]) : std::span<float>{};
  }
  RecurrentWeights weights() { return {argument(1), argument(2), argument(3), argument(4)}; }
};

void check(const Case& c, bool lstm, Rng& rng) {
  SCOPED_TRACE((lstm ? "lstm: " : "gru: ") + describe(c));
  Layer layer(c, lstm, rng);
  const DoubleKernel kernel = double_layer(c, lstm);
  forward(c, lstm, layer.arguments[0], layer.weights(), layer.output, layer.saved);
  expect_values(kernel(all_in_double(layer.arguments)), layer.output, 3e-6);

  std::vector<std::vector<float>> before;
  for (size_t index = 1; index < layer.arguments.size(); ++index)
    before.push_back(random_values(rng, layer.arguments[index].size()));
  std::vector<std::vector<float>> after = before;
  after.resize(4);
  std::vector<float> input_gradient(layer.arguments[0].size(), 77.0F);
  backward(c, lstm, layer.arguments[0], layer.weights(), layer.output_gradient, -0.5F,
           {after[0], after[1], after[2], after[3]}, input_gradient, layer.saved);
  expect_values(difference_gradient(kernel, layer.arguments, layer.output_gradient, 0), input_gradient, 1e-5);
  for (size_t index = 0; index < before.size(); ++index) {
    SCOPED_TRACE("weights " + std::to_string(index));
    expect_added(difference_gradient(kernel, layer.arguments, layer.output_gradient, index + 1), -0.5, before[index],
                 after[index], 1e-5);
  }
}

TEST(Recurrent, AgreesWithTheFormula) {
  Rng rng(31);
  for (const bool lstm : {false, true}) {
    for (const size_t examples : {1U, 3U}) {
      for (const size_t steps : {1U, 2U, 5U}) {
        for (const bool every_step : {false, true}) check({examples, 3, 4, steps, every_step, true}, lstm, rng);
      }
    }
    check({2, 1, 1, 3, true, true}, lstm, rng);
    check({2, 2, 7, 3, true, false}, lstm, rng);
    check({1, 5, 17, 4, false, true}, lstm, rng);
  }
}

TEST(Recurrent, RandomShapesAgreeWithTheFormula) {
  Rng rng(32);
  for (int round = 0; round < 12; ++round) {
    const Case c{in_range(rng, 1, 4), in_range(rng, 1, 6), in_range(rng, 1, 9),
                 in_range(rng, 1, 6), rng.below(2) == 0,   rng.below(4) != 0};
    check(c, round % 2 == 0, rng);
  }
}

// Both passes update the weights in place as they would with a buffer, and skip what is not asked for.
TEST(Recurrent, UpdatesItsOwnWeightsInPlace) {
  Rng rng(33);
  for (const bool lstm : {false, true}) {
    const Case c{2, 3, 5, 4, true, true};
    Layer layer(c, lstm, rng);
    forward(c, lstm, layer.arguments[0], layer.weights(), layer.output, layer.saved);
    std::vector<float> saved = layer.saved;
    std::vector<std::vector<float>> apart(layer.arguments.begin() + 1, layer.arguments.end());
    std::vector<float> input_gradient(layer.arguments[0].size());
    backward(c, lstm, layer.arguments[0], layer.weights(), layer.output_gradient, -0.25F,
             {apart[0], apart[1], apart[2], apart[3]}, input_gradient, saved);

    std::vector<float> input_only(input_gradient.size());
    saved = layer.saved;
    backward(c, lstm, layer.arguments[0], layer.weights(), layer.output_gradient, -0.25F, {}, input_only, saved);
    EXPECT_EQ(input_only, input_gradient);

    const RecurrentWeights weights = layer.weights();
    const RecurrentGradients own{layer.argument(1), layer.argument(2), layer.argument(3), layer.argument(4)};
    backward(c, lstm, layer.arguments[0], weights, layer.output_gradient, -0.25F, own, {}, layer.saved);
    for (size_t index = 0; index < apart.size(); ++index) EXPECT_EQ(layer.arguments[index + 1], apart[index]);
  }
}

TEST(Recurrent, AnExampleDoesNotDependOnItsNeighbours) {
  Rng rng(34);
  for (const bool lstm : {false, true}) {
    const Case three{3, 2, 4, 3, true, true};
    const Case one{1, 2, 4, 3, true, true};
    Layer layer(three, lstm, rng);
    forward(three, lstm, layer.arguments[0], layer.weights(), layer.output, layer.saved);
    for (size_t example = 0; example < 3; ++example) {
      std::vector<float> output(12);
      std::vector<float> saved(saved_count(one, lstm));
      forward(one, lstm, std::span(layer.arguments[0]).subspan(example * 6, 6), layer.weights(), output, saved);
      for (size_t index = 0; index < 12; ++index)
        EXPECT_FLOAT_EQ(output[index], layer.output[example * 12 + index]) << index;
    }
  }
}

}  // namespace
}  // namespace runnel::tensor
