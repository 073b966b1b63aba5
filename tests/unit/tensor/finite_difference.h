// Kernels against the same formula in double: values directly, gradients by central differences.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace runnel::tensor {

using Doubles = std::vector<double>;
// The output of a kernel as a function of its inputs and weights.
using DoubleKernel = std::function<Doubles(const std::vector<Doubles>&)>;

inline Doubles in_double(std::span<const float> values) {
  return {values.begin(), values.end()};
}

inline std::vector<Doubles> all_in_double(const std::vector<std::vector<float>>& arguments) {
  std::vector<Doubles> result;
  for (const std::vector<float>& argument : arguments) result.push_back(in_double(argument));
  return result;
}

inline void expect_values(const Doubles& expected, std::span<const float> actual, double bound = 2e-6) {
  ASSERT_EQ(expected.size(), actual.size());
  for (size_t index = 0; index < expected.size(); ++index) {
    ASSERT_NEAR(expected[index], static_cast<double>(actual[index]), bound * (1.0 + std::abs(expected[index])))
        << "at " << index;
  }
}

// d(sum of output * output_gradient) / d(argument `which`).
inline Doubles difference_gradient(const DoubleKernel& kernel, const std::vector<std::vector<float>>& arguments,
                                   std::span<const float> output_gradient, size_t which) {
  constexpr double kStep = 1e-5;
  std::vector<Doubles> moved = all_in_double(arguments);
  const auto cost = [&] {
    const Doubles output = kernel(moved);
    double total = 0.0;
    for (size_t index = 0; index < output.size(); ++index) total += output[index] * output_gradient[index];
    return total;
  };
  Doubles gradient;
  for (double& value : moved[which]) {
    const double before = value;
    value = before + kStep;
    const double above = cost();
    value = before - kStep;
    gradient.push_back((above - cost()) / (2.0 * kStep));
    value = before;
  }
  return gradient;
}

// Gradients that were added, `scale` times, to `before`.
inline void expect_added(const Doubles& gradient, double scale, std::span<const float> before,
                         std::span<const float> after, double bound = 5e-6) {
  Doubles expected = in_double(before);
  ASSERT_EQ(expected.size(), gradient.size());
  for (size_t index = 0; index < expected.size(); ++index) expected[index] += scale * gradient[index];
  expect_values(expected, after, bound);
}

}  // namespace runnel::tensor
