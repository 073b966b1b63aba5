// One step a tensor: never worse than one for all, by its own measure and by the bytes that are sent.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/rate/updates.h"

namespace runnel::rate {
namespace {

using plan::CodecId;

plan::RoundPlan layers_plan(CodecId codec, float bits) {
  plan::RoundPlan plan;
  plan.run = 5;
  plan.round = 3;
  plan.rounds = 10;
  plan.seed = 4;
  plan.codec.codec = codec;
  plan.codec.bits = bits;
  plan.rate.per_layer = true;
  return plan;
}

// Tensors whose scales are far apart, as those of layers are.
std::vector<float> uneven_update(const plan::ModelLayout& layout) {
  std::vector<float> values = update_of(layout, true, 1.0, 6);
  double scale = 1.0;
  for (const plan::TensorInfo& info : layout.tensors) {
    for (uint32_t i = 0; i < info.count; ++i) values[info.offset + i] *= static_cast<float>(scale);
    scale *= 0.3;
  }
  return values;
}

TEST(LayerSteps, HaveLessErrorForTheSameBytes) {
  const plan::ModelLayout layout = layout_of({12000, 9000, 9000, 6000});
  const std::vector<float> update = uneven_update(layout);
  int better = 0;
  for (const CodecId codec : {CodecId::kDithered, CodecId::kDeadzone}) {
    for (const float bits : {0.3F, 1.0F, 2.0F}) {
      plan::RoundPlan plan = layers_plan(codec, bits);
      const RateDecision layered = decide_on(plan, layout, update).decision;
      plan.rate.per_layer = false;
      const RateDecision common = decide_on(plan, layout, update).decision;
      EXPECT_TRUE(common.steps.empty());
      EXPECT_LE(layered.predicted_bytes, common.predicted_bytes * (1.0 + 1e-9));
      const Sent by_layer = send(layered, layout, update, plan.seed);
      const Sent as_one = send(common, layout, update, plan.seed);
      EXPECT_LE(by_layer.error, 1.01 * as_one.error) << plan::codec_name(codec) << " " << bits;
      EXPECT_LE(by_layer.message_bytes, 1.02 * as_one.message_bytes) << plan::codec_name(codec) << " " << bits;
      if (layered.steps.empty()) continue;
      ++better;
      ASSERT_EQ(layered.steps.size(), layout.tensors.size());
      EXPECT_NEAR(layered.predicted_bytes / by_layer.message_bytes, 1.0, 0.025);
    }
  }
  EXPECT_GE(better, 1);
}

TEST(LayerSteps, AreLeftOutWhereTheyCostMoreThanTheyGain) {
  const plan::ModelLayout layout = layout_of({40, 40, 40, 40, 40, 40});
  const std::vector<float> update = update_of(layout, false, 1.0, 2);
  const RateDecision decision = decide_on(layers_plan(CodecId::kDithered, 1.0F), layout, update).decision;
  EXPECT_TRUE(decision.steps.empty());
  const plan::ModelLayout one = layout_of({5000});
  EXPECT_TRUE(
      decide_on(layers_plan(CodecId::kDithered, 1.0F), one, update_of(one, true, 1.0, 2)).decision.steps.empty());
}

TEST(LayerSteps, MeetTheDeadlineToo) {
  const plan::ModelLayout layout = layout_of({12000, 9000, 9000, 6000});
  const std::vector<float> update = uneven_update(layout);
  LinkLimits limits;
  limits.bytes_max = 3000.0;
  const plan::RoundPlan plan = layers_plan(CodecId::kDeadzone, 3.0F);
  const RateDecision decision = decide_on(plan, layout, update, {}, limits).decision;
  EXPECT_EQ(decision.bound, RateBound::kDeadline);
  EXPECT_LE(send(decision, layout, update, plan.seed).message_bytes, 3000.0);
}

}  // namespace
}  // namespace runnel::rate
