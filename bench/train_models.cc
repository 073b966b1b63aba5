#include "bench/train_models.h"

#include <stdexcept>
#include <string>

namespace runnel::bench {
namespace {

using plan::LayerKind;

void add(plan::ModelSpec& spec, LayerKind kind, uint32_t units = 0) {
  plan::LayerSpec layer;
  layer.kind = kind;
  layer.units = units;
  if (kind == LayerKind::kConv2d) {
    layer.kernel = {3, 3};
    layer.padding = {1, 1};
  } else if (kind == LayerKind::kMaxPool2d) {
    layer.kernel = {2, 2};
    layer.stride = {2, 2};
  }
  if (!spec.layers.push_back(layer)) throw std::logic_error("too many layers");
}

}  // namespace

plan::ModelSpec timed_model(std::string_view name) {
  plan::ModelSpec spec;
  spec.input = {1, 28, 28};
  spec.classes = 10;
  if (name == "mlp") {
    add(spec, LayerKind::kFlatten);
    add(spec, LayerKind::kDense, 128);
    add(spec, LayerKind::kRelu);
    add(spec, LayerKind::kDense, 64);
    add(spec, LayerKind::kRelu);
  } else if (name == "cnn") {
    for (const uint32_t units : {16U, 32U}) {
      add(spec, LayerKind::kConv2d, units);
      add(spec, LayerKind::kRelu);
      add(spec, LayerKind::kMaxPool2d);
    }
    add(spec, LayerKind::kFlatten);
    add(spec, LayerKind::kDense, 128);
    add(spec, LayerKind::kRelu);
  } else {
    throw std::invalid_argument("no model " + std::string(name));
  }
  add(spec, LayerKind::kDense, 10);
  return spec;
}

}  // namespace runnel::bench
