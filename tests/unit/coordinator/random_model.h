// A model drawn at random that plan::make_layout accepts: chains with names, joins, every kind of layer and every loss.
#pragma once

#include <string>

#include "coordinator/config/model_file_keys.h"
#include "runtime/base/rng.h"
#include "runtime/plan/model_spec.h"

namespace runnel::coordinator {

// Numbers from a seed, in order.
class Draw {
 public:
  explicit Draw(uint64_t seed) : rng_(derive_key(seed, 0x6D6F64)) {}
  uint32_t below(uint32_t count) {
    return static_cast<uint32_t>(static_cast<double>(rng_.uniform_at(next_++)) * static_cast<double>(count));
  }
  uint32_t between(uint32_t low, uint32_t high) { return low + below(high - low + 1); }
  bool coin() { return below(2) == 1; }

 private:
  CounterRng rng_;
  uint32_t next_ = 0;
};

inline plan::LayerSpec random_layer(Draw& draw, plan::LayerKind kind, const plan::Shape& input, uint32_t earlier) {
  plan::LayerSpec layer;
  layer.kind = kind;
  layer.value = value_default(kind);
  const unsigned keys = keys_of(kind);
  if ((keys & kUnitsKey) != 0) layer.units = draw.between(1, 8);
  if ((keys & kKernelKey) != 0) {
    layer.kernel = {draw.between(1, 3), draw.between(1, 3)};
    layer.stride = draw.coin() && is_pool(kind) ? layer.kernel : plan::Extent{draw.between(1, 2), draw.between(1, 2)};
    if (draw.coin()) layer.kernel.height = layer.stride.height = 1;
  }
  if ((keys & kPaddingKey) != 0) {
    layer.padding = {draw.below(layer.kernel.height), draw.below(layer.kernel.width)};
    if (draw.below(3) == 0) layer.groups = layer.units = input.channels;  // depthwise
  }
  if (kind == plan::LayerKind::kGroupNorm) layer.groups = draw.between(1, 4);
  if ((keys & kBiasKey) != 0) layer.bias = draw.below(4) != 0;
  if ((keys & kEveryStepKey) != 0) layer.every_step = draw.coin();
  if ((keys & kVocabularyKey) != 0) layer.vocabulary = draw.between(2, 9);
  if ((keys & kShapeKey) != 0) layer.shape = {input.width, input.channels, input.height};
  if ((keys & kValueKey) != 0 && draw.coin()) layer.value = static_cast<float>(draw.between(1, 9)) * 0.0371F;
  if ((keys & kSharingKey) != 0 && draw.below(3) == 0) layer.sharing = static_cast<plan::Sharing>(draw.between(1, 2));
  const bool joins = kind == plan::LayerKind::kAdd || kind == plan::LayerKind::kConcat;
  for (uint32_t which = joins ? draw.between(2, 4) : draw.below(4) == 0 ? 1 : 0; which > 0; --which)
    RUNNEL_ASSERT(layer.inputs.push_back(static_cast<uint16_t>(draw.below(earlier + 1))));
  return layer;
}

inline plan::ModelSpec random_model(uint64_t seed) {
  Draw draw(seed);
  plan::ModelSpec spec;
  RUNNEL_ASSERT(spec.name.assign("random-" + std::to_string(seed)));
  const bool sequence = draw.coin();
  spec.input = {draw.below(4) == 0 ? 1 : draw.between(1, 6), sequence ? 1 : draw.between(1, 8), draw.between(1, 9)};
  const uint32_t target = draw.between(1, 14);
  plan::Shape output = spec.input;
  for (uint32_t attempt = 0; attempt < 400 && (spec.layers.size() < target || attempt < 30); ++attempt) {
    const auto kind = static_cast<plan::LayerKind>(draw.between(1, plan::kLayerKindLast));
    plan::LayerSpec layer = random_layer(draw, kind, output, static_cast<uint32_t>(spec.layers.size()));
    if (draw.below(3) == 0) RUNNEL_ASSERT(layer.name.assign("layer-" + std::to_string(spec.layers.size())));
    plan::ModelSpec longer = spec;
    if (!longer.layers.push_back(layer)) break;
    // Whatever comes out, this fits it: what make_layout() then refuses is the new layer.
    plan::ModelSpec probe = longer;
    plan::LayerSpec pool;
    pool.kind = plan::LayerKind::kGlobalAvgPool;
    plan::LayerSpec dense;
    dense.kind = plan::LayerKind::kDense;
    dense.units = 1;
    if (!probe.layers.push_back(pool) || !probe.layers.push_back(dense)) break;
    probe.classes = 1;
    probe.loss.kind = plan::LossKind::kMse;
    probe.loss.target = plan::TargetKind::kValues;
    const Result<plan::ModelLayout> layout = plan::make_layout(probe);
    if (!layout) continue;
    output = layout->outputs[spec.layers.size()];
    spec = longer;
  }
  plan::LayerSpec last;  // something to train together, whatever came before
  last.kind = plan::LayerKind::kConv2d;
  last.units = draw.between(2, 5);
  last.kernel = {1, 1};
  RUNNEL_ASSERT(spec.layers.push_back(last));
  output.channels = spec.classes = last.units;
  spec.loss.kind = plan::LossKind::kMse;
  spec.loss.target = plan::TargetKind::kValues;
  switch (draw.below(4)) {
    case 0:
      spec.loss = {plan::LossKind::kHuber, plan::TargetKind::kValues, 0.0F, 0.75F};
      break;
    case 1:
      spec.loss = {plan::LossKind::kBinaryCrossEntropy, plan::TargetKind::kValues};
      break;
    case 2:
      spec.loss = {plan::LossKind::kSoftmaxCrossEntropy, plan::TargetKind::kLabels, draw.coin() ? 0.1F : 0.0F};
      break;
    default:
      if (output.count() == spec.input.count()) spec.loss.target = plan::TargetKind::kInput;
      break;
  }
  return spec;
}

}  // namespace runnel::coordinator
