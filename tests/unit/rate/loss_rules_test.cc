#include "runtime/rate/loss_rules.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "runtime/base/rng.h"

namespace runnel::rate {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(Adaquantfl, LevelsGrowAsTheLossFalls) {
  const std::vector<double> none;
  EXPECT_EQ(adaquantfl_levels(none, 2, 1000), 2U);
  EXPECT_EQ(adaquantfl_levels(std::vector<double>{2.0}, 2, 1000), 2U);
  EXPECT_EQ(adaquantfl_levels(std::vector<double>{2.0, 0.5}, 2, 1000), 4U);
  EXPECT_EQ(adaquantfl_levels(std::vector<double>{2.0, 0.4}, 2, 1000), 5U);  // ceil(4.47)
  EXPECT_EQ(adaquantfl_levels(std::vector<double>{2.0, 8.0}, 2, 1000), 1U);
  EXPECT_EQ(adaquantfl_levels(std::vector<double>{2.0, 1e-9}, 2, 100), 100U);
  EXPECT_EQ(adaquantfl_levels(std::vector<double>{2.0, 0.0}, 2, 100), 100U);
  EXPECT_EQ(adaquantfl_levels(std::vector<double>{kNan, 2.0, 0.5, kNan}, 2, 1000), 4U);
}

TEST(Dadaquant, LevelsDoubleOnAPlateauAndNotBefore) {
  // 50 rounds: a patience of 5.
  std::vector<double> falling;
  for (int t = 0; t < 50; ++t) falling.push_back(std::exp(-0.1 * t));
  EXPECT_EQ(dadaquant_levels(falling, 50, 1, 64), 1U);

  std::vector<double> flat;
  EXPECT_EQ(dadaquant_levels(flat, 50, 1, 64), 1U);
  const uint32_t expected[] = {1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 8};
  for (const uint32_t levels : expected) {
    flat.push_back(1.0);
    EXPECT_EQ(dadaquant_levels(flat, 50, 1, 64), levels) << flat.size();
  }
  flat.resize(50, 1.0);
  EXPECT_EQ(dadaquant_levels(flat, 50, 1, 64), 64U);
  EXPECT_EQ(dadaquant_levels(flat, 50, 1, 5), 5U);
}

TEST(Dadaquant, TheRunningLossForgivesOneWorseRound) {
  std::vector<double> losses;
  for (int t = 0; t < 30; ++t) losses.push_back(1.0 - 0.02 * t);
  losses[12] += 0.1;
  EXPECT_EQ(dadaquant_levels(losses, 50, 1, 64), 1U);
}

TEST(Dadaquant, RatiosKeepTheWeightedError) {
  Rng rng(5);
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<double> weights(static_cast<size_t>(2 + rng.below(30)));
    double total = 0.0;
    for (double& weight : weights) total += weight = 0.01 + rng.gamma(0.7);
    for (double& weight : weights) weight /= total;
    constexpr double kLevels = 8.0;
    double same = 0.0;
    double shared = 0.0;
    double levels = 0.0;
    for (const double weight : weights) {
      const double own = kLevels * dadaquant_ratio(weights, weight);
      same += weight * weight / (kLevels * kLevels);
      shared += weight * weight / (own * own);
      levels += own;
    }
    EXPECT_NEAR(shared / same, 1.0, 1e-9);
    // And that for fewer levels in all, which is what it is for.
    EXPECT_LE(levels, kLevels * static_cast<double>(weights.size()) * (1.0 + 1e-12));
  }
  EXPECT_DOUBLE_EQ(dadaquant_ratio(std::vector<double>{0.25, 0.25, 0.25, 0.25}, 0.25), 1.0);
  EXPECT_DOUBLE_EQ(dadaquant_ratio(std::vector<double>{}, 0.25), 1.0);
}

}  // namespace
}  // namespace runnel::rate
