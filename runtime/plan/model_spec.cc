#include "runtime/plan/model_spec.h"

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

Failure add_tensor(ModelLayout& layout, uint32_t layer, LayerKind kind, const char* part, uint64_t count,
                   uint32_t fan_in) {
  if (count > kParametersMax - layout.parameter_count) {
    return bad_layer(layer, kind, Error::kLimit, "the model would have more than 2^26 parameters");
  }
  TensorInfo tensor;
  char name[32];
  std::snprintf(name, sizeof name, "%u.%s.%s", layer, layer_kind_name(kind), part);
  RUNNEL_ASSERT(tensor.name.assign(name));
  tensor.layer = layer;
  tensor.offset = layout.parameter_count;
  tensor.count = static_cast<uint32_t>(count);
  tensor.fan_in = fan_in;
  if (!layout.tensors.push_back(tensor)) return bad_layer(layer, kind, Error::kLimit, "more than 128 tensors");
  layout.parameter_count += tensor.count;
  return Error::kOk;
}

// The output length of a window of `kernel` moved by `stride` over `input` + 2 * `padding`; 0 when the window does not
// fit.
uint32_t windows(uint32_t input, uint32_t kernel, uint32_t stride, uint32_t padding) {
  const uint64_t padded = uint64_t{input} + 2ULL * padding;
  return padded < kernel ? 0 : static_cast<uint32_t>((padded - kernel) / stride + 1);
}

Result<Shape> slide(uint32_t index, const LayerSpec& layer, const Shape& input, uint32_t channels) {
  if (!extent_within(layer.kernel, 1, 1024))
    return bad_layer(index, layer.kind, Error::kOutOfRange, "kernel must be 1..1024");
  if (!extent_within(layer.stride, 1, 1024))
    return bad_layer(index, layer.kind, Error::kOutOfRange, "stride must be 1..1024");
  if (layer.padding.height >= layer.kernel.height || layer.padding.width >= layer.kernel.width) {
    return bad_layer(index, layer.kind, Error::kOutOfRange, "padding must be smaller than the kernel");
  }
  const Shape output{channels, windows(input.height, layer.kernel.height, layer.stride.height, layer.padding.height),
                     windows(input.width, layer.kernel.width, layer.stride.width, layer.padding.width)};
  if (output.height == 0 || output.width == 0) {
    return fail(Error::kShape, "layer %u (%s): a %ux%u kernel does not fit its %ux%u input", index,
                layer_kind_name(layer.kind), layer.kernel.height, layer.kernel.width, input.height, input.width);
  }
  return output;
}

Result<Shape> lay_out(ModelLayout& layout, uint32_t index, const LayerSpec& layer, const Shape& input) {
  switch (layer.kind) {
    case LayerKind::kDense: {
      if (input.height != 1 || input.width != 1) {
        return bad_layer(index, layer.kind, Error::kShape, "its input is an image; put a flatten layer before it");
      }
      if (!within(layer.units, 1, kDimensionMax))
        return bad_layer(index, layer.kind, Error::kOutOfRange, "units must be 1..2^20");
      RUNNEL_TRY(
          add_tensor(layout, index, layer.kind, "weight", uint64_t{layer.units} * input.channels, input.channels));
      RUNNEL_TRY(add_tensor(layout, index, layer.kind, "bias", layer.units, 0));
      return Shape{layer.units, 1, 1};
    }
    case LayerKind::kConv2d: {
      if (!within(layer.units, 1, kDimensionMax))
        return bad_layer(index, layer.kind, Error::kOutOfRange, "units must be 1..2^20");
      Result<Shape> output = slide(index, layer, input, layer.units);
      if (!output) return output;
      const uint64_t fan_in = uint64_t{input.channels} * layer.kernel.height * layer.kernel.width;
      if (fan_in > kParametersMax) return bad_layer(index, layer.kind, Error::kLimit, "more than 2^26 weights a unit");
      RUNNEL_TRY(add_tensor(layout, index, layer.kind, "weight", layer.units * fan_in, static_cast<uint32_t>(fan_in)));
      RUNNEL_TRY(add_tensor(layout, index, layer.kind, "bias", layer.units, 0));
      return output;
    }
    case LayerKind::kMaxPool2d:
    case LayerKind::kAvgPool2d:
      if (layer.padding != Extent{0, 0})
        return bad_layer(index, layer.kind, Error::kUnsupported, "pooling takes no padding");
      return slide(index, layer, input, input.channels);
    case LayerKind::kRelu:
      return input;
    case LayerKind::kFlatten:
      return Shape{static_cast<uint32_t>(input.count()), 1, 1};
  }
  return fail(Error::kUnsupported, "layer %u: unknown kind %u", index, static_cast<unsigned>(layer.kind));
}

}  // namespace

Result<ModelLayout> make_layout(const ModelSpec& spec) {
  if (!within(spec.input.channels, 1, kDimensionMax) || !within(spec.input.height, 1, kDimensionMax) ||
      !within(spec.input.width, 1, kDimensionMax) || spec.input.count() > kActivationMax) {
    return fail(Error::kOutOfRange, "input %ux%ux%u: each side must be 1..2^20 and the whole at most 2^24 values",
                spec.input.channels, spec.input.height, spec.input.width);
  }
  if (!within(spec.classes, 2, 65536))
    return fail(Error::kOutOfRange, "classes must be 2..65536, not %u", spec.classes);
  if (spec.layers.empty()) return fail(Error::kMalformed, "the model has no layers");

  ModelLayout layout;
  Shape shape = spec.input;
  for (uint32_t index = 0; index < spec.layers.size(); ++index) {
    Result<Shape> output = lay_out(layout, index, spec.layers[index], shape);
    if (!output) return output.failure();
    shape = *output;
    if (shape.count() > kActivationMax) {
      return bad_layer(index, spec.layers[index].kind, Error::kLimit, "its output has more than 2^24 values");
    }
    RUNNEL_ASSERT(layout.outputs.push_back(shape));
  }
  if (shape != Shape{spec.classes, 1, 1}) {
    return fail(Error::kShape, "the last layer gives %ux%ux%u values, not the %u classes' logits", shape.channels,
                shape.height, shape.width, spec.classes);
  }
  if (layout.parameter_count == 0) return fail(Error::kMalformed, "the model has nothing to train");
  return layout;
}

const char* layer_kind_name(LayerKind kind) {
  switch (kind) {
    case LayerKind::kDense:
      return "dense";
    case LayerKind::kConv2d:
      return "conv2d";
    case LayerKind::kMaxPool2d:
      return "max_pool2d";
    case LayerKind::kAvgPool2d:
      return "avg_pool2d";
    case LayerKind::kRelu:
      return "relu";
    case LayerKind::kFlatten:
      return "flatten";
  }
  return "unknown";
}

}  // namespace runnel::plan
