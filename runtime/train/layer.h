// One layer of a network with everything about it worked out, and which of its values its two passes touch.
//
// A network's values are numbered as in plan::source_of(): 0 is the model's input, i + 1 the output of layer i.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "runtime/base/static_vector.h"
#include "runtime/plan/model_spec.h"
#include "runtime/train/optimizer.h"

namespace runnel::train {

struct Layer {
  plan::LayerSpec spec;
  plan::Shape input;  // of its first input
  plan::Shape output;
  StaticVector<uint16_t, plan::kJoinMax> sources;              // the values it reads
  std::array<uint32_t, plan::kJoinMax> source_counts{};        // elements of each, for one example
  std::array<bool, plan::kJoinMax> wants_input_gradient{};     // something trained lies below
  std::array<bool, plan::kJoinMax> first_to_write_gradient{};  // the others add to what is there
  StaticVector<ParameterRange, 4> tensors;                     // in the order of plan::TensorInfo's comment
  ParameterRange trained;                                      // by gradients
  bool live = false;                                           // the network's output depends on it
  bool has_backward = false;
  bool relu_follows = false;  // and is applied by this layer
  bool relu_done = false;     // by the layer before
  // Of a maximum pooling: its gradient is that of the rectifier's input below it; of that rectifier: it has nothing
  // left to do backward.
  bool passes_relu = false;

  plan::LayerKind kind() const { return spec.kind; }
  bool frozen() const { return spec.sharing == plan::Sharing::kFrozen; }
};

// Output and input are the same values in another shape.
bool is_view(plan::LayerKind kind);

// The output may take its input's place in memory, and the gradient of the input that of the output.
bool works_in_place(plan::LayerKind kind);

// What the backward pass looks at besides the gradient of the output and what was saved.
bool backward_reads_input(plan::LayerKind kind);
bool backward_reads_output(plan::LayerKind kind);

// Floats that the forward pass keeps for the backward pass, and that either pass needs while it runs, for up to
// `examples` examples.
size_t saved_floats(const Layer& layer, size_t examples);
size_t workspace_floats(const Layer& layer, size_t examples);

}  // namespace runnel::train
