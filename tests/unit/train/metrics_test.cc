#include "runtime/train/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "runtime/base/rng.h"

namespace runnel::train {
namespace {

using plan::LayerKind;
using plan::Metric;
using ::testing::ElementsAre;

plan::ModelSpec model_of(plan::Shape input, std::initializer_list<plan::LayerSpec> layers, uint32_t classes,
                         plan::LossSpec loss) {
  plan::ModelSpec spec;
  spec.input = input;
  spec.classes = classes;
  spec.loss = loss;
  for (const plan::LayerSpec& layer : layers) EXPECT_TRUE(spec.layers.push_back(layer));
  return spec;
}

plan::LayerSpec dense(uint32_t units) {
  plan::LayerSpec layer;
  layer.kind = LayerKind::kDense;
  layer.units = units;
  return layer;
}

Metrics metrics_of(const plan::ModelSpec& spec, uint32_t examples) {
  const Result<plan::ModelLayout> layout = plan::make_layout(spec);
  EXPECT_TRUE(layout.ok()) << layout.failure().text();
  Metrics metrics(spec, *layout);
  metrics.start(examples);
  return metrics;
}

Metrics classifier() {
  return metrics_of(model_of({2, 1, 1}, {dense(3)}, 3, {}), 8);
}

TEST(Metrics, ClassificationCountsWhatWasTakenForWhat) {
  Metrics metrics = classifier();
  // Found: 0, 2, 1, 1; true: 0, 2, 2, 1.
  metrics.add(std::array{3.0F, 1.0F, 2.0F, 0.0F, 0.0F, 1.0F}, std::array{0.0F, 2.0F}, {}, 1.5);
  metrics.add(std::array{-1.0F, 5.0F, 2.0F, 0.0F, 1.0F, 0.5F}, std::array{2.0F, 1.0F}, {}, 2.5);
  EXPECT_THAT(metrics.confusion(), ElementsAre(1, 0, 0, 0, 1, 0, 0, 1, 1));
  const plan::Scores scores = metrics.scores();
  EXPECT_EQ(scores.metric, Metric::kAccuracy);
  EXPECT_EQ(scores.examples, 4U);
  EXPECT_DOUBLE_EQ(scores.value, 0.75);
  EXPECT_DOUBLE_EQ(scores.loss, 1.0);
  EXPECT_DOUBLE_EQ(metrics.class_scores(1).precision, 0.5);
  EXPECT_DOUBLE_EQ(metrics.class_scores(1).recall, 1.0);
  EXPECT_EQ(metrics.class_scores(2).examples, 2U);
  EXPECT_DOUBLE_EQ(metrics.class_scores(2).precision, 1.0);
  EXPECT_DOUBLE_EQ(metrics.class_scores(2).recall, 0.5);
  EXPECT_TRUE(std::isnan(metrics.value(Metric::kRmse)));
  metrics.start(8);
  EXPECT_EQ(metrics.scores().examples, 0U);
  EXPECT_THAT(metrics.confusion(), ElementsAre(0, 0, 0, 0, 0, 0, 0, 0, 0));
}

TEST(Metrics, TextIsJudgedAtEveryPosition) {
  plan::LayerSpec each;
  each.kind = LayerKind::kConv2d;
  each.units = 2;
  each.kernel = {1, 1};
  Metrics metrics = metrics_of(model_of({1, 1, 3}, {each}, 2, {}), 2);
  // Channels x positions: the first channel wins at positions 0 and 2.
  metrics.add(std::array{1.0F, 0.0F, 4.0F, 0.0F, 1.0F, 3.0F}, std::array{0.0F, 1.0F, 1.0F}, {}, std::log(5.0));
  EXPECT_EQ(metrics.task(), plan::Task::kText);
  EXPECT_NEAR(metrics.scores().value, 5.0, 1e-12);
  EXPECT_DOUBLE_EQ(metrics.value(Metric::kAccuracy), 2.0 / 3.0);
  EXPECT_EQ(metrics.confusion_classes(), 0U);
}

plan::LossSpec values_loss(plan::LossKind kind) {
  plan::LossSpec loss;
  loss.kind = kind;
  loss.target = plan::TargetKind::kValues;
  return loss;
}

TEST(Metrics, RegressionErrorsAndTheShareThatIsExplained) {
  Metrics metrics = metrics_of(model_of({2, 1, 1}, {dense(1)}, 1, values_loss(plan::LossKind::kMse)), 4);
  metrics.add(std::array{1.0F, 2.0F}, std::array{1.0F, 4.0F}, {}, 4.0);
  metrics.add(std::array{7.0F}, std::array{7.0F}, {}, 0.0);
  EXPECT_DOUBLE_EQ(metrics.scores().value, std::sqrt(4.0 / 3.0));
  EXPECT_DOUBLE_EQ(metrics.value(Metric::kMae), 2.0 / 3.0);
  EXPECT_DOUBLE_EQ(metrics.value(Metric::kR2), 1.0 - 4.0 / 18.0);  // targets 1, 4, 7: squares 9 + 0 + 9
  EXPECT_TRUE(std::isnan(metrics.value(Metric::kAccuracy)));
}

TEST(Metrics, YesAndNo) {
  Metrics metrics = metrics_of(model_of({2, 1, 1}, {dense(1)}, 1, values_loss(plan::LossKind::kBinaryCrossEntropy)), 4);
  metrics.add(std::array{2.0F, -1.0F, 0.5F}, std::array{1.0F, 0.0F, 0.0F}, {}, 0.0);
  EXPECT_DOUBLE_EQ(metrics.scores().value, 2.0 / 3.0);
  EXPECT_THAT(metrics.confusion(), ElementsAre(1, 1, 0, 1));
}

Metrics detector(uint32_t examples) {
  plan::LossSpec loss;
  loss.kind = plan::LossKind::kMse;
  loss.target = plan::TargetKind::kInput;
  return metrics_of(model_of({2, 1, 1}, {dense(2)}, 2, loss), examples);
}

TEST(Metrics, AreaUnderTheCurveIsWhatEveryPairSays) {
  Rng rng(17);
  constexpr uint32_t kExamples = 200;
  Metrics metrics = detector(kExamples);
  std::vector<float> scores;
  std::vector<bool> unusual;
  for (uint32_t i = 0; i < kExamples; ++i) {
    unusual.push_back(rng.below(3) == 0);
    const auto error = static_cast<float>(rng.below(12) + (unusual[i] ? 3 : 0));  // many are equal
    scores.push_back(error * error);
    metrics.add(std::array{error, error}, std::array{0.0F, 0.0F}, std::array{unusual[i] ? 1.0F : 0.0F}, 0.0);
  }
  double pairs = 0.0;
  double won = 0.0;
  for (uint32_t i = 0; i < kExamples; ++i) {
    for (uint32_t k = 0; k < kExamples; ++k) {
      if (!unusual[i] || unusual[k]) continue;
      pairs += 1.0;
      won += scores[i] > scores[k] ? 1.0 : scores[i] == scores[k] ? 0.5 : 0.0;
    }
  }
  EXPECT_EQ(metrics.scores().metric, Metric::kAuc);
  EXPECT_NEAR(metrics.scores().value, won / pairs, 1e-12);
}

TEST(Metrics, NoAreaWithoutBothKinds) {
  Metrics metrics = detector(4);
  metrics.add(std::array{1.0F, 0.0F}, std::array{0.0F, 0.0F}, std::array{0.0F}, 0.5);
  EXPECT_TRUE(std::isnan(metrics.scores().value));
  EXPECT_DOUBLE_EQ(metrics.scores().loss, 0.5);
  EXPECT_DOUBLE_EQ(metrics.value(Metric::kRmse), std::sqrt(0.5));
}

TEST(Metrics, PartsMergeToTheWhole) {
  Rng rng(5);
  const plan::ModelSpec spec = model_of({2, 1, 1}, {dense(2)}, 2, values_loss(plan::LossKind::kMse));
  Metrics whole = metrics_of(spec, 60);
  Metrics first = metrics_of(spec, 20);
  Metrics second = metrics_of(spec, 40);
  for (uint32_t i = 0; i < 60; ++i) {
    std::array<float, 2> outputs{};
    std::array<float, 2> targets{};
    for (uint32_t k = 0; k < 2; ++k) {
      targets[k] = static_cast<float>(100.0 + rng.normal());
      outputs[k] = targets[k] + static_cast<float>(0.1 * rng.normal());
    }
    whole.add(outputs, targets, {}, 0.25);
    (i < 20 ? first : second).add(outputs, targets, {}, 0.25);
  }
  first.merge(second);
  EXPECT_EQ(first.examples(), 60U);
  for (const Metric metric : {Metric::kRmse, Metric::kMae, Metric::kR2})
    EXPECT_NEAR(first.value(metric), whole.value(metric), 1e-9);
  Metrics left = classifier();
  Metrics right = classifier();
  left.add(std::array{1.0F, 0.0F, 0.0F}, std::array{0.0F}, {}, 1.0);
  right.add(std::array{1.0F, 0.0F, 0.0F}, std::array{2.0F}, {}, 3.0);
  left.merge(right);
  EXPECT_THAT(left.confusion(), ElementsAre(1, 0, 0, 0, 0, 0, 1, 0, 0));
  EXPECT_DOUBLE_EQ(left.scores().loss, 2.0);
}

}  // namespace
}  // namespace runnel::train
