#include "runtime/tensor/dropout.h"

#include <gtest/gtest.h>

#include "tests/unit/tensor/test_values.h"

namespace runnel::tensor {
namespace {

TEST(Dropout, DropsItsShareAndScalesTheRest) {
  constexpr size_t kCount = 100000;
  const std::vector<float> ones(kCount, 1.0F);
  for (const float rate : {0.0F, 0.1F, 0.5F, 0.9F}) {
    std::vector<float> output(kCount);
    dropout(rate, 17, 0, ones, output);
    size_t dropped = 0;
    for (const float value : output) {
      ASSERT_TRUE(value == 0.0F || value == 1.0F / (1.0F - rate));
      dropped += value == 0.0F ? 1 : 0;
    }
    const double expected = static_cast<double>(rate) * kCount;
    EXPECT_NEAR(static_cast<double>(dropped), expected, 5.0 * std::sqrt(expected * (1.0 - static_cast<double>(rate))));
  }
}

TEST(Dropout, SlicesDropWhatTheWholeDrops) {
  Rng rng(5);
  const std::vector<float> input = random_values(rng, 333);
  std::vector<float> whole(333);
  dropout(0.3F, 99, 1000, input, whole);
  for (const size_t cut : {1U, 16U, 100U, 332U}) {
    std::vector<float> parts = input;
    const std::span<float> all(parts);
    dropout(0.3F, 99, 1000, all.first(cut), all.first(cut));  // in place
    dropout(0.3F, 99, static_cast<uint32_t>(1000 + cut), all.subspan(cut), all.subspan(cut));
    EXPECT_EQ(parts, whole);
  }
}

TEST(Dropout, KeysDiffer) {
  const std::vector<float> ones(64, 1.0F);
  std::vector<float> first(64);
  std::vector<float> second(64);
  dropout(0.5F, 1, 0, ones, first);
  dropout(0.5F, 2, 0, ones, second);
  EXPECT_NE(first, second);
}

}  // namespace
}  // namespace runnel::tensor
