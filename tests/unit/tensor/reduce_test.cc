#include "runtime/tensor/reduce.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/tensor/test_values.h"

namespace runnel::tensor {
namespace {

TEST(Sum, AgreesWithASumInDouble) {
  Rng rng(61);
  for (size_t count = 0; count < 70; ++count) {
    const std::vector<float> values = random_values(rng, count);
    double expected = 0.0;
    for (const float value : values) expected += value;
    EXPECT_NEAR(sum(values), expected, 1e-5);
  }
}

TEST(AllFinite, FindsABadValueAnywhere) {
  using Limits = std::numeric_limits<float>;
  for (size_t count = 0; count < 140; ++count) {
    std::vector<float> values(count, Limits::max());
    EXPECT_TRUE(all_finite(values));
    for (size_t index = 0; index < count; ++index) {
      for (const float bad : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), -Limits::quiet_NaN()}) {
        values[index] = bad;
        EXPECT_FALSE(all_finite(values));
      }
      values[index] = Limits::denorm_min();
    }
  }
}

}  // namespace
}  // namespace runnel::tensor
