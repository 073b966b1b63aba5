#include "runtime/tensor/pool2d.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/tensor/kernels_reference.h"
#include "runtime/tensor/relu.h"
#include "tests/unit/tensor/test_values.h"

namespace runnel::tensor {
namespace {

// With `ties`, values come from {-1, 0, 1}, so most windows have several maxima.
void check_max(const Window2d& window, size_t examples, bool ties, Rng& rng) {
  SCOPED_TRACE(describe(window) + " examples " + std::to_string(examples));
  auto input = random_values(rng, examples * window.input_count());
  if (ties) {
    for (float& value : input) value = std::round(value);
  }
  const auto output_gradient = random_values(rng, examples * window.channels * window.output_positions());
  std::vector<float> expected(output_gradient.size());
  std::vector<float> actual(output_gradient.size(), 77.0F);
  reference::max_pool2d_forward(window, examples, input, expected);
  max_pool2d_forward(window, examples, input, actual);
  EXPECT_EQ(expected, actual);
  std::vector<float> expected_input(input.size());
  std::vector<float> actual_input(input.size(), 77.0F);
  reference::max_pool2d_backward(window, examples, input, output_gradient, expected_input);
  max_pool2d_backward(window, examples, input, output_gradient, actual_input);
  EXPECT_EQ(expected_input, actual_input);

  // The gradient of a rectifier below, whose output this is.
  auto rectified = input;
  relu_forward(rectified);
  max_pool2d_backward(window, examples, rectified, output_gradient, expected_input);
  relu_backward(rectified, expected_input);
  std::ranges::fill(actual_input, 77.0F);
  max_pool2d_backward(window, examples, rectified, output_gradient, actual_input, true);
  EXPECT_EQ(expected_input, actual_input);
}

void check_avg(const Window2d& window, size_t examples, Rng& rng) {
  SCOPED_TRACE(describe(window) + " examples " + std::to_string(examples));
  const auto input = random_values(rng, examples * window.input_count());
  const auto output_gradient = random_values(rng, examples * window.channels * window.output_positions());
  std::vector<float> expected(output_gradient.size());
  std::vector<float> actual(output_gradient.size(), 77.0F);
  reference::avg_pool2d_forward(window, examples, input, expected);
  avg_pool2d_forward(window, examples, input, actual);
  expect_close(expected, actual, 1);
  std::vector<float> expected_input(input.size());
  std::vector<float> actual_input(input.size(), 77.0F);
  reference::avg_pool2d_backward(window, examples, output_gradient, expected_input);
  avg_pool2d_backward(window, examples, output_gradient, actual_input);
  expect_close(expected_input, actual_input, window.kernel_count());
}

constexpr Window2d kHalves{2, 9, 11, 2, 2, 2, 2, 0, 0};  // odd sides leave a rest

TEST(MaxPool2d, AgreesWithTheReferenceBitForBit) {
  Rng rng(41);
  for (const bool ties : {false, true}) {
    check_max(kHalves, 2, ties, rng);
    check_max({3, 28, 28, 2, 2, 2, 2, 0, 0}, 2, ties, rng);
    check_max({1, 2, 2, 2, 2, 2, 2, 0, 0}, 1, ties, rng);
    for (int trial = 0; trial < 200; ++trial) check_max(random_window(rng, false), in_range(rng, 1, 3), ties, rng);
  }
}

TEST(MaxPool2d, ATieGoesToTheFirstInRowMajorOrder) {
  const Window2d window{1, 2, 4, 2, 2, 2, 2, 0, 0};
  const std::vector<float> input{1, 5, 0, 2,  //
                                 5, 5, 2, 2};
  std::vector<float> output(2);
  max_pool2d_forward(window, 1, input, output);
  EXPECT_EQ(output, (std::vector<float>{5, 2}));
  std::vector<float> gradient(8);
  max_pool2d_backward(window, 1, input, std::vector<float>{3, 4}, gradient);
  EXPECT_EQ(gradient, (std::vector<float>{0, 3, 0, 4,  //
                                          0, 0, 0, 0}));
}

TEST(MaxPool2d, OverlappingWindowsAddTheirGradients) {
  const Window2d window{1, 1, 3, 1, 2, 1, 1, 0, 0};
  std::vector<float> gradient(3);
  max_pool2d_backward(window, 1, std::vector<float>{0, 9, 1}, std::vector<float>{2, 5}, gradient);
  EXPECT_EQ(gradient, (std::vector<float>{0, 7, 0}));
}

TEST(AvgPool2d, AgreesWithTheReference) {
  Rng rng(42);
  check_avg(kHalves, 2, rng);
  check_avg({4, 7, 7, 7, 7, 1, 1, 0, 0}, 2, rng);
  for (int trial = 0; trial < 200; ++trial) check_avg(random_window(rng, false), in_range(rng, 1, 3), rng);
}

}  // namespace
}  // namespace runnel::tensor
