// A model from an ONNX graph, trained elsewhere: its layers as a ModelSpec, and its parameters.
//
// Only what training can go on with is read: docs/models.md lists the operators. Anything else is refused with the
// node's name. A file of ours is recognised by exporting what was read again: if that gives the same graph, the names,
// the loss and the sharing that ONNX cannot say are taken from its metadata.
//
// Trust: the file may be anything.
#pragma once

#include <string>
#include <vector>

#include "coordinator/onnx/onnx_graph.h"
#include "runtime/plan/model_spec.h"

namespace runnel::coordinator {

struct ImportedModel {
  plan::ModelSpec spec;
  std::vector<float> parameters;  // as make_layout(spec) orders them; finite
};

// `name` becomes the model's where the file is not one of ours; REQUIRES: one that a model file takes. The loss is then
// the softmax's cross-entropy, or for a single output the mean square. kUnsupported, kShape, kMalformed, kLimit,
// kNotFinite: the node or tensor, and why.
Result<ImportedModel> import_onnx(const OnnxGraph& graph, const std::string& name);

}  // namespace runnel::coordinator
