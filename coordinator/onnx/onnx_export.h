// A model as an ONNX graph (operator set 13): for inference elsewhere, and as a starting point that runnel reads back.
//
// The names of tensors are plan::TensorInfo's. A GELU, a group norm and a layer norm, which operator set 13 does not
// have, are written as PyTorch writes them. The graph's one input is "input", with a batch of any size: [batch, n],
// [batch, channels, height, width], or whole numbers [batch, steps] where an embedding reads them; its output is
// "output", before any softmax. Dropout is there with its rate, and does nothing in inference.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "coordinator/onnx/onnx_graph.h"
#include "runtime/plan/model_spec.h"

namespace runnel::coordinator {

// The metadata's entry with the model file's text, from which the loss, names and sharing come back.
inline constexpr const char* kOnnxModelKey = "runnel.model";

// REQUIRES: layout is make_layout(spec)'s, parameters.size() == layout.parameter_count. `parameters` must outlive the
// graph.
OnnxGraph export_onnx(const plan::ModelSpec& spec, const plan::ModelLayout& layout, std::span<const float> parameters);

}  // namespace runnel::coordinator
