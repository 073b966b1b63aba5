#include "runtime/tensor/conv2d.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/tensor/kernels_reference.h"
#include "tests/unit/tensor/test_values.h"

namespace runnel::tensor {
namespace {

void check(const Conv2d& conv, size_t examples, Rng& rng) {
  const Window2d& window = conv.window;
  SCOPED_TRACE(describe(window) + " units " + std::to_string(conv.units) + " groups " + std::to_string(conv.groups) +
               " examples " + std::to_string(examples));
  const auto input = random_values(rng, examples * window.input_count());
  const auto weight = random_values(rng, conv.units * window.patch_count() / conv.groups);
  const auto bias = random_values(rng, conv.units);
  const auto output_gradient = random_values(rng, examples * conv.units * window.output_positions());
  std::vector<float> workspace(conv2d_workspace(conv), 77.0F);

  std::vector<float> expected(output_gradient.size());
  std::vector<float> actual(expected.size(), 77.0F);
  reference::conv2d_forward(conv, examples, input, weight, bias, expected);
  conv2d_forward(conv, examples, input, weight, bias, Activation::kNone, actual, workspace);
  expect_close(expected, actual, window.patch_count());
  for (float& value : expected) value = std::max(value, 0.0F);
  conv2d_forward(conv, examples, input, weight, bias, Activation::kRelu, actual, workspace);
  expect_close(expected, actual, window.patch_count());

  std::vector<float> expected_weight = random_values(rng, weight.size());  // gradients are added to what is there
  std::vector<float> expected_bias = random_values(rng, bias.size());
  std::vector<float> actual_weight = expected_weight;
  std::vector<float> actual_bias = expected_bias;
  std::vector<float> without_input = expected_weight;
  std::vector<float> expected_input(input.size());
  std::vector<float> actual_input(input.size(), 77.0F);
  reference::conv2d_backward(conv, examples, input, weight, output_gradient, expected_weight, expected_bias,
                             expected_input);
  conv2d_backward(conv, examples, input, weight, output_gradient, 1.0F, actual_weight, actual_bias, actual_input,
                  workspace);
  expect_close(expected_weight, actual_weight, examples * window.output_positions());
  expect_close(expected_bias, actual_bias, examples * window.output_positions());
  expect_close(expected_input, actual_input, conv.units * window.kernel_count());

  conv2d_backward(conv, examples, input, weight, output_gradient, 1.0F, without_input, actual_bias, {}, workspace);
  EXPECT_EQ(without_input, actual_weight) << "leaving out the input gradient changes nothing else";

  // Into the weights themselves: the input gradient is that of the weights before.
  std::vector<float> trained = weight;
  for (size_t index = 0; index < weight.size(); ++index) expected_weight[index] = weight[index];
  reference::conv2d_backward(conv, examples, input, weight, output_gradient, expected_weight, {}, {});
  for (size_t index = 0; index < weight.size(); ++index)
    expected_weight[index] = weight[index] - 0.125F * (expected_weight[index] - weight[index]);
  std::vector<float> again(input.size(), 77.0F);
  conv2d_backward(conv, examples, input, trained, output_gradient, -0.125F, trained, {}, again, workspace);
  expect_close(expected_weight, trained, examples * window.output_positions());
  EXPECT_EQ(again, actual_input);

  std::vector<float> unbiased(expected.size());
  reference::conv2d_forward(conv, examples, input, weight, {}, expected);
  conv2d_forward(conv, examples, input, weight, {}, Activation::kNone, unbiased, workspace);
  expect_close(expected, unbiased, window.patch_count());
}

TEST(Conv2d, AgreesWithTheReferenceOnRandomGeometries) {
  Rng rng(31);
  for (int trial = 0; trial < 300; ++trial) {
    check({random_window(rng, true), in_range(rng, 1, 9)}, in_range(rng, 1, 3), rng);
  }
}

TEST(Conv2d, AgreesWithTheReferenceOnCommonGeometries) {
  Rng rng(32);
  check({{1, 28, 28, 3, 3, 1, 1, 1, 1}, 8}, 2, rng);
  check({{8, 14, 14, 3, 3, 1, 1, 1, 1}, 16}, 2, rng);
  check({{3, 16, 16, 1, 1, 1, 1, 0, 0}, 5}, 2, rng);  // pointwise
  check({{2, 9, 9, 9, 9, 1, 1, 0, 0}, 4}, 3, rng);    // the kernel is the image
  check({{1, 1, 64, 1, 7, 1, 2, 0, 3}, 4}, 3, rng);   // a signal over time
  check({{2, 3, 3, 5, 5, 1, 1, 4, 4}, 2}, 1, rng);    // mostly padding
}

TEST(Conv2d, AgreesWithTheReferenceInGroups) {
  Rng rng(34);
  for (int trial = 0; trial < 150; ++trial) {
    Conv2d conv{random_window(rng, true), in_range(rng, 1, 4), in_range(rng, 1, 4)};
    conv.window.channels *= static_cast<uint32_t>(conv.groups);
    conv.units *= conv.groups;
    check(conv, in_range(rng, 1, 3), rng);
  }
  check({{24, 12, 12, 3, 3, 1, 1, 1, 1}, 24, 24}, 2, rng);  // depthwise
  check({{24, 12, 12, 3, 3, 2, 2, 1, 1}, 48, 24}, 2, rng);
  check({{32, 5, 6, 1, 1, 1, 1, 0, 0}, 64, 4}, 2, rng);  // pointwise
}

// Patches above the depth of one block, and more units than stand in one vector.
TEST(Conv2d, AgreesWithTheReferenceOnWideLayers) {
  Rng rng(35);
  check({{40, 9, 10, 3, 3, 1, 1, 1, 1}, 37}, 2, rng);
  check({{40, 13, 12, 3, 3, 2, 2, 1, 1}, 37}, 1, rng);
  check({{64, 6, 6, 3, 3, 1, 1, 1, 1}, 70}, 1, rng);
  check({{6, 1, 300, 1, 5, 1, 1, 0, 2}, 20}, 2, rng);
  check({{3, 33, 31, 7, 7, 2, 2, 3, 3}, 16}, 1, rng);
}

TEST(Conv2d, AgreesWithTheReferenceWhenAnImageTakesSeveralTiles) {
  Rng rng(33);
  const Conv2d conv{{8, 40, 40, 5, 5, 1, 1, 2, 2}, 3};  // 320,000 unfolded values
  check(conv, 2, rng);
  EXPECT_LT(conv2d_workspace(conv) * sizeof(float), 400'000U);
}

}  // namespace
}  // namespace runnel::tensor
