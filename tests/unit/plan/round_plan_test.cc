#include "runtime/plan/round_plan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace runnel::plan {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Tries a whole-number field at its bounds and just beyond; the refusal names the field.
template <typename Spec>
void expect_range(Spec good, uint32_t Spec::*field, const char* name, uint32_t low, uint32_t high) {
  for (const uint32_t value : {low, high}) {
    good.*field = value;
    EXPECT_TRUE(check(good).ok()) << name << " " << value;
  }
  const auto expect_refused = [&](uint32_t value) {
    good.*field = value;
    const Failure bad = check(good);
    EXPECT_EQ(bad.error(), Error::kOutOfRange) << name << " " << value;
    EXPECT_EQ(std::string(bad.text()), std::string(name) + " must be " + std::to_string(low) + ".." +
                                           std::to_string(high) + ", not " + std::to_string(value));
  };
  if (low > 0) expect_refused(low - 1);
  expect_refused(high + 1);
  expect_refused(UINT32_MAX);
}

// The same for a real field, and for what is no number.
template <typename Spec>
void expect_range(Spec spec, float Spec::*field, const char* name, float low, float high) {
  for (const float value : {low, high, low + (high - low) / 2}) {
    spec.*field = value;
    EXPECT_TRUE(check(spec).ok()) << name << " " << value;
  }
  for (const float value : {std::nextafter(low, -kInfinity), std::nextafter(high, kInfinity), -1.0F, 2e30F}) {
    spec.*field = value;
    const Failure bad = check(spec);
    EXPECT_EQ(bad.error(), Error::kOutOfRange) << name << " " << value;
    EXPECT_EQ(std::string(bad.text()).rfind(std::string(name) + " must be ", 0), 0U) << bad.text();
  }
  for (const float value : {kNan, -kNan, kInfinity, -kInfinity}) {
    spec.*field = value;
    EXPECT_EQ(check(spec).error(), Error::kNotFinite) << name << " " << value;
  }
}

void expect_range(float TrainingSpec::*field, const char* name, float low, float high) {
  expect_range(TrainingSpec{}, field, name, low, high);
}

RoundPlan good_plan() {
  RoundPlan plan;
  plan.run = 1;
  plan.round = 3;
  plan.rounds = 10;
  return plan;
}

TEST(Check, TheDefaultsAreGood) {
  EXPECT_TRUE(check(CodecSpec{}).ok());
  EXPECT_TRUE(check(TrainingSpec{}).ok());
  EXPECT_TRUE(check(good_plan()).ok());
}

TEST(Check, CodecRanges) {
  expect_range(CodecSpec{}, &CodecSpec::levels, "levels", 1, 32767);
  expect_range(CodecSpec{}, &CodecSpec::bucket, "bucket", 8, 1048576);
  expect_range(CodecSpec{}, &CodecSpec::exact_coordinates_max, "exact_coordinates_max", 0, 65536);
}

TEST(Check, NuqsgdHasAtMostThirtyLevels) {
  for (const CodecId id : {CodecId::kNuqsgd, CodecId::kNuqsgdInf}) {
    CodecSpec codec;
    codec.codec = id;
    expect_range(codec, &CodecSpec::levels, "levels", 1, 30);
  }
}

TEST(Check, ACodecOfTheFutureIsUnsupported) {
  CodecSpec codec;
  for (uint8_t id = 0; id < kCodecCount; ++id) {
    codec.codec = static_cast<CodecId>(id);
    EXPECT_TRUE(check(codec).ok()) << codec_name(codec.codec);
  }
  codec.codec = static_cast<CodecId>(kCodecCount);
  const Failure bad = check(codec);
  EXPECT_EQ(bad.error(), Error::kUnsupported);
  EXPECT_EQ(std::string(bad.text()), "codec " + std::to_string(kCodecCount) + " is not known here");
}

TEST(Check, ACoderOfTheFutureIsUnsupported) {
  CodecSpec codec;
  for (uint8_t id = 0; id < kCoderCount; ++id) {
    codec.coder = static_cast<Coder>(id);
    EXPECT_TRUE(check(codec).ok()) << coder_name(codec.coder);
  }
  codec.coder = static_cast<Coder>(kCoderCount);
  const Failure bad = check(codec);
  EXPECT_EQ(bad.error(), Error::kUnsupported);
  EXPECT_EQ(std::string(bad.text()), "coder " + std::to_string(kCoderCount) + " is not known here");
}

TEST(Check, StepBitsAndKeep) {
  expect_range(CodecSpec{}, &CodecSpec::step, "step", 1e-30F, 1e30F);
  expect_range(CodecSpec{}, &CodecSpec::bits, "bits", 0.01F, 16.0F);
  expect_range(CodecSpec{}, &CodecSpec::keep, "keep", 1e-4F, 1.0F);
  CodecSpec eden;
  eden.codec = CodecId::kEden;
  expect_range(eden, &CodecSpec::bits, "bits", 0.1F, 4.0F);
}

TEST(Check, AStepOfZeroMeansThatItIsFound) {
  CodecSpec codec;
  codec.codec = CodecId::kDithered;
  codec.step = 0.0F;
  EXPECT_TRUE(check(codec).ok());
  codec.step = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(check(codec).error(), Error::kOutOfRange);
}

TEST(Check, OnlyThreeCodecsHaveAStep) {
  for (uint8_t id = 0; id < kCodecCount; ++id) {
    const auto codec = static_cast<CodecId>(id);
    const bool stepped = codec == CodecId::kDithered || codec == CodecId::kDeadzone || codec == CodecId::kTrellis;
    EXPECT_EQ(has_step(codec), stepped) << codec_name(codec);
  }
}

TEST(Check, ControlVariatesNeedStepsThatAreKnown) {
  RoundPlan plan = good_plan();
  plan.training.scaffold_share = 0.5F;
  const auto refused = [](const RoundPlan& bad, const char* word) {
    EXPECT_EQ(check(bad).error(), Error::kInvalidArgument);
    EXPECT_NE(std::string(check(bad).text()).find(word), std::string::npos) << check(bad).text();
  };
  refused(plan, "local_steps");
  plan.training.local_steps = 10;
  EXPECT_TRUE(check(plan).ok()) << check(plan).text();
  expect_range(plan.training, &TrainingSpec::scaffold_share, "scaffold_share", 0.0F, 1.0F);
  RoundPlan bad = plan;
  bad.training.optimizer = Optimizer::kAdam;
  refused(bad, "sgd, not adam");
  bad = plan;
  bad.training.proximal_mu = 0.1F;
  refused(bad, "proximal_mu");
  bad = plan;
  bad.training.clip_norm = 1.0F;
  refused(bad, "clip_norm");
  bad = plan;
  bad.policy = RoundPolicy::kBuffered;
  refused(bad, "synchronous");
}

TEST(Check, TrainingRanges) {
  expect_range(&TrainingSpec::learning_rate, "learning_rate", 1e-9F, 100.0F);
  expect_range(&TrainingSpec::momentum, "momentum", 0.0F, 0.9999F);
  expect_range(&TrainingSpec::weight_decay, "weight_decay", 0.0F, 1.0F);
  expect_range(&TrainingSpec::proximal_mu, "proximal_mu", 0.0F, 100.0F);
  expect_range(&TrainingSpec::beta1, "beta1", 0.0F, 0.9999F);
  expect_range(&TrainingSpec::beta2, "beta2", 0.0F, 0.999999F);
  expect_range(&TrainingSpec::epsilon, "epsilon", 1e-12F, 1.0F);
  expect_range(&TrainingSpec::clip_norm, "clip_norm", 0.0F, 1e9F);
  expect_range(TrainingSpec{}, &TrainingSpec::accumulate, "accumulate", 1, 1024);
  expect_range(TrainingSpec{}, &TrainingSpec::warmup_rounds, "warmup_rounds", 0, 1000000);
  expect_range(TrainingSpec{}, &TrainingSpec::batch_size, "batch_size", 1, 4096);
  expect_range(TrainingSpec{}, &TrainingSpec::local_epochs, "local_epochs", 1, 1000);
  expect_range(TrainingSpec{}, &TrainingSpec::local_steps, "local_steps", 0, 1000000);
}

TEST(Check, ALearningRateOfZeroIsRefused) {
  TrainingSpec training;
  training.learning_rate = 0.0F;
  EXPECT_EQ(check(training).error(), Error::kOutOfRange);
  training.learning_rate = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(check(training).error(), Error::kOutOfRange);
}

TEST(Check, RoundLiesWithinRounds) {
  RoundPlan plan = good_plan();
  plan.round = 0;
  EXPECT_STREQ(check(plan).text(), "round must be 1..10, not 0");
  plan.round = 11;
  EXPECT_STREQ(check(plan).text(), "round must be 1..10, not 11");
  plan.round = 10;
  EXPECT_TRUE(check(plan).ok());
  plan.rounds = 0;
  EXPECT_STREQ(check(plan).text(), "rounds must be 1..1000000, not 0");
  plan.rounds = 1000001;
  EXPECT_EQ(check(plan).error(), Error::kOutOfRange);
}

TEST(Check, APlanIsAsGoodAsItsParts) {
  RoundPlan plan = good_plan();
  plan.training.momentum = kNan;
  EXPECT_EQ(check(plan).error(), Error::kNotFinite);
  plan = good_plan();
  plan.codec.levels = 0;
  EXPECT_EQ(check(plan).error(), Error::kOutOfRange);
}

TEST(CodecName, IsNeverNull) {
  EXPECT_STREQ(codec_name(CodecId::kFp32), "fp32");
  EXPECT_STREQ(codec_name(CodecId::kQsgd), "qsgd");
  EXPECT_STREQ(codec_name(CodecId::kTrellis), "trellis");
  EXPECT_STREQ(codec_name(static_cast<CodecId>(kCodecCount)), "unknown");
  EXPECT_STREQ(codec_name(static_cast<CodecId>(200)), "unknown");
}

TEST(CoderName, IsNeverNull) {
  EXPECT_STREQ(coder_name(Coder::kAuto), "auto");
  EXPECT_STREQ(coder_name(Coder::kRaw), "raw");
  EXPECT_STREQ(coder_name(static_cast<Coder>(kCoderCount)), "unknown");
  EXPECT_STREQ(coder_name(static_cast<Coder>(200)), "unknown");
}

}  // namespace
}  // namespace runnel::plan
