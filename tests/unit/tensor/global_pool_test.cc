#include "runtime/tensor/global_pool.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/tensor/finite_difference.h"
#include "tests/unit/tensor/test_values.h"

namespace runnel::tensor {
namespace {

DoubleKernel double_pool(const GlobalPool& pool, bool largest) {
  return [pool, largest](const std::vector<Doubles>& from) {
    Doubles output;
    for (size_t begin = 0; begin < from[0].size(); begin += pool.positions) {
      const auto first = from[0].begin() + static_cast<std::ptrdiff_t>(begin);
      const auto last = first + static_cast<std::ptrdiff_t>(pool.positions);
      double total = 0.0;
      for (auto value = first; value != last; ++value) total += *value;
      output.push_back(largest ? *std::max_element(first, last) : total / static_cast<double>(pool.positions));
    }
    return output;
  };
}

TEST(GlobalPool, AgreesWithTheFormula) {
  Rng rng(41);
  for (const size_t positions : {1U, 2U, 16U, 35U}) {
    const GlobalPool pool{3, positions};
    const std::vector<float> input = random_values(rng, 2 * 3 * positions);
    const std::vector<float> output_gradient = random_values(rng, 6);
    std::vector<float> output(6, 77.0F);
    std::vector<float> gradient(input.size(), 77.0F);
    global_avg_pool_forward(pool, 2, input, output);
    expect_values(double_pool(pool, false)({in_double(input)}), output);
    global_avg_pool_backward(pool, 2, output_gradient, gradient);
    expect_values(difference_gradient(double_pool(pool, false), {input}, output_gradient, 0), gradient);

    global_max_pool_forward(pool, 2, input, output);
    expect_values(double_pool(pool, true)({in_double(input)}), output);
    global_max_pool_backward(pool, 2, input, output_gradient, gradient);
    expect_values(difference_gradient(double_pool(pool, true), {input}, output_gradient, 0), gradient);
  }
}

TEST(GlobalPool, TheFirstOfEqualMaximaHasTheGradient) {
  std::vector<float> gradient(4, 77.0F);
  global_max_pool_backward({1, 4}, 1, std::vector<float>{1, 5, 5, 2}, std::vector<float>{3}, gradient);
  EXPECT_EQ(gradient, (std::vector<float>{0, 3, 0, 0}));
}

}  // namespace
}  // namespace runnel::tensor
