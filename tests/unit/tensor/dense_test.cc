#include "runtime/tensor/dense.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/tensor/kernels_reference.h"
#include "tests/unit/tensor/test_values.h"

namespace runnel::tensor {
namespace {

void check(const Dense& dense, size_t examples, Rng& rng) {
  SCOPED_TRACE(std::to_string(dense.inputs) + " -> " + std::to_string(dense.units) + ", examples " +
               std::to_string(examples));
  const auto input = random_values(rng, examples * dense.inputs);
  const auto weight = random_values(rng, dense.units * dense.inputs);
  const auto bias = random_values(rng, dense.units);
  const auto output_gradient = random_values(rng, examples * dense.units);
  std::vector<float> workspace(dense_workspace(dense, examples));

  std::vector<float> expected(examples * dense.units);
  std::vector<float> actual(expected.size(), 77.0F);
  reference::dense_forward(dense, examples, input, weight, bias, expected);
  dense_forward(dense, examples, input, weight, bias, Activation::kNone, actual, workspace);
  expect_close(expected, actual, dense.inputs);
  for (float& value : expected) value = std::max(value, 0.0F);
  dense_forward(dense, examples, input, weight, bias, Activation::kRelu, actual, workspace);
  expect_close(expected, actual, dense.inputs);

  std::vector<float> expected_weight = random_values(rng, weight.size());  // gradients are added to what is there
  std::vector<float> expected_bias = random_values(rng, bias.size());
  std::vector<float> actual_weight = expected_weight;
  std::vector<float> actual_bias = expected_bias;
  std::vector<float> expected_input(input.size());
  std::vector<float> actual_input(input.size(), 77.0F);
  reference::dense_backward(dense, examples, input, weight, output_gradient, expected_weight, expected_bias,
                            expected_input);
  dense_backward(dense, examples, input, weight, output_gradient, 1.0F, actual_weight, actual_bias, actual_input,
                 workspace);
  expect_close(expected_weight, actual_weight, examples);
  expect_close(expected_bias, actual_bias, examples);
  expect_close(expected_input, actual_input, dense.units);

  std::vector<float> again = expected_weight;
  dense_backward(dense, examples, input, weight, output_gradient, 1.0F, again, actual_bias, {}, workspace);
  EXPECT_NE(again, expected_weight) << "weights have a gradient without an input gradient too";
}

TEST(Dense, AgreesWithTheReference) {
  Rng rng(21);
  for (const size_t examples : {1U, 2U, 7U, 32U}) {
    for (const size_t inputs : {1U, 3U, 16U, 65U}) {
      for (const size_t units : {1U, 2U, 10U, 33U}) check({inputs, units}, examples, rng);
    }
  }
  check({784, 64}, 32, rng);
}

TEST(Dense, WorkspaceCoversSmallerBatches) {
  for (size_t examples = 1; examples < 64; ++examples) {
    EXPECT_LE(dense_workspace({300, 40}, examples), dense_workspace({300, 40}, 64));
  }
}

}  // namespace
}  // namespace runnel::tensor
