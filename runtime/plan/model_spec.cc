#include "runtime/plan/model_spec.h"

#include <cmath>
#include <cstdio>

namespace runnel::plan {
namespace {

bool within(uint32_t value, uint32_t low, uint32_t high) {
  return value >= low && value <= high;
}

bool extent_within(Extent extent, uint32_t low, uint32_t high) {
  return within(extent.height, low, high) && within(extent.width, low, high);
}

Failure bad_layer(uint32_t index, LayerKind kind, Error error, const char* what) {
  return fail(error, "layer %u (%s): %s", index, layer_kind_name(kind), what);
}

// Collects tensors in layer order; arrange() gives them their places.
struct Tensors {
  StaticVector<TensorInfo, kTensorsMax> all;
  uint64_t count = 0;

  Failure add(uint32_t index, const LayerSpec& layer, const char* part, uint64_t elements, uint64_t fan_in,
              float initial = 0.0F, bool statistic = false) {
    if (elements > kParametersMax - count)
      return bad_layer(index, layer.kind, Error::kLimit, "the model would have more than 2^26 parameters");
    TensorInfo tensor;
    char name[32];
    std::snprintf(name, sizeof name, "%u.%s.%s", index, layer_kind_name(layer.kind), part);
    RUNNEL_ASSERT(tensor.name.assign(name));
    tensor.layer = index;
    tensor.count = static_cast<uint32_t>(elements);
    tensor.fan_in = static_cast<uint32_t>(fan_in);
    tensor.initial = initial;
    tensor.sharing = layer.sharing;
    tensor.trained = !statistic && layer.sharing != Sharing::kFrozen;
    if (!all.push_back(tensor)) {
      return fail(Error::kLimit, "layer %u (%s): more than %u tensors", index, layer_kind_name(layer.kind),
                  kTensorsMax);
    }
    count += elements;
    return Error::kOk;
  }
};

void arrange(const Tensors& tensors, ModelLayout& layout) {
  uint32_t offset = 0;
  for (uint8_t part = 0; part < kSharingCount; ++part) {
    for (TensorInfo tensor : tensors.all) {
      if (static_cast<uint8_t>(tensor.sharing) != part) continue;
      tensor.offset = offset;
      offset += tensor.count;
      RUNNEL_ASSERT(layout.tensors.push_back(tensor));
    }
    if (part == 0) {
      layout.shared_count = offset;
      layout.shared_tensors = static_cast<uint32_t>(layout.tensors.size());
    }
    if (part == 1) layout.trained_count = offset;
  }
  layout.parameter_count = offset;
}

// The output length of a window of `kernel` moved by `stride` over `input` + 2 * `padding`; 0 when the window does not
// fit.
uint32_t windows(uint32_t input, uint32_t kernel, uint32_t stride, uint32_t padding) {
  const uint64_t padded = uint64_t{input} + 2ULL * padding;
  return padded < kernel ? 0 : static_cast<uint32_t>((padded - kernel) / stride + 1);
}

Failure slide(uint32_t index, const LayerSpec& layer, const Shape& input, uint32_t channels, Shape& output) {
  if (!extent_within(layer.kernel, 1, 1024))
    return bad_layer(index, layer.kind, Error::kOutOfRange, "kernel must be 1..1024");
  if (!extent_within(layer.stride, 1, 1024))
    return bad_layer(index, layer.kind, Error::kOutOfRange, "stride must be 1..1024");
  if (layer.padding.height >= layer.kernel.height || layer.padding.width >= layer.kernel.width) {
    return bad_layer(index, layer.kind, Error::kOutOfRange, "padding must be smaller than the kernel");
  }
  output = {channels, windows(input.height, layer.kernel.height, layer.stride.height, layer.padding.height),
            windows(input.width, layer.kernel.width, layer.stride.width, layer.padding.width)};
  if (output.height == 0 || output.width == 0) {
    return fail(Error::kShape, "layer %u (%s): a %ux%u kernel does not fit its %ux%u input", index,
                layer_kind_name(layer.kind), layer.kernel.height, layer.kernel.width, input.height, input.width);
  }
  return Error::kOk;
}

Failure check_units(uint32_t index, const LayerSpec& layer) {
  if (within(layer.units, 1, kDimensionMax)) return Error::kOk;
  return bad_layer(index, layer.kind, Error::kOutOfRange, "units must be 1..2^20");
}

// `value` must lie in [low, high]; NaN does not.
Failure check_value(uint32_t index, const LayerSpec& layer, const char* name, float low, float high) {
  if (layer.value >= low && layer.value <= high) return Error::kOk;
  return fail(std::isfinite(layer.value) ? Error::kOutOfRange : Error::kNotFinite,
              "layer %u (%s): %s must be %g..%g, not %g", index, layer_kind_name(layer.kind), name,
              static_cast<double>(low), static_cast<double>(high), static_cast<double>(layer.value));
}

Failure lay_out_dense(Tensors& tensors, uint32_t index, const LayerSpec& layer, const Shape& input, Shape& output) {
  if (input.height != 1 || input.width != 1)
    return bad_layer(index, layer.kind, Error::kShape, "its input is an image; put a flatten layer before it");
  RUNNEL_TRY(check_units(index, layer));
  RUNNEL_TRY(tensors.add(index, layer, "weight", uint64_t{layer.units} * input.channels, input.channels));
  if (layer.bias) RUNNEL_TRY(tensors.add(index, layer, "bias", layer.units, 0));
  output = Shape{layer.units, 1, 1};
  return Error::kOk;
}

Failure lay_out_conv2d(Tensors& tensors, uint32_t index, const LayerSpec& layer, const Shape& input, Shape& output) {
  RUNNEL_TRY(check_units(index, layer));
  if (layer.groups == 0 || input.channels % layer.groups != 0 || layer.units % layer.groups != 0) {
    return fail(Error::kShape, "layer %u (%s): groups must divide its %u input channels and %u units; %u does not",
                index, layer_kind_name(layer.kind), input.channels, layer.units, layer.groups);
  }
  RUNNEL_TRY(slide(index, layer, input, layer.units, output));
  const uint64_t fan_in = uint64_t{input.channels / layer.groups} * layer.kernel.height * layer.kernel.width;
  if (fan_in > kParametersMax) return bad_layer(index, layer.kind, Error::kLimit, "more than 2^26 weights a unit");
  RUNNEL_TRY(tensors.add(index, layer, "weight", layer.units * fan_in, fan_in));
  if (layer.bias) RUNNEL_TRY(tensors.add(index, layer, "bias", layer.units, 0));
  return Error::kOk;
}

Failure lay_out_norm(Tensors& tensors, uint32_t index, const LayerSpec& layer, const Shape& input, Shape& output) {
  RUNNEL_TRY(check_value(index, layer, "epsilon", 1e-12F, 1.0F));
  if (layer.kind == LayerKind::kGroupNorm && (layer.groups == 0 || input.channels % layer.groups != 0)) {
    return fail(Error::kShape, "layer %u (%s): groups must divide its %u channels; %u does not", index,
                layer_kind_name(layer.kind), input.channels, layer.groups);
  }
  const uint64_t count = layer.kind == LayerKind::kLayerNorm ? input.count() : input.channels;
  RUNNEL_TRY(tensors.add(index, layer, "scale", count, 0, 1.0F));
  RUNNEL_TRY(tensors.add(index, layer, "shift", count, 0));
  output = input;
  if (layer.kind != LayerKind::kBatchNorm) return Error::kOk;
  RUNNEL_TRY(tensors.add(index, layer, "mean", count, 0, 0.0F, true));
  RUNNEL_TRY(tensors.add(index, layer, "variance", count, 0, 1.0F, true));
  return Error::kOk;
}

Failure lay_out_embedding(Tensors& tensors, uint32_t index, const LayerSpec& layer, const Shape& input, Shape& output) {
  RUNNEL_TRY(check_units(index, layer));
  if (input.channels != 1 || input.height != 1)
    return bad_layer(index, layer.kind, Error::kShape, "its input must be one channel of whole numbers");
  if (!within(layer.vocabulary, 1, kDimensionMax))
    return bad_layer(index, layer.kind, Error::kOutOfRange, "vocabulary must be 1..2^20");
  // Unlike a product's, the size of what comes out does not depend on the number of rows.
  RUNNEL_TRY(tensors.add(index, layer, "weight", uint64_t{layer.vocabulary} * layer.units, layer.units));
  output = Shape{layer.units, 1, input.width};
  return Error::kOk;
}

Failure lay_out_recurrent(Tensors& tensors, uint32_t index, const LayerSpec& layer, const Shape& input, Shape& output) {
  RUNNEL_TRY(check_units(index, layer));
  if (input.height != 1)
    return bad_layer(index, layer.kind, Error::kShape, "its input must be a sequence: channels, 1, steps");
  const uint64_t rows = uint64_t{layer.units} * (layer.kind == LayerKind::kGru ? 3 : 4);
  // Small enough that a state shrinks from step to step until training wants it otherwise.
  const auto bound = static_cast<float>(1.0 / std::sqrt(static_cast<double>(layer.units)));
  RUNNEL_TRY(tensors.add(index, layer, "weight_input", rows * input.channels, input.channels, bound));
  RUNNEL_TRY(tensors.add(index, layer, "weight_hidden", rows * layer.units, layer.units, bound));
  if (layer.bias) {
    RUNNEL_TRY(tensors.add(index, layer, "bias_input", rows, 0));
    RUNNEL_TRY(tensors.add(index, layer, "bias_hidden", rows, 0));
  }
  output = Shape{layer.units, 1, layer.every_step ? input.width : 1};
  return Error::kOk;
}

Failure join(uint32_t index, const LayerSpec& layer, const StaticVector<Shape, kJoinMax>& inputs, Shape& output) {
  if (inputs.size() < 2) return bad_layer(index, layer.kind, Error::kShape, "it takes 2 to 4 inputs");
  output = inputs[0];
  for (uint32_t which = 1; which < inputs.size(); ++which) {
    const Shape& other = inputs[which];
    const bool fits =
        layer.kind == LayerKind::kAdd ? other == output : other.height == output.height && other.width == output.width;
    if (!fits) {
      return fail(Error::kShape, "layer %u (%s): an input of %ux%ux%u does not fit one of %ux%ux%u", index,
                  layer_kind_name(layer.kind), other.channels, other.height, other.width, inputs[0].channels,
                  inputs[0].height, inputs[0].width);
    }
    if (layer.kind == LayerKind::kConcat) output.channels += other.channels;
  }
  return Error::kOk;
}

// `inputs` has at least one shape, and one alone unless the layer joins.
Failure lay_out(Tensors& tensors, uint32_t index, const LayerSpec& layer, const StaticVector<Shape, kJoinMax>& inputs,
                Shape& output) {
  const Shape& input = inputs[0];
  switch (layer.kind) {
    case LayerKind::kDense:
      return lay_out_dense(tensors, index, layer, input, output);
    case LayerKind::kConv2d:
      return lay_out_conv2d(tensors, index, layer, input, output);
    case LayerKind::kMaxPool2d:
    case LayerKind::kAvgPool2d:
      if (layer.padding != Extent{0, 0})
        return bad_layer(index, layer.kind, Error::kUnsupported, "pooling takes no padding");
      return slide(index, layer, input, input.channels, output);
    case LayerKind::kGlobalAvgPool:
    case LayerKind::kGlobalMaxPool:
      output = Shape{input.channels, 1, 1};
      return Error::kOk;
    case LayerKind::kRelu:
    case LayerKind::kRelu6:
    case LayerKind::kTanh:
    case LayerKind::kSigmoid:
    case LayerKind::kGelu:
      output = input;
      return Error::kOk;
    case LayerKind::kLeakyRelu:
      RUNNEL_TRY(check_value(index, layer, "slope", 0.0F, 1.0F));
      output = input;
      return Error::kOk;
    case LayerKind::kDropout:
      RUNNEL_TRY(check_value(index, layer, "rate", 0.0F, 0.95F));
      output = input;
      return Error::kOk;
    case LayerKind::kFlatten:
      output = Shape{static_cast<uint32_t>(input.count()), 1, 1};
      return Error::kOk;
    case LayerKind::kReshape:
      if (layer.shape.count() != input.count() || !within(layer.shape.channels, 1, kDimensionMax) ||
          !within(layer.shape.height, 1, kDimensionMax) || !within(layer.shape.width, 1, kDimensionMax)) {
        return bad_layer(index, layer.kind, Error::kShape, "its shape must have as many values as its input");
      }
      output = layer.shape;
      return Error::kOk;
    case LayerKind::kBatchNorm:
    case LayerKind::kGroupNorm:
    case LayerKind::kLayerNorm:
      return lay_out_norm(tensors, index, layer, input, output);
    case LayerKind::kEmbedding:
      return lay_out_embedding(tensors, index, layer, input, output);
    case LayerKind::kGru:
    case LayerKind::kLstm:
      return lay_out_recurrent(tensors, index, layer, input, output);
    case LayerKind::kAdd:
    case LayerKind::kConcat:
      return join(index, layer, inputs, output);
  }
  return fail(Error::kUnsupported, "layer %u: unknown kind %u", index, static_cast<unsigned>(layer.kind));
}

Failure gather_inputs(const ModelSpec& spec, const ModelLayout& layout, uint32_t index,
                      StaticVector<Shape, kJoinMax>& shapes) {
  const LayerSpec& layer = spec.layers[index];
  const bool joins = layer.kind == LayerKind::kAdd || layer.kind == LayerKind::kConcat;
  if (layer.inputs.size() > 1 && !joins)
    return bad_layer(index, layer.kind, Error::kShape, "it takes one input; add and concat take several");
  for (uint32_t which = 0; which < input_count(layer); ++which) {
    const uint32_t source = source_of(spec, index, which);
    if (source > index) return bad_layer(index, layer.kind, Error::kOutOfRange, "an input must be an earlier layer");
    RUNNEL_ASSERT(shapes.push_back(source == 0 ? spec.input : layout.outputs[source - 1]));
  }
  return Error::kOk;
}

Failure check_loss(const ModelSpec& spec, const Shape& output, ModelLayout& layout) {
  const LossSpec& loss = spec.loss;
  const bool softmax = loss.kind == LossKind::kSoftmaxCrossEntropy;
  if (static_cast<uint8_t>(loss.kind) >= kLossKindCount || static_cast<uint8_t>(loss.target) >= kTargetKindCount)
    return fail(Error::kUnsupported, "a loss or a target of unknown kind");
  if (softmax != (loss.target == TargetKind::kLabels)) {
    return fail(Error::kInvalidArgument, "the loss %s cannot be compared with %s", loss_kind_name(loss.kind),
                target_kind_name(loss.target));
  }
  if (!(loss.label_smoothing >= 0.0F && loss.label_smoothing < 1.0F))
    return fail(Error::kOutOfRange, "label_smoothing must be in [0, 1)");
  if (!(loss.huber_delta > 0.0F && loss.huber_delta <= 1e6F))
    return fail(Error::kOutOfRange, "huber_delta must be above 0 and at most 1e6");
  if (output.channels != spec.classes) {
    return fail(Error::kShape, "the last layer gives %ux%ux%u values, not the %u classes' logits", output.channels,
                output.height, output.width, spec.classes);
  }
  if (loss.target == TargetKind::kInput && output.count() != spec.input.count()) {
    return fail(Error::kShape, "the last layer gives %llu values to compare with the %llu of the input",
                static_cast<unsigned long long>(output.count()), static_cast<unsigned long long>(spec.input.count()));
  }
  layout.target_count = static_cast<uint32_t>(softmax ? uint64_t{output.height} * output.width : output.count());
  return Error::kOk;
}

}  // namespace

uint32_t source_of(const ModelSpec& spec, uint32_t index, uint32_t which) {
  const LayerSpec& layer = spec.layers[index];
  return layer.inputs.empty() ? index : layer.inputs[which];
}

namespace {

// Failures come straight from where they are made: their text is long for the stack of a board.
Failure lay_out_model(const ModelSpec& spec, ModelLayout& layout) {
  if (!within(spec.input.channels, 1, kDimensionMax) || !within(spec.input.height, 1, kDimensionMax) ||
      !within(spec.input.width, 1, kDimensionMax) || spec.input.count() > kActivationMax) {
    return fail(Error::kOutOfRange, "input %ux%ux%u: each side must be 1..2^20 and the whole at most 2^24 values",
                spec.input.channels, spec.input.height, spec.input.width);
  }
  const uint32_t classes_min = spec.loss.kind == LossKind::kSoftmaxCrossEntropy ? 2 : 1;
  if (!within(spec.classes, classes_min, 65536))
    return fail(Error::kOutOfRange, "classes must be %u..65536, not %u", classes_min, spec.classes);
  if (spec.layers.empty()) return fail(Error::kMalformed, "the model has no layers");

  Tensors tensors;
  for (uint32_t index = 0; index < spec.layers.size(); ++index) {
    const LayerSpec& layer = spec.layers[index];
    if (static_cast<uint8_t>(layer.sharing) >= kSharingCount)
      return fail(Error::kUnsupported, "layer %u: unknown sharing %u", index, static_cast<unsigned>(layer.sharing));
    StaticVector<Shape, kJoinMax> inputs;
    RUNNEL_TRY(gather_inputs(spec, layout, index, inputs));
    Shape output;
    RUNNEL_TRY(lay_out(tensors, index, layer, inputs, output));
    if (output.count() > kActivationMax)
      return bad_layer(index, layer.kind, Error::kLimit, "its output has more than 2^24 values");
    RUNNEL_ASSERT(layout.outputs.push_back(output));
  }
  RUNNEL_TRY(check_loss(spec, layout.outputs.back(), layout));
  arrange(tensors, layout);
  if (layout.shared_count == 0) return fail(Error::kMalformed, "the model has nothing to train");
  return Error::kOk;
}

}  // namespace

Result<ModelLayout> make_layout(const ModelSpec& spec) {
  ModelLayout layout;
  RUNNEL_TRY(lay_out_model(spec, layout));
  return layout;
}

const char* loss_kind_name(LossKind kind) {
  constexpr const char* kNames[] = {"softmax", "binary", "mse", "huber"};
  const auto number = static_cast<uint8_t>(kind);
  return number < kLossKindCount ? kNames[number] : "unknown";
}

const char* target_kind_name(TargetKind kind) {
  constexpr const char* kNames[] = {"labels", "values", "input"};
  const auto number = static_cast<uint8_t>(kind);
  return number < kTargetKindCount ? kNames[number] : "unknown";
}

const char* sharing_name(Sharing sharing) {
  constexpr const char* kNames[] = {"shared", "local", "frozen"};
  const auto number = static_cast<uint8_t>(sharing);
  return number < kSharingCount ? kNames[number] : "unknown";
}

ModelLayout shared_layout(const ModelLayout& layout) {
  ModelLayout shared = layout;
  shared.tensors.clear();
  for (uint32_t i = 0; i < layout.shared_tensors; ++i) RUNNEL_ASSERT(shared.tensors.push_back(layout.tensors[i]));
  shared.parameter_count = shared.trained_count = layout.shared_count;
  return shared;
}

const char* layer_kind_name(LayerKind kind) {
  constexpr const char* kNames[] = {
      "unknown",         "dense",   "conv2d",     "max_pool2d", "avg_pool2d", "relu", "flatten",    "global_avg_pool",
      "global_max_pool", "relu6",   "leaky_relu", "tanh",       "sigmoid",    "gelu", "batch_norm", "group_norm",
      "layer_norm",      "dropout", "embedding",  "gru",        "lstm",       "add",  "concat",     "reshape"};
  const auto number = static_cast<uint8_t>(kind);
  return number <= kLayerKindLast ? kNames[number] : "unknown";
}

}  // namespace runnel::plan
