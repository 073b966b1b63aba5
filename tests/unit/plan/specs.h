// Short ways to write models down.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string_view>

#include "runtime/plan/model_spec.h"

namespace runnel::plan {

inline LayerSpec dense(uint32_t units) {
  return {LayerKind::kDense, units, {}, {1, 1}, {}};
}
inline LayerSpec conv(uint32_t units, Extent kernel, Extent stride = {1, 1}, Extent padding = {}) {
  return {LayerKind::kConv2d, units, kernel, stride, padding};
}
inline LayerSpec pool(LayerKind kind, Extent kernel, Extent stride) {
  return {kind, 0, kernel, stride, {}};
}
inline LayerSpec relu() {
  return {LayerKind::kRelu, 0, {}, {1, 1}, {}};
}
inline LayerSpec flatten() {
  return {LayerKind::kFlatten, 0, {}, {1, 1}, {}};
}

inline ModelSpec model_of(Shape input, uint32_t classes, std::initializer_list<LayerSpec> layers) {
  ModelSpec spec;
  EXPECT_TRUE(spec.name.assign("test"));
  spec.input = input;
  spec.classes = classes;
  for (const LayerSpec& layer : layers) EXPECT_TRUE(spec.layers.push_back(layer));
  return spec;
}

}  // namespace runnel::plan
