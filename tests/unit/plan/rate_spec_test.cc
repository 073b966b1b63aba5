#include "runtime/plan/rate_spec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "runtime/plan/round_plan.h"

namespace runnel::plan {
namespace {

TEST(RateSpecTest, TheDefaultIsValid) {
  EXPECT_TRUE(check(RateSpec{}).ok());
}

TEST(RateSpecTest, SaysWhichFieldIsOutOfRange) {
  const auto refused = [](auto change, Error error, const char* words) {
    RateSpec rate;
    change(rate);
    const Failure bad = check(rate);
    EXPECT_EQ(bad.error(), error) << words;
    EXPECT_EQ(std::string(bad.text()).rfind(words, 0), 0U) << bad.text();
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  refused([](RateSpec& r) { r.mode = static_cast<RateMode>(kRateModeCount); }, Error::kUnsupported, "rate mode 7");
  refused([](RateSpec& r) { r.late = static_cast<LatePolicy>(2); }, Error::kUnsupported, "policy 2");
  refused([](RateSpec& r) { r.contraction = 0.0F; }, Error::kOutOfRange, "contraction");
  refused([](RateSpec& r) { r.contraction = 1.01F; }, Error::kOutOfRange, "contraction");
  refused([&](RateSpec& r) { r.k = nan; }, Error::kNotFinite, "k must be");
  refused([](RateSpec& r) { r.k = -1.0F; }, Error::kOutOfRange, "k must be");
  refused([](RateSpec& r) { r.error_share = 1.0F; }, Error::kOutOfRange, "error_share");
  refused([](RateSpec& r) { r.mode = RateMode::kBudget; }, Error::kOutOfRange, "budget_bytes");
  refused([](RateSpec& r) { r.budget_bytes = (1ULL << 48) + 1; }, Error::kOutOfRange, "budget_bytes");
  refused([](RateSpec& r) { r.resolution = 0.0F; }, Error::kOutOfRange, "resolution");
  refused([&](RateSpec& r) { r.weight_ratio = nan; }, Error::kNotFinite, "weight_ratio");
  refused([](RateSpec& r) { r.step_ratio_max = 0.9F; }, Error::kOutOfRange, "step_ratio_max");
}

TEST(RateSpecTest, NamesAreThere) {
  EXPECT_STREQ(rate_mode_name(RateMode::kBudget), "budget");
  EXPECT_STREQ(rate_mode_name(RateMode::kKimad), "kimad");
  EXPECT_STREQ(rate_mode_name(static_cast<RateMode>(200)), "unknown");
  EXPECT_STREQ(schedule_name(Schedule::kExponential), "exponential");
  EXPECT_STREQ(schedule_name(static_cast<Schedule>(9)), "unknown");
}

TEST(LearningRate, GoesFromTheFirstRoundToTheLast) {
  TrainingSpec training;
  training.learning_rate = 0.1F;
  training.learning_rate_end = 0.001F;
  for (const Schedule schedule : {Schedule::kLinear, Schedule::kCosine, Schedule::kExponential}) {
    training.schedule = schedule;
    EXPECT_FLOAT_EQ(learning_rate_at(training, 1, 11), 0.1F) << schedule_name(schedule);
    EXPECT_FLOAT_EQ(learning_rate_at(training, 11, 11), 0.001F) << schedule_name(schedule);
    EXPECT_FLOAT_EQ(learning_rate_at(training, 1, 1), 0.1F) << schedule_name(schedule);
  }
  training.schedule = Schedule::kLinear;
  EXPECT_FLOAT_EQ(learning_rate_at(training, 6, 11), 0.0505F);
  training.schedule = Schedule::kCosine;
  EXPECT_FLOAT_EQ(learning_rate_at(training, 6, 11), 0.0505F);
  EXPECT_GT(learning_rate_at(training, 3, 11), 0.09F);
  training.schedule = Schedule::kExponential;
  EXPECT_FLOAT_EQ(learning_rate_at(training, 6, 11), 0.01F);
  training.schedule = Schedule::kConstant;
  EXPECT_FLOAT_EQ(learning_rate_at(training, 6, 11), 0.1F);
}

TEST(LearningRate, TheLastRoundTrainsToo) {
  TrainingSpec training;
  training.learning_rate = 0.1F;
  for (const Schedule schedule : {Schedule::kLinear, Schedule::kCosine}) {
    training.schedule = schedule;
    EXPECT_FLOAT_EQ(learning_rate_at(training, 11, 11), 0.0001F) << schedule_name(schedule);
    // What a device is told must be a plan that it takes.
    TrainingSpec least = training;
    least.learning_rate = 1e-9F;
    least.learning_rate = learning_rate_at(least, 11, 11);
    EXPECT_TRUE(check(least).ok()) << schedule_name(schedule);
  }
}

TEST(LearningRate, ClimbsToWhereTheScheduleBegins) {
  TrainingSpec training;
  training.learning_rate = 0.4F;
  training.learning_rate_end = 0.1F;
  training.schedule = Schedule::kLinear;
  training.warmup_rounds = 3;
  const float expected[] = {0.1F, 0.2F, 0.3F, 0.4F, 0.3F, 0.2F, 0.1F, 0.1F};
  for (uint32_t round = 1; round <= 8; ++round)
    EXPECT_FLOAT_EQ(learning_rate_at(training, round, 7), expected[round - 1]) << round;
  EXPECT_FLOAT_EQ(learning_rate_at(training, 2, 2), 0.2F) << "a run that ends within the warm-up";
  EXPECT_FLOAT_EQ(learning_rate_at(training, 4, 3), 0.4F);
  training.schedule = Schedule::kConstant;
  EXPECT_FLOAT_EQ(learning_rate_at(training, 1, 7), 0.1F);
  EXPECT_FLOAT_EQ(learning_rate_at(training, 5, 7), 0.4F);
}

TEST(LearningRate, AScheduleHasItsRange) {
  TrainingSpec training;
  training.schedule = Schedule::kExponential;
  EXPECT_EQ(check(training).error(), Error::kOutOfRange);
  training.learning_rate_end = 1e-3F;
  EXPECT_TRUE(check(training).ok());
  training.schedule = static_cast<Schedule>(kScheduleCount);
  EXPECT_EQ(check(training).error(), Error::kUnsupported);
}

}  // namespace
}  // namespace runnel::plan
