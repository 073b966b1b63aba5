#include "runtime/train/loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "runtime/base/rng.h"

namespace runnel::train {
namespace {

TEST(ExpNonpositive, AgreesWithTheLibrary) {
  for (int index = 0; index <= 70000; ++index) {
    const double x = -0.01 * index;
    const double expected = std::exp(x);
    ASSERT_NEAR(exp_nonpositive(x), expected, 2e-15 * expected) << x;
  }
  EXPECT_EQ(exp_nonpositive(0.0), 1.0);
  EXPECT_EQ(exp_nonpositive(-701.0), 0.0);
  EXPECT_EQ(exp_nonpositive(-HUGE_VAL), 0.0);
  EXPECT_TRUE(std::isnan(exp_nonpositive(std::nan(""))));
}

TEST(SoftmaxCrossEntropy, OfTwoEqualLogitsIsLnTwo) {
  std::vector<float> gradient(2);
  const BatchLoss loss = softmax_cross_entropy(std::vector<float>{3, 3}, std::vector<uint32_t>{1}, 2, gradient);
  EXPECT_NEAR(loss.sum, std::log(2.0), 1e-15);
  EXPECT_EQ(loss.correct, 0U) << "a tie goes to the first class";
  EXPECT_EQ(gradient, (std::vector<float>{0.5F, -0.5F}));
}

TEST(SoftmaxCrossEntropy, GradientAgreesWithFiniteDifferences) {
  Rng rng(1);
  constexpr uint32_t kClasses = 5;
  const std::vector<uint32_t> labels{0, 4, 2};
  std::vector<float> logits(labels.size() * kClasses);
  for (float& value : logits) value = static_cast<float>(3.0 * rng.normal());
  std::vector<float> gradient(logits.size());
  (void)softmax_cross_entropy(logits, labels, kClasses, gradient);
  for (size_t index = 0; index < logits.size(); ++index) {
    const float step = 0x1.0p-10F;
    std::vector<float> moved = logits;
    moved[index] = logits[index] + step;
    const float up = moved[index];
    const double above = softmax_cross_entropy(moved, labels, kClasses, {}).sum;
    moved[index] = logits[index] - step;
    const double below = softmax_cross_entropy(moved, labels, kClasses, {}).sum;
    const double difference = static_cast<double>(up) - static_cast<double>(moved[index]);
    EXPECT_NEAR(gradient[index], (above - below) / difference / 3.0, 1e-6);
  }
}

TEST(SoftmaxCrossEntropy, StaysFiniteForExtremeLogits) {
  std::vector<float> gradient(3);
  const BatchLoss loss =
      softmax_cross_entropy(std::vector<float>{1e30F, -1e30F, 0.0F}, std::vector<uint32_t>{1}, 3, gradient);
  EXPECT_NEAR(loss.sum, 2e30, 1e24);
  EXPECT_EQ(gradient, (std::vector<float>{1, -1, 0}));
}

TEST(SoftmaxCrossEntropy, ShowsLogitsThatAreNotFinite) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<std::vector<float>> rows{{nan, 0, 0},      {0, nan, 0},       {0, 0, nan},
                                             {infinity, 0, 0}, {0, 0, -infinity}, {-infinity, -infinity, -infinity}};
  for (const std::vector<float>& logits : rows) {
    EXPECT_FALSE(std::isfinite(softmax_cross_entropy(logits, std::vector<uint32_t>{2}, 3, {}).sum));
  }
}

TEST(SoftmaxCrossEntropy, CountsWhatIsRight) {
  const std::vector<float> logits{1, 2, 3,  //
                                  3, 2, 1,  //
                                  1, 3, 2};
  EXPECT_EQ(softmax_cross_entropy(logits, std::vector<uint32_t>{2, 0, 1}, 3, {}).correct, 3U);
  EXPECT_EQ(softmax_cross_entropy(logits, std::vector<uint32_t>{2, 1, 0}, 3, {}).correct, 1U);
}

}  // namespace
}  // namespace runnel::train
