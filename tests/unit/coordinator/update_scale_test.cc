#include "coordinator/engine/update_scale.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace runnel::coordinator {
namespace {

TEST(UpdateScale, AFreshUnclippedUpdateIsLeftAlone) {
  FleetPlan plan;
  plan.policy.staleness_exponent = 3.0;
  EXPECT_EQ(update_scale(plan, 0, 1e9), 1.0F);
  plan.aggregation.clip_norm = 2.0;
  EXPECT_EQ(update_scale(plan, 0, 2.0), 1.0F);
  EXPECT_EQ(update_scale(plan, 0, 0.0), 1.0F);
}

TEST(UpdateScale, HalfAnExponentIsAnExactRoot) {
  for (const uint64_t behind : {1U, 2U, 3U, 8U, 99U, 1000U}) {
    EXPECT_EQ(staleness_factor(behind, 0.5), static_cast<float>(1.0 / std::sqrt(1.0 + static_cast<double>(behind))));
  }
  EXPECT_EQ(staleness_factor(3, 0.5), 0.5F);
  EXPECT_EQ(staleness_factor(3, 1.0), 0.25F);
  EXPECT_EQ(staleness_factor(3, 2.0), 0.0625F);
  EXPECT_EQ(staleness_factor(1000, 0.0), 1.0F);
}

TEST(UpdateScale, ClippingComesBeforeStaleness) {
  FleetPlan plan;
  plan.aggregation.clip_norm = 1.0;
  // The norm of 10 is brought to 1 and then halved; the other order would leave it at 1.
  EXPECT_FLOAT_EQ(update_scale(plan, 3, 10.0), 0.05F);
  EXPECT_FLOAT_EQ(update_scale(plan, 3, 0.5), 0.5F);
}

TEST(UpdateScale, StalerIsNeverMore) {
  for (const double exponent : {0.0, 0.1, 0.5, 1.0, 10.0}) {
    float last = 1.0F;
    for (uint64_t behind = 1; behind <= 1000; ++behind) {
      const float factor = staleness_factor(behind, exponent);
      ASSERT_LE(factor, last) << behind << " behind, exponent " << exponent;
      ASSERT_GT(factor, 0.0F);
      last = factor;
    }
  }
}

TEST(UpdateScale, WhatIsNotANumberStaysOneForTheSumsToRefuse) {
  FleetPlan plan;
  plan.aggregation.clip_norm = 1.0;
  EXPECT_EQ(update_scale(plan, 0, std::numeric_limits<double>::quiet_NaN()), 1.0F);
}

TEST(UpdateScale, AScaleOfOneDoesNotTouchAValue) {
  std::vector<float> values = {1.5F, -0.0F, std::numeric_limits<float>::denorm_min()};
  scale_update(values, 1.0F);
  EXPECT_TRUE(std::signbit(values[1]));
  EXPECT_EQ(values[2], std::numeric_limits<float>::denorm_min());
  scale_update(values, 0.5F);
  EXPECT_EQ(values[0], 0.75F);
}

}  // namespace
}  // namespace runnel::coordinator
