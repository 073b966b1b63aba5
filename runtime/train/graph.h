// The layers of a model as a graph: who reads whose output, which layers learn, and which values can share memory.
//
// Memory: a value without a heap; about 30 KB.
#pragma once

#include <array>
#include <cstdint>

#include "runtime/base/result.h"
#include "runtime/base/static_vector.h"
#include "runtime/plan/model_spec.h"
#include "runtime/train/layer.h"

namespace runnel::train {

struct Graph {
  StaticVector<Layer, plan::kLayersMax> layers;
  // By value: the value whose memory it shares, the earliest of them, which is itself for most.
  std::array<uint16_t, plan::kLayersMax + 1> value_class{};
  // The same for the gradients; the latest of them.
  std::array<uint16_t, plan::kLayersMax + 1> gradient_class{};
  uint32_t input_count = 0;
  uint32_t output_count = 0;
  uint32_t parameter_count = 0;
  bool training = false;
  bool keeps_input = false;  // the loss compares the output with the input

  uint32_t value_count(uint32_t value) const {
    return value == 0 ? input_count : static_cast<uint32_t>(layers[value - 1].output.count());
  }
};

// `layout` is make_layout's of `spec`. Fails with kUnsupported for an embedding of anything but the model's input;
// `graph` is then of no use.
Failure make_graph(const plan::ModelSpec& spec, const plan::ModelLayout& layout, bool training, Graph& graph);

}  // namespace runnel::train
