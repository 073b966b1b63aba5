// What decide() makes of each rule and of a deadline, and how true its predictions are.
#include "runtime/rate/rate_controller.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "runtime/rate/dq_schedule.h"
#include "tests/unit/rate/updates.h"

namespace runnel::rate {
namespace {

using plan::CodecId;
using plan::RateMode;

plan::RoundPlan plan_of(CodecId codec, RateMode mode, uint32_t round = 10, uint32_t rounds = 40) {
  plan::RoundPlan plan;
  plan.run = 5;
  plan.round = round;
  plan.rounds = rounds;
  plan.seed = 99;
  plan.codec.codec = codec;
  plan.rate.mode = mode;
  return plan;
}

class RateController : public testing::Test {
 protected:
  const plan::ModelLayout layout_ = network_layout(20000);
  const std::vector<float> update_ = update_of(layout_, true, 2.0, 1);
  const double rms_ = 2.0 / std::sqrt(20000.0);

  RateDecision decide(const plan::RoundPlan& plan, const LinkLimits& limits = {}) const {
    const Decided decided = decide_on(plan, layout_, update_, {}, limits);
    EXPECT_TRUE(decided.failure.ok()) << decided.failure.text();
    return decided.decision;
  }
  static LinkLimits within(double bytes) {
    LinkLimits limits;
    limits.bytes_max = bytes;
    limits.overhead_bytes = 50.0;
    return limits;
  }
};

TEST_F(RateController, PredictsTheMessageWithinAPercent) {
  for (const uint32_t count : {5000U, 30000U, 200000U}) {
    const plan::ModelLayout layout = network_layout(count);
    for (const bool heavy : {false, true}) {
      const std::vector<float> update = update_of(layout, heavy, 1.7, count);
      for (const CodecId codec : {CodecId::kDithered, CodecId::kDeadzone}) {
        RateHistory history;
        for (const double bits : {0.1, 0.4, 1.0, 2.0, 4.0}) {
          plan::RoundPlan plan = plan_of(codec, RateMode::kFixed);
          plan.codec.bits = static_cast<float>(bits);
          const RateDecision decision = decide_on(plan, layout, update, history).decision;
          const Sent sent = send(decision, layout, update, plan.seed);
          const bool first = history.round == 0;
          // Alignment alone moves a message by some bytes.
          EXPECT_NEAR(decision.predicted_bytes, sent.message_bytes, 0.01 * sent.message_bytes + (first ? 40.0 : 6.0))
              << plan::codec_name(codec) << " " << count << " " << bits;
          history.add(plan.run, 1, decision.norm, static_cast<uint64_t>(sent.message_bytes), sent.overhead_bytes);
        }
      }
    }
  }
}

TEST_F(RateController, FixedKeepsTheCodecAndSaysItsStep) {
  plan::RoundPlan plan = plan_of(CodecId::kDithered, RateMode::kFixed);
  plan.codec.step = 0.01F;
  EXPECT_FLOAT_EQ(decide(plan).codec.step, 0.01F);
  plan.codec.step = 0.0F;
  plan.codec.bits = 1.5F;
  const RateDecision found = decide(plan);
  EXPECT_GT(found.step, 0.0);
  EXPECT_NEAR(found.predicted_bytes, 1.5 * 20000 / 8 + 193.0, 0.03 * 3750.0);
  EXPECT_NEAR(found.levels, found.norm / found.step, 1e-6);
  EXPECT_NEAR(found.norm, 2.0, 1e-5);
  EXPECT_EQ(found.bound, RateBound::kRule);

  plan::RoundPlan levels = plan_of(CodecId::kQsgd, RateMode::kFixed);
  levels.codec.levels = 11;
  EXPECT_EQ(decide(levels).codec.levels, 11U);
  EXPECT_NEAR(decide(levels).predicted_bytes, send(decide(levels), layout_, update_, 99).message_bytes, 400.0);
}

TEST_F(RateController, ErrorWithAKIsTheSchedule) {
  plan::RoundPlan plan = plan_of(CodecId::kDithered, RateMode::kError);
  plan.rate.contraction = 0.9F;
  plan.rate.k = 50.0F;
  const double weight = std::pow(0.9, 30);  // rounds 11..40
  EXPECT_NEAR(decide(plan).step, 1.0 / (50.0 * std::sqrt(weight)), 1e-5);

  plan::RoundPlan levels = plan_of(CodecId::kQsgd, RateMode::kError);
  levels.rate.contraction = 0.9F;
  levels.rate.k = 50.0F;
  const RateDecision decision = decide(levels);
  EXPECT_NEAR(decision.levels, 50.0 * std::sqrt(weight) * 2.0, 1e-4);
  EXPECT_EQ(decision.codec.levels, static_cast<uint32_t>(std::ceil(decision.levels)));
}

// Without a history all norms are this one, so every round's share of the error is the same.
TEST_F(RateController, ErrorWithoutAKGrantsItsShare) {
  for (const CodecId codec : {CodecId::kDithered, CodecId::kDeadzone}) {
    plan::RoundPlan plan = plan_of(codec, RateMode::kError);
    plan.rate.error_share = 0.2F;
    EXPECT_NEAR(decide(plan).step, std::sqrt(12.0 * 0.25) * rms_, 1e-4 * rms_) << plan::codec_name(codec);
  }
  plan::RoundPlan plan = plan_of(CodecId::kDithered, RateMode::kError);
  plan.rate.error_share = 0.1F;
  plan.rate.contraction = 0.93F;
  double granted = 0.0;
  for (uint32_t t = 0; t < 40; ++t) granted += std::pow(0.93, 39 - t) * 4.0 * 0.1 / 0.9;
  double caused = 0.0;
  for (plan.round = 1; plan.round <= 40; ++plan.round) {
    const double step = decide(plan).step;
    caused += std::pow(0.93, 40 - plan.round) * 20000.0 * step * step / 12.0;
  }
  EXPECT_NEAR(caused / granted, 1.0, 1e-3);

  plan::RoundPlan levels = plan_of(CodecId::kQsgd, RateMode::kError);
  levels.rate.error_share = 0.2F;
  const RateDecision decision = decide(levels);
  EXPECT_NEAR(decision.levels, std::sqrt(128.0 / (4.0 * 0.25)), 0.7);
  const Sent sent = send(decision, layout_, update_, 99);
  EXPECT_LE(sent.error, 0.25 * 4.0) << "q is a bound";
}

TEST_F(RateController, LongRunsAreGroupedWithoutLoss) {
  plan::RoundPlan plan = plan_of(CodecId::kDithered, RateMode::kError, 2500, 5000);
  plan.rate.contraction = 0.999F;
  plan.rate.error_share = 0.2F;
  const double a = static_cast<double>(0.999F);
  const double sum = (1.0 - std::pow(a, 5000)) / (1.0 - a);
  const double step_end = std::sqrt(12.0 * 0.25 * sum * 4.0 / (5000.0 * 20000.0));
  EXPECT_NEAR(decide(plan).step / (step_end / std::sqrt(std::pow(a, 2500))), 1.0, 0.01);
}

TEST_F(RateController, FeddqBitsFallWithTheUpdate) {
  plan::RoundPlan plan = plan_of(CodecId::kQsgdInf, RateMode::kFeddq);
  plan.rate.resolution = 0.005F;
  uint32_t last = UINT32_MAX;
  for (const double norm : {64.0, 16.0, 4.0, 1.0, 0.1, 0.01}) {
    const std::vector<float> update = update_of(layout_, true, norm, 1);
    const auto [least, most] = std::minmax_element(update.begin(), update.end());
    const double bits = std::ceil(std::log2((*most - *least) / 0.005F));
    const RateDecision decision = decide_on(plan, layout_, update).decision;
    EXPECT_EQ(decision.codec.levels, static_cast<uint32_t>(std::exp2(std::max(2.0, bits) - 1.0)) - 1) << norm;
    EXPECT_LE(decision.codec.levels, last);
    last = decision.codec.levels;
  }
  EXPECT_EQ(last, 1U);
  plan.codec.codec = CodecId::kDithered;
  EXPECT_FLOAT_EQ(decide(plan).codec.step, 0.005F);
}

TEST_F(RateController, TheRivalsLevelsAreThePlansTimesTheDevicesShare) {
  for (const RateMode mode : {RateMode::kAdaquantfl, RateMode::kDadaquant}) {
    plan::RoundPlan plan = plan_of(CodecId::kQsgd, mode);
    plan.codec.levels = 8;
    EXPECT_EQ(decide(plan).codec.levels, 8U);
    plan.rate.weight_ratio = 1.44F;
    EXPECT_EQ(decide(plan).codec.levels, 12U);
    plan.rate.weight_ratio = 0.01F;
    EXPECT_EQ(decide(plan).codec.levels, 1U);
    plan.rate.weight_ratio = 1e6F;
    EXPECT_EQ(decide(plan).codec.levels, 32767U);
    plan.codec.codec = CodecId::kDithered;
    plan.rate.weight_ratio = 2.0F;
    EXPECT_NEAR(decide(plan).step, 2.0 / 16.0, 1e-5);
  }
}

TEST_F(RateController, KimadTakesWhatItsPartOfTheRoundCarries) {
  LinkLimits limits;
  limits.overhead_bytes = 100.0;
  for (const CodecId codec : {CodecId::kDithered, CodecId::kQsgd, CodecId::kEden}) {
    plan::RoundPlan plan = plan_of(codec, RateMode::kKimad);
    for (const double bytes : {7000.0, 12000.0}) {
      limits.round_bytes = bytes;
      const RateDecision decision = decide(plan, limits);
      EXPECT_LE(decision.predicted_bytes, bytes - 100.0) << plan::codec_name(codec);
      const bool widest = codec == CodecId::kEden && decision.codec.bits >= 3.99F;
      if (!widest) {
        EXPECT_GE(decision.predicted_bytes, 0.85 * bytes - 100.0) << plan::codec_name(codec);
      }
      EXPECT_DOUBLE_EQ(decision.budget_bytes, bytes - 100.0);
    }
    limits.round_bytes = kUnlimited;
    EXPECT_FLOAT_EQ(decide(plan, limits).codec.bits, plan.codec.bits);
    EXPECT_EQ(decide(plan, limits).codec.levels, plan.codec.levels);
  }
}

TEST_F(RateController, SavingTimeMovesStepsWithTheLink) {
  plan::RoundPlan plan = plan_of(CodecId::kDithered, RateMode::kFixed);
  plan.codec.step = 0.01F;
  plan.rate.save_time = true;
  LinkLimits limits;
  limits.bandwidth_mean = 1000.0;
  EXPECT_FLOAT_EQ(decide(plan, limits).codec.step, 0.01F) << "nothing is known of the link";
  limits.goodput.bytes_per_second = 4000.0;
  EXPECT_FLOAT_EQ(decide(plan, limits).codec.step, 0.005F);
  limits.goodput.bytes_per_second = 250.0;
  EXPECT_FLOAT_EQ(decide(plan, limits).codec.step, 0.02F);
  plan.rate.save_time = false;
  EXPECT_FLOAT_EQ(decide(plan, limits).codec.step, 0.01F);
}

TEST_F(RateController, ADeadlineMakesAStepAsFineAsFits) {
  for (const CodecId codec : {CodecId::kDithered, CodecId::kDeadzone, CodecId::kTrellis}) {
    plan::RoundPlan plan = plan_of(codec, RateMode::kFixed);
    plan.codec.bits = 3.0F;
    const RateDecision free = decide(plan, within(1e6));
    EXPECT_EQ(free.bound, RateBound::kRule);
    const RateDecision bound = decide(plan, within(3000.0));
    EXPECT_EQ(bound.bound, RateBound::kDeadline);
    EXPECT_GT(bound.step, bound.rule_step);
    EXPECT_DOUBLE_EQ(bound.rule_step, free.rule_step);
    EXPECT_LE(send(bound, layout_, update_, 99).message_bytes, 2950.0) << plan::codec_name(codec);
    EXPECT_GE(bound.predicted_bytes, 0.93 * 2950.0);
    plan.rate.deadline = false;
    EXPECT_EQ(decide(plan, within(3000.0)).bound, RateBound::kRule);
  }
}

TEST_F(RateController, ButNoCoarserThanThePlanAllows) {
  plan::RoundPlan plan = plan_of(CodecId::kDithered, RateMode::kFixed);
  plan.codec.bits = 3.0F;
  plan.rate.step_ratio_max = 2.0F;
  const RateDecision decision = decide(plan, within(1500.0));
  EXPECT_EQ(decision.bound, RateBound::kCoarsest);
  EXPECT_FALSE(decision.fits());
  EXPECT_NEAR(decision.step / decision.rule_step, 2.0, 1e-5);
  EXPECT_GT(decision.predicted_bytes, 1450.0);
  plan.rate.step_ratio_max = 256.0F;
  EXPECT_TRUE(decide(plan, within(1500.0)).fits());
  EXPECT_FALSE(decide(plan, within(100.0)).fits());
  EXPECT_FALSE(decide(plan, within(0.0)).fits());
}

// A dithered step much coarser than the update is noise that somebody has to average away; without dither it is
// silence.
TEST_F(RateController, NorCoarserThanAnUpdateCanBear) {
  plan::RoundPlan plan = plan_of(CodecId::kDithered, RateMode::kFixed);
  plan.codec.bits = 3.0F;
  plan.rate.step_ratio_max = 1e6F;
  for (const CodecId codec : {CodecId::kDithered, CodecId::kTrellis}) {
    plan.codec.codec = codec;
    const RateDecision decision = decide(plan, within(55.0));
    EXPECT_FALSE(decision.fits()) << plan::codec_name(codec);
    EXPECT_NEAR(decision.step / rms_, 16.0, 0.1) << plan::codec_name(codec);
  }
  plan.codec.codec = CodecId::kDeadzone;
  EXPECT_GT(decide(plan, within(55.0)).step / rms_, 1000.0);
  // What the rule itself wants is the plan's business.
  plan.codec.codec = CodecId::kDithered;
  plan.codec.step = static_cast<float>(40.0 * rms_);
  EXPECT_NEAR(decide(plan, within(55.0)).step / rms_, 40.0, 0.1);
}

// The residual of error feedback has to shrink: no rule that counts bytes may add more noise than there is update.
TEST_F(RateController, WithErrorFeedbackTheNoiseStaysBelowTheUpdate) {
  for (const RateMode mode : {RateMode::kBudget, RateMode::kKimad}) {
    plan::RoundPlan plan = plan_of(CodecId::kDithered, mode);
    plan.rate.budget_bytes = 100;
    LinkLimits limits = within(1e6);
    limits.round_bytes = 100.0;
    EXPECT_GT(decide(plan, limits).step / rms_, 8.0) << plan::rate_mode_name(mode);
    plan.codec.error_feedback = true;
    EXPECT_NEAR(decide(plan, limits).step / rms_, 2.4, 0.05) << plan::rate_mode_name(mode);
    plan.codec.codec = CodecId::kDeadzone;
    EXPECT_GT(decide(plan, limits).step / rms_, 3.0) << plan::rate_mode_name(mode);
  }
}

TEST_F(RateController, ADeadlineLeavesAsManyLevelsAsFit) {
  plan::RoundPlan plan = plan_of(CodecId::kQsgd, RateMode::kFixed);
  plan.codec.levels = 127;
  const RateDecision free = decide(plan);
  const double some = 0.6 * free.predicted_bytes;
  const RateDecision bound = decide(plan, within(some));
  EXPECT_EQ(bound.bound, RateBound::kDeadline);
  EXPECT_LT(bound.codec.levels, 127U);
  EXPECT_LE(bound.predicted_bytes, some - 50.0);
  plan.codec.levels = bound.codec.levels + 1;
  EXPECT_GT(decide(plan).predicted_bytes, some - 50.0) << "one more would not have fitted";
  plan.codec.levels = 127;
  const RateDecision none = decide(plan, within(1000.0));
  EXPECT_EQ(none.bound, RateBound::kCoarsest);
  EXPECT_EQ(none.codec.levels, 1U);
}

TEST_F(RateController, ADeadlineNarrowsEdenAndJudgesTheRest) {
  plan::RoundPlan plan = plan_of(CodecId::kEden, RateMode::kFixed);
  plan.codec.bits = 4.0F;
  const RateDecision bound = decide(plan, within(5000.0));
  EXPECT_EQ(bound.bound, RateBound::kDeadline);
  EXPECT_LT(bound.codec.bits, 4.0F);
  EXPECT_GE(bound.predicted_bytes, 0.75 * 4950.0);
  EXPECT_EQ(decide(plan, within(500.0)).bound, RateBound::kCoarsest);
  EXPECT_NEAR(decide(plan, within(500.0)).codec.bits, 0.1F, 1e-5F);

  for (const CodecId codec : {CodecId::kFp32, CodecId::kFp16, CodecId::kTerngrad, CodecId::kSign}) {
    plan = plan_of(codec, RateMode::kFixed);
    const RateDecision decision = decide(plan);
    EXPECT_EQ(decide(plan, within(decision.predicted_bytes + 51.0)).bound, RateBound::kRule);
    EXPECT_EQ(decide(plan, within(decision.predicted_bytes + 49.0)).bound, RateBound::kCoarsest);
  }
}

TEST_F(RateController, EveryRuleTakesEveryCodecAndEveryUpdate) {
  const plan::ModelLayout layouts[] = {network_layout(3000), layout_of({1}), layout_of({3, 2}), layout_of({})};
  for (const plan::ModelLayout& layout : layouts) {
    const std::vector<float> updates[] = {
        std::vector<float>(layout.parameter_count, 0.0F),
        std::vector<float>(layout.parameter_count, 1e-25F),
        std::vector<float>(layout.parameter_count, 1e4F),
        update_of(layout, true, 1.0, 8),
    };
    for (uint8_t codec = 0; codec < plan::kCodecCount; ++codec) {
      for (uint8_t mode = 0; mode < plan::kRateModeCount; ++mode) {
        plan::RoundPlan plan = plan_of(static_cast<CodecId>(codec), static_cast<RateMode>(mode));
        plan.rate.budget_bytes = 40000;
        plan.rate.per_layer = true;
        for (const std::vector<float>& update : updates) {
          for (const double bytes : {kUnlimited, 300.0}) {
            LinkLimits limits = within(bytes);
            limits.round_bytes = 2.0 * bytes;
            const Decided decided = decide_on(plan, layout, update, {}, limits);
            ASSERT_TRUE(decided.failure.ok()) << decided.failure.text() << " " << plan::codec_name(plan.codec.codec);
            ASSERT_TRUE(plan::check(decided.decision.codec).ok());
            ASSERT_TRUE(std::isfinite(decided.decision.predicted_bytes));
            if (layout.parameter_count > 0 && bytes < kUnlimited) {
              send(decided.decision, layout, update, plan.seed);
            }
          }
        }
      }
    }
  }
}

TEST_F(RateController, TheSameArgumentsGiveTheSameDecision) {
  plan::RoundPlan plan = plan_of(CodecId::kDeadzone, RateMode::kBudget);
  plan.rate.budget_bytes = 100000;
  plan.rate.per_layer = true;
  const RateDecision a = decide(plan);
  const RateDecision b = decide(plan);
  EXPECT_EQ(a.codec.step, b.codec.step);
  EXPECT_EQ(a.predicted_bytes, b.predicted_bytes);
  ASSERT_EQ(a.steps.size(), b.steps.size());
  for (size_t k = 0; k < a.steps.size(); ++k) EXPECT_EQ(a.steps[k], b.steps[k]);
}

TEST_F(RateController, RefusesWhatIsNotAnUpdate) {
  const plan::RoundPlan plan = plan_of(CodecId::kDithered, RateMode::kFixed);
  std::vector<float> update = update_;
  update[1040] = std::numeric_limits<float>::quiet_NaN();
  const Decided decided = decide_on(plan, layout_, update);
  EXPECT_EQ(decided.failure.error(), Error::kNotFinite);
  EXPECT_THAT(decided.failure.text(), testing::HasSubstr("value 8"));
  update.pop_back();
  EXPECT_EQ(decide_on(plan, layout_, update).failure.error(), Error::kShape);
  plan::RoundPlan wrong = plan;
  wrong.rate.contraction = 1.5F;
  EXPECT_EQ(decide_on(wrong, layout_, update_).failure.error(), Error::kOutOfRange);
  plan::RoundPlan layers = plan_of(CodecId::kDeadzone, RateMode::kFixed);
  layers.rate.per_layer = true;
  EXPECT_EQ(rate::decide(layers, layout_, update_, {}, {}, 1, {}, {}).error(), Error::kNoMemory);
}

}  // namespace
}  // namespace runnel::rate
