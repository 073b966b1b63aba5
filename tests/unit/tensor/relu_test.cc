#include "runtime/tensor/relu.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/tensor/test_values.h"

namespace runnel::tensor {
namespace {

TEST(Relu, KeepsWhatIsPositive) {
  Rng rng(51);
  for (size_t count = 0; count < 40; ++count) {
    const std::vector<float> before = random_values(rng, count);
    std::vector<float> after = before;
    relu_forward(after);
    for (size_t index = 0; index < count; ++index) EXPECT_EQ(after[index], before[index] > 0.0F ? before[index] : 0.0F);
    const std::vector<float> above = random_values(rng, count);
    std::vector<float> gradient = above;
    relu_backward(after, gradient);
    for (size_t index = 0; index < count; ++index)
      EXPECT_EQ(gradient[index], before[index] > 0.0F ? above[index] : 0.0F);
  }
}

TEST(Relu, DoesNotHideNan) {
  std::vector<float> values(9, std::numeric_limits<float>::quiet_NaN());
  relu_forward(values);
  for (const float value : values) EXPECT_TRUE(std::isnan(value));
}

}  // namespace
}  // namespace runnel::tensor
