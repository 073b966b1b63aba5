#include "coordinator/engine/rate_planner.h"

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/rate/dq_schedule.h"

namespace runnel::coordinator {
namespace {

constexpr uint64_t kCoordinates = 10000;

FleetPlan plan_of(plan::RateMode mode) {
  FleetPlan plan;
  plan.rounds = 40;
  plan.rate.mode = mode;
  plan.rate.error_share = 0.1F;
  return plan;
}

RoundResult closed(uint32_t round, double loss, double update_energy, double mean_energy) {
  RoundResult result;
  result.round = round;
  result.mean_loss = loss;
  result.update_energy = update_energy;
  result.mean_energy = mean_energy;
  return result;
}

plan::RoundPlan planned(const RatePlanner& planner, uint32_t round, const std::string& device = "d") {
  plan::RoundPlan plan;
  plan.round = round;
  plan.rounds = 40;
  planner.fill(device, plan);
  return plan;
}

TEST(RatePlannerTest, TheDevicesFindKBeforeAnyRoundIsClosed) {
  const RatePlanner planner(plan_of(plan::RateMode::kError), kCoordinates, {});
  const plan::RoundPlan plan = planned(planner, 1);
  EXPECT_EQ(plan.rate.k, 0.0F);
  EXPECT_EQ(plan.rate.mode, plan::RateMode::kError);
  EXPECT_FLOAT_EQ(plan.rate.contraction, std::exp(-2.0F / 40.0F));
}

// With the same spread every round, the steps that follow from k cost exactly the share of the noise that was granted.
TEST(RatePlannerTest, QuantizationTakesItsShareOfTheNoise) {
  const FleetPlan fleet = plan_of(plan::RateMode::kError);
  RatePlanner planner(fleet, kCoordinates, {});
  for (uint32_t round = 1; round <= 5; ++round) planner.handle_closed(closed(round, 1.0, 5.0, 1.0));
  const double k = static_cast<double>(planned(planner, 6).rate.k);
  ASSERT_GT(k, 0.0);
  const rate::Horizon horizon{fleet.rounds, static_cast<double>(contraction_of(fleet)), {}, false};
  double quantization = 0.0, noise = 0.0;
  for (uint32_t t = 0; t < fleet.rounds; ++t) {
    const double weight = std::exp(rate::log_weight(horizon, t));
    const double step = 1.0 / (k * std::sqrt(weight));
    quantization += weight * static_cast<double>(kCoordinates) * step * step / 12.0;
    noise += weight * 4.0;
  }
  EXPECT_NEAR(quantization / noise, 0.1, 1e-5);
}

// One device agrees with itself. Its updates need not be exact for that.
TEST(RatePlannerTest, AFleetOfOneIsGrantedATenthOfItsUpdatesAsNoise) {
  RatePlanner alone(plan_of(plan::RateMode::kError), kCoordinates, {});
  RatePlanner agreeing(plan_of(plan::RateMode::kError), kCoordinates, {});
  for (uint32_t round = 1; round <= 5; ++round) {
    alone.handle_closed(closed(round, 1.0, 5.0, 5.0));
    agreeing.handle_closed(closed(round, 1.0, 5.0, 4.5));
  }
  EXPECT_FLOAT_EQ(planned(alone, 6).rate.k, planned(agreeing, 6).rate.k);
  EXPECT_GT(planned(alone, 6).rate.k, 0.0F);
}

// A learning rate that falls makes later errors count more, relative to what they would: what contracts less is kept
// longer.
TEST(RatePlannerTest, TheLearningRatesScheduleEntersTheWeights) {
  FleetPlan fleet = plan_of(plan::RateMode::kError);
  fleet.horizon = 3.0;
  fleet.training.schedule = plan::Schedule::kExponential;
  fleet.training.learning_rate = 0.1F;
  fleet.training.learning_rate_end = 0.001F;
  RatePlanner planner(fleet, kCoordinates, {});
  for (uint32_t round = 1; round <= 5; ++round) planner.handle_closed(closed(round, 1.0, 5.0, 1.0));
  const double k = static_cast<double>(planned(planner, 6).rate.k);
  std::vector<double> rates;
  for (uint32_t round = 1; round <= fleet.rounds; ++round)
    rates.push_back(static_cast<double>(plan::learning_rate_at(fleet.training, round, fleet.rounds)));
  const rate::Horizon horizon{fleet.rounds, static_cast<double>(contraction_of(fleet)), rates, false};
  double quantization = 0.0, noise = 0.0;
  for (uint32_t t = 0; t < fleet.rounds; ++t) {
    const double weight = std::exp(rate::log_weight(horizon, t));
    const double step = 1.0 / (k * std::sqrt(weight));
    quantization += weight * static_cast<double>(kCoordinates) * step * step / 12.0;
    noise += weight * (t < 5 ? 4.0 : 4.0 * std::pow(rates[t] / rates[5], 2));
  }
  EXPECT_NEAR(quantization / noise, 0.1, 1e-4);
}

TEST(RatePlannerTest, ARestartPlansTheSame) {
  const FleetPlan fleet = plan_of(plan::RateMode::kError);
  RatePlanner planner(fleet, kCoordinates, {});
  std::vector<RoundHistory> history;
  for (uint32_t round = 1; round <= 7; ++round) {
    RoundHistory entry;
    entry.result = closed(round, 2.0 / round, 3.0 + round, 1.0);
    history.push_back(entry);
    planner.handle_closed(entry.result);
  }
  const RatePlanner again(fleet, kCoordinates, history);
  EXPECT_EQ(planned(planner, 8).rate.k, planned(again, 8).rate.k);
}

TEST(RatePlannerTest, RoundsWithoutFiguresAreNoNoise) {
  RatePlanner planner(plan_of(plan::RateMode::kError), kCoordinates, {});
  planner.handle_closed(closed(1, 1.0, std::nan(""), std::nan("")));
  EXPECT_EQ(planned(planner, 2).rate.k, 0.0F);
}

TEST(RatePlannerTest, AdaQuantFlRefinesAsTheLossFalls) {
  FleetPlan fleet = plan_of(plan::RateMode::kAdaquantfl);
  fleet.codec.codec = plan::CodecId::kQsgd;
  fleet.codec.levels = 127;
  RatePlanner planner(fleet, kCoordinates, {});
  EXPECT_EQ(planned(planner, 1).codec.levels, 2U);
  planner.handle_closed(closed(1, 2.0, 1.0, 0.5));
  planner.handle_closed(closed(2, 0.5, 1.0, 0.5));
  EXPECT_EQ(planned(planner, 3).codec.levels, 4U);  // ceil(2 sqrt(2 / 0.5))
}

TEST(RatePlannerTest, DAdaQuantGivesHeavyDevicesMoreLevels) {
  FleetPlan fleet = plan_of(plan::RateMode::kDadaquant);
  fleet.codec.codec = plan::CodecId::kQsgd;
  fleet.codec.levels = 127;
  RatePlanner planner(fleet, kCoordinates, {});
  planner.handle_accepted("small", 10);
  planner.handle_accepted("large", 1000);
  EXPECT_GT(planned(planner, 2, "large").rate.weight_ratio, planned(planner, 2, "small").rate.weight_ratio);
  EXPECT_EQ(planned(planner, 2, "unknown").rate.weight_ratio, 1.0F);
}

}  // namespace
}  // namespace runnel::coordinator
