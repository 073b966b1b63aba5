// Which keys a layer takes in a model file: one table for the reader and the writer.
#pragma once

#include <array>
#include <string_view>

#include "runtime/plan/model_spec.h"

namespace runnel::coordinator {

enum LayerKey : unsigned {
  kUnitsKey = 1,
  kKernelKey = 2,
  kStrideKey = 4,
  kPaddingKey = 8,
  kGroupsKey = 16,
  kBiasKey = 32,
  kEveryStepKey = 64,
  kVocabularyKey = 128,
  kShapeKey = 256,
  kSharingKey = 512,  // of layers with parameters
  kValueKey = 1024,   // under the name that value_key() says
};

constexpr unsigned keys_of(plan::LayerKind kind) {
  using plan::LayerKind;
  switch (kind) {
    case LayerKind::kDense:
      return kUnitsKey | kBiasKey | kSharingKey;
    case LayerKind::kConv2d:
      return kUnitsKey | kKernelKey | kStrideKey | kPaddingKey | kGroupsKey | kBiasKey | kSharingKey;
    case LayerKind::kMaxPool2d:
    case LayerKind::kAvgPool2d:
      return kKernelKey | kStrideKey;
    case LayerKind::kBatchNorm:
    case LayerKind::kLayerNorm:
      return kValueKey | kSharingKey;
    case LayerKind::kGroupNorm:
      return kGroupsKey | kValueKey | kSharingKey;
    case LayerKind::kLeakyRelu:
    case LayerKind::kDropout:
      return kValueKey;
    case LayerKind::kEmbedding:
      return kUnitsKey | kVocabularyKey | kSharingKey;
    case LayerKind::kGru:
    case LayerKind::kLstm:
      return kUnitsKey | kBiasKey | kEveryStepKey | kSharingKey;
    case LayerKind::kReshape:
      return kShapeKey;
    case LayerKind::kRelu:
    case LayerKind::kFlatten:
    case LayerKind::kGlobalAvgPool:
    case LayerKind::kGlobalMaxPool:
    case LayerKind::kRelu6:
    case LayerKind::kTanh:
    case LayerKind::kSigmoid:
    case LayerKind::kGelu:
    case LayerKind::kAdd:
    case LayerKind::kConcat:
      break;
  }
  return 0;
}

// Those without which a layer of the kind means nothing. Where groups are not among them they are 1.
constexpr unsigned keys_required(plan::LayerKind kind) {
  const unsigned groups = kind == plan::LayerKind::kGroupNorm ? kGroupsKey : 0U;
  const unsigned rate = kind == plan::LayerKind::kDropout ? kValueKey : 0U;
  return (keys_of(kind) & (kUnitsKey | kKernelKey | kVocabularyKey | kShapeKey)) | groups | rate;
}

// What LayerSpec::value is called.
constexpr const char* value_key(plan::LayerKind kind) {
  if (kind == plan::LayerKind::kDropout) return "rate";
  return kind == plan::LayerKind::kLeakyRelu ? "slope" : "epsilon";
}

constexpr float value_default(plan::LayerKind kind) {
  if ((keys_of(kind) & kValueKey) == 0 || kind == plan::LayerKind::kDropout) return 0.0F;
  return kind == plan::LayerKind::kLeakyRelu ? 0.01F : 1e-5F;
}

// Pools' windows do not overlap unless a file says so.
constexpr bool is_pool(plan::LayerKind kind) {
  return kind == plan::LayerKind::kMaxPool2d || kind == plan::LayerKind::kAvgPool2d;
}

// A way to write a layer that exists under another name.
struct LayerAlias {
  std::string_view name;
  plan::LayerKind kind;
  bool sequence;   // kernel, stride and padding are one number each, along the width
  bool depthwise;  // groups are the input's channels, units the same where the file does not say
};
inline constexpr std::array kLayerAliases = {
    LayerAlias{"conv1d", plan::LayerKind::kConv2d, true, false},
    LayerAlias{"max_pool1d", plan::LayerKind::kMaxPool2d, true, false},
    LayerAlias{"avg_pool1d", plan::LayerKind::kAvgPool2d, true, false},
    LayerAlias{"depthwise_conv2d", plan::LayerKind::kConv2d, false, true},
    LayerAlias{"depthwise_conv1d", plan::LayerKind::kConv2d, true, true},
};

}  // namespace runnel::coordinator
