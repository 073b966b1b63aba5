// What a model is, apart from its weights: the vocabulary shared by the trainer, the wire and the coordinator.
//
// A ModelSpec is a plain value of bounded size. It is not trusted until make_layout() has accepted it: that is where
// shapes are worked out and every limit is checked.
#pragma once

#include <cstdint>

#include "runtime/base/fixed_string.h"
#include "runtime/base/result.h"
#include "runtime/base/static_vector.h"

namespace runnel::plan {

// These two are the size of a spec and of a layout: a build for a board with little memory sets less, and refuses
// models that have more.
#ifndef RUNNEL_LAYERS_MAX
#define RUNNEL_LAYERS_MAX 96
#endif
#ifndef RUNNEL_TENSORS_MAX
#define RUNNEL_TENSORS_MAX 128
#endif
inline constexpr uint32_t kLayersMax = RUNNEL_LAYERS_MAX;
inline constexpr uint32_t kTensorsMax = RUNNEL_TENSORS_MAX;
inline constexpr uint32_t kDimensionMax = 1U << 20;   // of an input or an activation
inline constexpr uint32_t kParametersMax = 1U << 26;  // 256 MiB of fp32: far above any device this is for
inline constexpr uint32_t kActivationMax = 1U << 24;  // elements of one layer's output for one example

// Numbers are on the wire: never renumber, only add. A sequence of T steps of C values is a shape {C, 1, T}; a
// convolution over it has a kernel of height 1. A layer that is applied at every step on its own is a 1x1 convolution.
enum class LayerKind : uint8_t {
  kDense = 1,          // units, bias
  kConv2d = 2,         // units (output channels), kernel, stride, padding, groups, bias; depthwise: groups = channels
  kMaxPool2d = 3,      // kernel, stride
  kAvgPool2d = 4,      // kernel, stride
  kRelu = 5,           //
  kFlatten = 6,        //
  kGlobalAvgPool = 7,  // {C, H, W} -> {C, 1, 1}
  kGlobalMaxPool = 8,  //
  kRelu6 = 9,          // min(max(x, 0), 6)
  kLeakyRelu = 10,     // value = slope below zero
  kTanh = 11,          //
  kSigmoid = 12,       //
  kGelu = 13,          // x Phi(x), with the error function
  kBatchNorm = 14,     // value = epsilon; a scale, a shift, a running mean and a running variance a channel
  kGroupNorm = 15,     // groups, value = epsilon; a scale and a shift a channel
  kLayerNorm = 16,     // value = epsilon; over all values of an example, a scale and a shift each
  kDropout = 17,       // value = share of values that are dropped in training; the others are scaled up
  kEmbedding = 18,     // units = values of one vector, vocabulary; {1, 1, T} of whole numbers -> {units, 1, T}
  kGru = 19,           // units, every_step; {C, 1, T} -> {units, 1, T} or, of the last step, {units, 1, 1}
  kLstm = 20,          // units, every_step; the same
  kAdd = 21,           // 2..4 inputs of one shape
  kConcat = 22,        // 2..4 inputs, joined along the channels
  kReshape = 23,       // shape
};

// Height and width, in elements.
struct Extent {
  uint32_t height = 0;
  uint32_t width = 0;
  friend bool operator==(const Extent&, const Extent&) = default;
};

// Channels x height x width, row-major. A flat vector of n values is {n, 1, 1}.
struct Shape {
  uint32_t channels = 0;
  uint32_t height = 1;
  uint32_t width = 1;
  uint64_t count() const { return uint64_t{channels} * height * width; }
  friend bool operator==(const Shape&, const Shape&) = default;
};

// What becomes of a layer's parameters. Numbers are on the wire: never renumber, only add.
enum class Sharing : uint8_t {
  kShared = 0,  // trained, and averaged over the fleet
  kLocal = 1,   // trained, and kept by each device (FedPer, Arivazhagan et al. 2019)
  kFrozen = 2,  // neither: a pretrained backbone
};
inline constexpr uint8_t kSharingCount = 3;

inline constexpr uint32_t kJoinMax = 4;  // inputs of one layer

struct LayerSpec {
  LayerKind kind = LayerKind::kRelu;
  uint32_t units = 0;
  Extent kernel{0, 0};
  Extent stride{1, 1};
  Extent padding{0, 0};  // zeros on each side; convolution only
  uint32_t groups = 1;
  bool bias = true;
  bool every_step = false;
  Sharing sharing = Sharing::kShared;
  float value = 0.0F;  // of the kinds above that name one
  uint32_t vocabulary = 0;
  Shape shape{};
  FixedString<23> name{};                     // for people, and for other layers' inputs in a model file; may be empty
  StaticVector<uint16_t, kJoinMax> inputs{};  // 0 = the model's input, i + 1 = layer i; empty = the layer before
  friend bool operator==(const LayerSpec&, const LayerSpec&) = default;
};

// What is minimised: the mean over examples, and over the positions of an example. Numbers are on the wire.
enum class LossKind : uint8_t {
  kSoftmaxCrossEntropy = 0,  // the channels of the output are logits of classes, at each of its positions
  kBinaryCrossEntropy = 1,   // each output is the logit of a yes
  kMse = 2,                  // mean of squared differences
  kHuber = 3,                // quadratic up to `huber_delta`, linear beyond
};
inline constexpr uint8_t kLossKindCount = 4;

// What an output is compared with. Numbers are on the wire.
enum class TargetKind : uint8_t {
  kLabels = 0,  // one class a position of the output
  kValues = 1,  // one number an output
  kInput = 2,   // the example itself: an autoencoder
};
inline constexpr uint8_t kTargetKindCount = 3;

struct LossSpec {
  LossKind kind = LossKind::kSoftmaxCrossEntropy;
  TargetKind target = TargetKind::kLabels;
  float label_smoothing = 0.0F;  // of kSoftmaxCrossEntropy; [0, 1)
  float huber_delta = 1.0F;      // of kHuber; above 0
  friend bool operator==(const LossSpec&, const LossSpec&) = default;
};

struct ModelSpec {
  FixedString<47> name;
  Shape input;
  uint32_t classes = 0;  // channels of the last layer's output: the classes' logits, or the predicted values
  StaticVector<LayerSpec, kLayersMax> layers;
  LossSpec loss;
};

// One tensor. Row-major; a dense weight is [out][in], a convolution's is [out][in / groups][kernel_h][kernel_w], an
// embedding's [vocabulary][units]. A GRU's gates stand in the order reset, update, new and an LSTM's in input, forget,
// cell, output: weight_input [gates * units][in], weight_hidden [gates * units][units], bias_input, bias_hidden.
struct TensorInfo {
  FixedString<31> name;  // "3.conv2d.weight": the layer's index, its kind, the part
  uint32_t layer = 0;    // index into ModelSpec::layers
  uint32_t offset = 0;   // of the first element in the parameter vector
  uint32_t count = 0;    // elements
  uint32_t fan_in = 0;   // inputs of one output unit; 0 for what starts as a constant
  float initial = 0.0F;  // that constant; else the bound of the first values, 0 = sqrt(6 / fan_in)
  bool trained = true;   // by gradients; false for running statistics and for frozen layers
  Sharing sharing = Sharing::kShared;
};

// Where everything stands in one flat parameter vector, and each layer's output shape for one example. The vector has
// three parts: what is shared, [0, shared_count), then what is local, up to trained_count, then what is frozen; within
// a part, in layer order. An update has shared_count coordinates.
struct ModelLayout {
  StaticVector<TensorInfo, kTensorsMax> tensors;  // by offset
  StaticVector<Shape, kLayersMax> outputs;
  uint32_t parameter_count = 0;
  uint32_t shared_count = 0;
  uint32_t trained_count = 0;
  uint32_t shared_tensors = 0;  // the first so many of `tensors`
  uint32_t target_count = 0;    // labels or values that one example is compared with
};

// Works out all shapes. Fails with the layer's index and kind when a layer does not fit its input, a number is out of
// range, the last output does not have `classes` channels, or the loss does not fit the output.
Result<ModelLayout> make_layout(const ModelSpec& spec);

// The layout of an update and of a delta: the shared tensors alone, as if the model had no others.
ModelLayout shared_layout(const ModelLayout& layout);

// Where input `which` of layer `index` comes from: 0 = the model's input, i + 1 = layer i. REQUIRES: a spec that
// make_layout accepts, which < input_count(layer).
uint32_t source_of(const ModelSpec& spec, uint32_t index, uint32_t which);
inline uint32_t input_count(const LayerSpec& layer) {
  return layer.inputs.empty() ? 1 : static_cast<uint32_t>(layer.inputs.size());
}

// "conv2d" and so on; never null.
const char* layer_kind_name(LayerKind kind);
inline constexpr uint8_t kLayerKindLast = 23;

// "softmax", "binary", "mse", "huber"; "labels", "values", "input"; "shared", "local", "frozen"; never null.
const char* loss_kind_name(LossKind kind);
const char* target_kind_name(TargetKind kind);
const char* sharing_name(Sharing sharing);

}  // namespace runnel::plan
