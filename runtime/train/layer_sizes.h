// A layer's sizes as the operations of runtime/tensor take them.
#pragma once

#include "runtime/tensor/batch_norm.h"
#include "runtime/tensor/conv2d.h"
#include "runtime/tensor/dense.h"
#include "runtime/tensor/embedding.h"
#include "runtime/tensor/global_pool.h"
#include "runtime/tensor/group_norm.h"
#include "runtime/tensor/gru.h"
#include "runtime/tensor/lstm.h"
#include "runtime/tensor/window2d.h"
#include "runtime/train/layer.h"

namespace runnel::train {

inline size_t positions_of(const plan::Shape& shape) {
  return size_t{shape.height} * shape.width;
}

inline tensor::Window2d window_of(const Layer& layer) {
  const plan::LayerSpec& spec = layer.spec;
  return {layer.input.channels, layer.input.height, layer.input.width,   spec.kernel.height, spec.kernel.width,
          spec.stride.height,   spec.stride.width,  spec.padding.height, spec.padding.width};
}

inline tensor::Dense dense_of(const Layer& layer) {
  return {layer.input.channels, layer.spec.units};
}

inline tensor::Conv2d conv2d_of(const Layer& layer) {
  return {window_of(layer), layer.spec.units, layer.spec.groups};
}

inline tensor::GlobalPool global_pool_of(const Layer& layer) {
  return {layer.input.channels, positions_of(layer.input)};
}

inline tensor::BatchNorm batch_norm_of(const Layer& layer) {
  tensor::BatchNorm norm;
  norm.channels = layer.input.channels;
  norm.positions = positions_of(layer.input);
  norm.epsilon = layer.spec.value;
  return norm;
}

inline tensor::GroupNorm group_norm_of(const Layer& layer) {
  return {layer.input.channels, layer.spec.groups, positions_of(layer.input), layer.spec.value};
}

inline tensor::LayerNorm layer_norm_of(const Layer& layer) {
  return {static_cast<size_t>(layer.input.count()), layer.spec.value};
}

inline tensor::Embedding embedding_of(const Layer& layer) {
  return {layer.spec.vocabulary, layer.spec.units, layer.input.width};
}

inline tensor::Gru gru_of(const Layer& layer) {
  return {layer.input.channels, layer.spec.units, layer.input.width, layer.spec.every_step};
}

inline tensor::Lstm lstm_of(const Layer& layer) {
  return {layer.input.channels, layer.spec.units, layer.input.width, layer.spec.every_step};
}

}  // namespace runnel::train
