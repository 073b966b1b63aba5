#include "runtime/tensor/activation.h"

#include <gtest/gtest.h>

#include <limits>

#include "runtime/tensor/relu.h"
#include "tests/unit/tensor/finite_difference.h"
#include "tests/unit/tensor/test_values.h"

namespace runnel::tensor {
namespace {

using Forward = std::function<void(std::span<const float>, std::span<float>)>;
using Backward = std::function<void(std::span<const float>, std::span<const float>, std::span<float>)>;

struct Function {
  const char* name;
  std::function<double(double)> formula;
  Forward forward;
  Backward backward;
  bool from_input;  // the backward pass starts from the input, not from the output
};

std::vector<Function> functions() {
  return {{"relu6", [](double x) { return std::min(std::max(x, 0.0), 6.0); }, relu6_forward, relu6_backward, false},
          {"leaky_relu", [](double x) { return x > 0.0 ? x : 0.125 * x; },
           [](auto input, auto output) { leaky_relu_forward(0.125F, input, output); },
           [](auto kept, auto from, auto to) { leaky_relu_backward(0.125F, kept, from, to); }, false},
          {"tanh", [](double x) { return std::tanh(x); }, tanh_forward, tanh_backward, false},
          {"sigmoid", [](double x) { return 1.0 / (1.0 + std::exp(-x)); }, sigmoid_forward, sigmoid_backward, false},
          {"gelu", [](double x) { return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0))); }, gelu_forward, gelu_backward,
           true}};
}

TEST(Activation, ValuesAndGradientsAgreeWithTheFormula) {
  Rng rng(3);
  for (const Function& function : functions()) {
    SCOPED_TRACE(function.name);
    const DoubleKernel kernel = [&function](const std::vector<Doubles>& arguments) {
      Doubles output;
      for (const double x : arguments[0]) output.push_back(function.formula(x));
      return output;
    };
    for (size_t count = 0; count < 70; ++count) {
      std::vector<float> input(count);
      for (float& value : input) {
        do value = static_cast<float>(16.0 * rng.uniform() - 8.0);
        while (std::abs(value) < 0.001F || std::abs(value - 6.0F) < 0.001F);  // no derivative there
      }
      const std::vector<float> output_gradient = random_values(rng, count);
      std::vector<float> output(count, 77.0F);
      function.forward(input, output);
      expect_values(kernel(all_in_double({input})), output);
      std::vector<float> gradient(count, 77.0F);
      function.backward(function.from_input ? input : output, output_gradient, gradient);
      expect_values(difference_gradient(kernel, {input}, output_gradient, 0), gradient, 3e-6);

      std::vector<float> in_place = input;
      function.forward(in_place, in_place);
      EXPECT_EQ(in_place, output);
      std::vector<float> gradient_in_place = output_gradient;
      function.backward(function.from_input ? input : output, gradient_in_place, gradient_in_place);
      EXPECT_EQ(gradient_in_place, gradient);
    }
  }
}

TEST(Activation, HasNoGradientWhereItIsFlat) {
  const std::vector<float> output{0.0F, 6.0F, 3.0F};
  std::vector<float> gradient{1.0F, 1.0F, 1.0F};
  relu6_backward(output, gradient, gradient);
  EXPECT_EQ(gradient, (std::vector<float>{0.0F, 0.0F, 1.0F}));
}

TEST(Activation, KeepsNan) {
  for (const Function& function : functions()) {
    std::vector<float> values(20, 1.0F);
    values[7] = std::numeric_limits<float>::quiet_NaN();
    values[19] = std::numeric_limits<float>::quiet_NaN();
    function.forward(values, values);
    for (size_t index = 0; index < values.size(); ++index)
      EXPECT_EQ(std::isnan(values[index]), index == 7 || index == 19) << function.name;
  }
}

TEST(Activation, ALeakOfZeroIsTheRectifier) {
  Rng rng(5);
  const std::vector<float> input = random_values(rng, 50);
  std::vector<float> leaky(50);
  std::vector<float> rectified = input;
  leaky_relu_forward(0.0F, input, leaky);
  relu_forward(rectified);
  EXPECT_EQ(leaky, rectified);
}

}  // namespace
}  // namespace runnel::tensor
