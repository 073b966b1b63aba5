// Whole runs with real encoding: what a device spends is what its budget says, however its updates grow or shrink.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "tests/unit/rate/updates.h"

namespace runnel::rate {
namespace {

constexpr uint32_t kCoordinates = 8000;
using NormAt = std::function<double(uint32_t round)>;

struct Pattern {
  const char* name;
  NormAt norm_at;
};

const Pattern kPatterns[] = {
    {"level", [](uint32_t) { return 2.0; }},
    {"falls", [](uint32_t round) { return 3.0 * std::pow(0.93, round); }},
    {"rises", [](uint32_t round) { return 0.1 * std::pow(1.05, round); }},
    {"jumps", [](uint32_t round) { return round % 7 == 3 ? 8.0 : 1.0; }},
    {"drops", [](uint32_t round) { return round < 20 ? 4.0 : 0.3; }},
};

plan::RoundPlan budget_plan(plan::CodecId codec, uint32_t rounds, double bits) {
  plan::RoundPlan plan;
  plan.run = 5;
  plan.rounds = rounds;
  plan.codec.codec = codec;
  plan.rate.mode = plan::RateMode::kBudget;
  plan.rate.contraction = 0.96F;
  plan.rate.budget_bytes = static_cast<uint64_t>(rounds * (300.0 + bits * kCoordinates / 8.0));
  return plan;
}

struct Spent {
  double share = 0.0;  // of the budget
  RateHistory history;
  std::vector<double> steps;
};

// `limits_at` says what the link grants in a round.
Spent run(
    plan::RoundPlan plan, bool heavy, const NormAt& norm_at,
    const std::function<LinkLimits(uint32_t)>& limits_at = [](uint32_t) { return LinkLimits{}; }) {
  const plan::ModelLayout layout = network_layout(kCoordinates);
  Spent spent;
  for (plan.round = 1; plan.round <= plan.rounds; ++plan.round) {
    plan.seed = plan.round;
    const std::vector<float> update = update_of(layout, heavy, norm_at(plan.round), plan.round);
    const LinkLimits limits = limits_at(plan.round);
    const Decided decided = decide_on(plan, layout, update, spent.history, limits);
    EXPECT_TRUE(decided.failure.ok()) << decided.failure.text();
    if (!decided.failure.ok()) return spent;
    const Sent sent = send(decided.decision, layout, update, plan.seed);
    if (decided.decision.fits()) {
      EXPECT_LE(sent.message_bytes, limits.bytes_max);
    }
    const uint64_t bytes = decided.decision.fits() ? static_cast<uint64_t>(sent.message_bytes) : 0;
    spent.history.add(plan.run, plan.round, decided.decision.norm, bytes, sent.overhead_bytes);
    spent.steps.push_back(decided.decision.step);
  }
  spent.share = static_cast<double>(spent.history.bytes_spent) / static_cast<double>(plan.rate.budget_bytes);
  return spent;
}

TEST(RateBudget, IsMetWhateverTheNorms) {
  for (const Pattern& pattern : kPatterns) {
    for (const double bits : {0.5, 2.0}) {
      const Spent spent = run(budget_plan(plan::CodecId::kDithered, 40, bits), bits < 1.0, pattern.norm_at);
      EXPECT_NEAR(spent.share, 1.0, 0.02) << pattern.name << " " << bits;
    }
  }
}

TEST(RateBudget, IsMetByTheOtherStepsToo) {
  for (const plan::CodecId codec : {plan::CodecId::kDeadzone, plan::CodecId::kTrellis}) {
    plan::RoundPlan plan = budget_plan(codec, 30, 1.0);
    plan.codec.rotate = true;
    EXPECT_NEAR(run(plan, true, kPatterns[1].norm_at).share, 1.0, 0.02) << plan::codec_name(codec);
  }
  plan::RoundPlan sampled = budget_plan(plan::CodecId::kDithered, 30, 0.2);
  sampled.codec.keep = 0.2F;
  EXPECT_NEAR(run(sampled, false, kPatterns[1].norm_at).share, 1.0, 0.02);
}

// What earlier updates lost is in the next one: the norm follows the steps, and the steps must not follow it back.
TEST(RateBudget, WithErrorFeedbackRoundsAreAlikeAndTheBudgetIsMet) {
  plan::RoundPlan plan = budget_plan(plan::CodecId::kDeadzone, 30, 0.2);
  plan.codec.error_feedback = true;
  const plan::ModelLayout layout = network_layout(kCoordinates);
  std::vector<float> residual(layout.parameter_count, 0.0F);
  RateHistory history;
  for (plan.round = 1; plan.round <= plan.rounds; ++plan.round) {
    plan.seed = plan.round;
    std::vector<float> update = update_of(layout, true, 3.0 * std::pow(0.95, plan.round), plan.round);
    for (size_t i = 0; i < update.size(); ++i) update[i] += residual[i];
    const Decided decided = decide_on(plan, layout, update, history);
    ASSERT_TRUE(decided.failure.ok()) << decided.failure.text();
    const Sent sent = send(decided.decision, layout, update, plan.seed);
    std::vector<uint8_t> payloads(codec::encoded_update_bytes_max(decided.decision.codec, layout));
    std::vector<float> scratch(codec::encode_update_scratch_count(decided.decision.codec, layout));
    codec::EncodedTensors tensors;
    ASSERT_TRUE(
        codec::encode_update(decided.decision.codec, layout, update, plan.seed, payloads, tensors, scratch).ok());
    ASSERT_TRUE(codec::decode_update(layout, {tensors.begin(), tensors.size()}, residual).ok());
    for (size_t i = 0; i < update.size(); ++i) residual[i] = update[i] - residual[i];
    const double even = static_cast<double>(plan.rate.budget_bytes) / plan.rounds;
    EXPECT_GT(sent.message_bytes, 0.7 * even) << plan.round;
    EXPECT_LT(sent.message_bytes, 1.3 * even) << plan.round;
    history.add(plan.run, plan.round, decided.decision.norm, static_cast<uint64_t>(sent.message_bytes),
                sent.overhead_bytes);
  }
  EXPECT_NEAR(static_cast<double>(history.bytes_spent) / static_cast<double>(plan.rate.budget_bytes), 1.0, 0.02);
}

TEST(RateBudget, IsMetWhenADeadlineBindsInSomeRounds) {
  const auto limits_at = [](uint32_t round) {
    LinkLimits limits;
    limits.overhead_bytes = 40.0;
    if (round % 4 == 0) limits.bytes_max = 900.0;
    if (round % 10 == 5) limits.bytes_max = 60.0;  // not even the coarsest
    return limits;
  };
  const Spent spent = run(budget_plan(plan::CodecId::kDithered, 50, 1.5), false, kPatterns[1].norm_at, limits_at);
  EXPECT_NEAR(spent.share, 1.0, 0.02);
}

TEST(RateBudget, OneRoundTakesWhatIsThere) {
  const Spent spent = run(budget_plan(plan::CodecId::kDithered, 1, 1.0), false, kPatterns[0].norm_at);
  EXPECT_NEAR(spent.share, 1.0, 0.03);
}

TEST(RateBudget, StepsFollowTheContraction) {
  const Spent spent = run(budget_plan(plan::CodecId::kDithered, 40, 2.0), false, kPatterns[0].norm_at);
  // Delta falls by sqrt(0.96) a round.
  for (size_t t = 5; t + 5 < spent.steps.size(); t += 5) {
    EXPECT_NEAR(spent.steps[t + 5] / spent.steps[t], std::pow(0.96, 2.5), 0.04) << t;
  }
}

TEST(RateBudget, OfLevelsIsNotOverdrawnAndUsedUp) {
  for (const Pattern& pattern : kPatterns) {
    plan::RoundPlan plan = budget_plan(plan::CodecId::kQsgd, 30, 4.0);
    plan.codec.coder = plan::Coder::kFixed;
    const Spent spent = run(plan, false, pattern.norm_at);
    EXPECT_LE(spent.share, 1.02) << pattern.name;
    EXPECT_GE(spent.share, 0.85) << pattern.name;
  }
}

TEST(RateBudget, OnceUsedUpTheCoarsestIsSentAndSaid) {
  plan::RoundPlan plan = budget_plan(plan::CodecId::kDithered, 40, 1.0);
  plan.round = 20;
  const plan::ModelLayout layout = network_layout(kCoordinates);
  const std::vector<float> update = update_of(layout, false, 1.0, 3);
  RateHistory history;
  history.add(plan.run, 19, 1.0, plan.rate.budget_bytes + 1000, 250.0);
  const RateDecision decision = decide_on(plan, layout, update, history).decision;
  EXPECT_EQ(decision.bound, RateBound::kRule);
  EXPECT_DOUBLE_EQ(decision.budget_bytes, 0.0);
  EXPECT_NEAR(decision.step, 32.0 / std::sqrt(double{kCoordinates}), 0.01);
  EXPECT_GT(decision.predicted_bytes, 250.0);
  EXPECT_LT(decision.predicted_bytes, 250.0 + 0.12 * kCoordinates / 8.0);
  // What another run spent is not this one's.
  history.run = plan.run + 1;
  EXPECT_LT(decide_on(plan, layout, update, history).decision.step, 0.2 * decision.step);
}

}  // namespace
}  // namespace runnel::rate
