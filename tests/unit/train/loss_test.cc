#include "runtime/train/loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "runtime/base/rng.h"

namespace runnel::train {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
const plan::LossSpec kSoftmax{};

plan::LossSpec spec_of(plan::LossKind kind, float smoothing = 0.0F, float delta = 1.0F) {
  return {kind, plan::TargetKind::kValues, smoothing, delta};
}

// The definitions, written down again: the mean over the positions or outputs of each example, summed over examples.
double double_loss(const plan::LossSpec& spec, uint32_t channels, uint32_t positions, const std::vector<double>& x,
                   const std::vector<float>& targets) {
  double total = 0.0;
  if (spec.kind == plan::LossKind::kSoftmaxCrossEntropy) {
    for (size_t row = 0; row < targets.size(); ++row) {
      const auto at = [&](size_t k) { return x[(row / positions * channels + k) * positions + row % positions]; };
      double powers = 0.0;
      for (size_t k = 0; k < channels; ++k) powers += std::exp(at(k));
      for (size_t k = 0; k < channels; ++k) {
        const double smoothing = spec.label_smoothing;
        const double wanted = (k == static_cast<size_t>(targets[row]) ? 1.0 - smoothing : 0.0) + smoothing / channels;
        total -= wanted * (at(k) - std::log(powers)) / positions;
      }
    }
    return total;
  }
  for (size_t index = 0; index < x.size(); ++index) {
    const double t = targets[index];
    const double d = std::abs(x[index] - t);
    const double delta = spec.huber_delta;
    switch (spec.kind) {
      case plan::LossKind::kBinaryCrossEntropy:
        total -=
            t * std::log(1.0 / (1.0 + std::exp(-x[index]))) + (1.0 - t) * std::log(1.0 / (1.0 + std::exp(x[index])));
        break;
      case plan::LossKind::kMse:
        total += d * d;
        break;
      default:
        total += d <= delta ? 0.5 * d * d : delta * (d - 0.5 * delta);
        break;
    }
  }
  return total / (double{1.0} * channels * positions);
}

std::vector<float> targets_for(const plan::LossSpec& spec, uint32_t channels, uint32_t positions, uint32_t examples,
                               Rng& rng) {
  const bool labels = spec.kind == plan::LossKind::kSoftmaxCrossEntropy;
  std::vector<float> targets(size_t{examples} * positions * (labels ? 1 : channels));
  for (float& target : targets) {
    target = labels                                             ? static_cast<float>(rng.below(channels))
             : spec.kind == plan::LossKind::kBinaryCrossEntropy ? static_cast<float>(rng.uniform())
                                                                : static_cast<float>(2.0 * rng.normal());
  }
  return targets;
}

void check_loss(const plan::LossSpec& spec, uint32_t channels, uint32_t positions, uint32_t examples, Rng& rng) {
  SCOPED_TRACE(std::string(plan::loss_kind_name(spec.kind)) + " " + std::to_string(channels) + " x " +
               std::to_string(positions) + ", examples " + std::to_string(examples));
  std::vector<float> outputs(size_t{examples} * channels * positions);
  for (float& value : outputs) value = static_cast<float>(2.0 * rng.normal());
  const std::vector<float> targets = targets_for(spec, channels, positions, examples, rng);
  ASSERT_TRUE(check_targets(spec, channels, targets).ok());
  constexpr uint32_t kBatch = 9;  // these examples are a slice of it
  std::vector<float> gradient(outputs.size(), 77.0F);
  const BatchLoss loss = batch_loss(spec, channels, positions, outputs, targets, gradient, kBatch);
  std::vector<double> moved(outputs.begin(), outputs.end());
  const double expected = double_loss(spec, channels, positions, moved, targets);
  EXPECT_NEAR(loss.sum, expected, 1e-12 * (1.0 + expected));
  EXPECT_EQ(batch_loss(spec, channels, positions, outputs, targets, {}).sum, loss.sum);
  for (size_t index = 0; index < moved.size(); ++index) {
    constexpr double kStep = 1e-5;
    const double before = moved[index];
    moved[index] = before + kStep;
    const double above = double_loss(spec, channels, positions, moved, targets);
    moved[index] = before - kStep;
    const double below = double_loss(spec, channels, positions, moved, targets);
    moved[index] = before;
    ASSERT_NEAR(gradient[index], (above - below) / (2.0 * kStep) / kBatch, 1e-7) << index;
  }
  std::vector<float> in_place = outputs;
  const BatchLoss again = batch_loss(spec, channels, positions, in_place, targets, in_place, kBatch);
  EXPECT_EQ(in_place, gradient);
  EXPECT_EQ(again.sum, loss.sum);
  EXPECT_EQ(again.correct, loss.correct);
}

TEST(BatchLoss, AndItsGradientAgreeWithTheDefinition) {
  Rng rng(2);
  for (const plan::LossSpec& spec :
       {spec_of(plan::LossKind::kSoftmaxCrossEntropy), spec_of(plan::LossKind::kSoftmaxCrossEntropy, 0.1F),
        spec_of(plan::LossKind::kBinaryCrossEntropy), spec_of(plan::LossKind::kMse),
        spec_of(plan::LossKind::kHuber, 0.0F, 1.5F)}) {
    for (const uint32_t channels : {2U, 5U, 16U, 37U}) {
      for (const uint32_t positions : {1U, 3U, 16U, 21U}) check_loss(spec, channels, positions, 2, rng);
    }
    check_loss(spec, 10, 1, 8, rng);
  }
}

TEST(BatchLoss, OfTwoEqualLogitsIsLnTwo) {
  std::vector<float> gradient(2);
  const BatchLoss loss = batch_loss(kSoftmax, 2, 1, std::vector<float>{3, 3}, std::vector<float>{1}, gradient);
  EXPECT_NEAR(loss.sum, std::log(2.0), 1e-15);
  EXPECT_EQ(loss.correct, 0U) << "a tie goes to the first class";
  EXPECT_EQ(gradient, (std::vector<float>{0.5F, -0.5F}));
}

TEST(BatchLoss, StaysFiniteForExtremeOutputs) {
  std::vector<float> gradient(3);
  const std::vector<float> outputs{1e30F, -1e30F, 0.0F};
  EXPECT_NEAR(batch_loss(kSoftmax, 3, 1, outputs, std::vector<float>{1}, gradient).sum, 2e30, 1e24);
  EXPECT_EQ(gradient, (std::vector<float>{1, -1, 0}));
  EXPECT_NEAR(
      batch_loss(spec_of(plan::LossKind::kBinaryCrossEntropy), 3, 1, outputs, std::vector<float>{0, 1, 0.5F}, gradient)
          .sum,
      2e30 / 3, 1e24);
  EXPECT_EQ(gradient, (std::vector<float>{1.0F / 3, -1.0F / 3, 0}));
  EXPECT_TRUE(std::isfinite(
      batch_loss(spec_of(plan::LossKind::kHuber), 3, 1, outputs, std::vector<float>{0, 0, 0}, gradient).sum));
  EXPECT_EQ(gradient, (std::vector<float>{1.0F / 3, -1.0F / 3, 0}));
}

TEST(BatchLoss, ShowsOutputsThatAreNotFinite) {
  const std::vector<std::vector<float>> rows{{kNan, 0, 0},       {0, kNan, 0},
                                             {0, 0, kNan},       {kInfinity, 0, 0},
                                             {0, 0, -kInfinity}, {-kInfinity, -kInfinity, -kInfinity}};
  for (const std::vector<float>& row : rows) {
    EXPECT_FALSE(std::isfinite(batch_loss(kSoftmax, 3, 1, row, std::vector<float>{2}, {}).sum));
    std::vector<float> columns;  // two positions
    for (const float value : row) columns.insert(columns.end(), {0.0F, value});
    EXPECT_FALSE(std::isfinite(batch_loss(kSoftmax, 3, 2, columns, std::vector<float>{2, 2}, {}).sum));
    for (const plan::LossKind kind :
         {plan::LossKind::kBinaryCrossEntropy, plan::LossKind::kMse, plan::LossKind::kHuber}) {
      EXPECT_FALSE(std::isfinite(batch_loss(spec_of(kind), 3, 1, row, std::vector<float>{1, 1, 0.5F}, {}).sum));
    }
  }
}

TEST(BatchLoss, CountsTheLabelsThatAreRight) {
  const std::vector<float> logits{1, 2, 3,  //
                                  3, 2, 1,  //
                                  1, 3, 2};
  EXPECT_EQ(batch_loss(kSoftmax, 3, 1, logits, std::vector<float>{2, 0, 1}, {}).correct, 3U);
  EXPECT_EQ(batch_loss(kSoftmax, 3, 1, logits, std::vector<float>{2, 1, 0}, {}).correct, 1U);
  // The same numbers as one example of three positions: each column's largest is 1, 3 and 1 rows down.
  EXPECT_EQ(batch_loss(kSoftmax, 3, 3, logits, std::vector<float>{1, 2, 0}, {}).correct, 3U);
  EXPECT_EQ(batch_loss(kSoftmax, 3, 3, logits, std::vector<float>{1, 0, 0}, {}).correct, 2U);
}

TEST(CheckTargets, NamesTheFirstThatDoesNotFit) {
  EXPECT_TRUE(check_targets(kSoftmax, 3, std::vector<float>{0, 1, 2}).ok());
  for (const float bad : {3.0F, -1.0F, 0.5F, 1e30F, kNan, kInfinity, -kInfinity}) {
    const Failure failure = check_targets(kSoftmax, 3, std::vector<float>{0, bad});
    EXPECT_EQ(failure.error(), Error::kOutOfRange) << bad;
    EXPECT_NE(std::strstr(failure.text(), "target 1 is"), nullptr) << failure.text();
  }
  const plan::LossSpec binary = spec_of(plan::LossKind::kBinaryCrossEntropy);
  EXPECT_TRUE(check_targets(binary, 1, std::vector<float>{0, 0.25F, 1}).ok());
  EXPECT_EQ(check_targets(binary, 1, std::vector<float>{1.5F}).error(), Error::kOutOfRange);
  EXPECT_EQ(check_targets(binary, 1, std::vector<float>{-0.5F}).error(), Error::kOutOfRange);
  for (const plan::LossKind kind :
       {plan::LossKind::kBinaryCrossEntropy, plan::LossKind::kMse, plan::LossKind::kHuber}) {
    for (const float bad : {kNan, kInfinity, -kInfinity})
      EXPECT_EQ(check_targets(spec_of(kind), 1, std::vector<float>{bad}).error(), Error::kNotFinite);
  }
  EXPECT_TRUE(check_targets(spec_of(plan::LossKind::kMse), 1, std::vector<float>{-1e30F}).ok());
}

}  // namespace
}  // namespace runnel::train
